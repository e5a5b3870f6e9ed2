"""Trains a network's heads on sampled cells, objective by objective.

    python3 heads.py NETWORK --work DIR

Reads DIR/cells.npz, writes DIR/OBJECTIVE.safetensors. An objective's heads differ in their random beginning only and
see the same batches: features of one cell, 128, 128, 19 logits. All are shipped; none is selected.
"""

import argparse
import math
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import targets
from networks import NETWORKS, OBJECTIVES

WIDTHS = (128, 128, 19)
HEADS = 2
BATCH = 1024
CITY = 0.25  # of a batch
RATE, DECAY = 2e-3, 1e-2


class Heads(nn.Module):
    """Pointwise networks side by side: [B,C] or [HEADS,B,C] to logits [HEADS,B,19]."""

    def __init__(self, channels: int):
        super().__init__()
        sizes = (channels,) + WIDTHS
        gains = (2,) * (len(WIDTHS) - 1) + (1,)
        self.weights = nn.ParameterList([
            nn.Parameter(torch.randn(HEADS, a, b) * math.sqrt(g / a)) for a, b, g in zip(sizes, sizes[1:], gains)])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(HEADS, 1, b)) for b in WIDTHS])
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def forward(self, x, dropout=0.0):
        x = (x - self.mean) / self.deviation
        x = x.expand(HEADS, -1, -1)
        for k, (w, b) in enumerate(zip(self.weights, self.biases)):
            x = torch.baddbmm(b, x, w)
            if k < len(WIDTHS) - 1:
                x = F.relu(x)
                if dropout:
                    x = F.dropout(x, dropout)
        return x

    def folded(self) -> dict:
        """{head.K.I.weight [out,in], head.K.I.bias}, the standardisation inside the first layer."""
        out = {}
        for k in range(HEADS):
            for i, (w, b) in enumerate(zip(self.weights, self.biases)):
                w, b = w[k].detach(), b[k, 0].detach()
                if i == 0:
                    w = w / self.deviation[:, None]
                    b = b - self.mean @ w
                out[f"head.{k}.{i}.weight"], out[f"head.{k}.{i}.bias"] = w.T.contiguous(), b.contiguous()
        return out


def loss(objective, out, q, teacher):
    """Sum over the heads of their mean losses over the batch."""
    parts = objective.kl * targets.divergence(q, out)
    if objective.bce:
        bce = F.binary_cross_entropy_with_logits(out, q.expand_as(out), reduction="none")
        parts = parts + objective.bce * bce.sum(-1)
    if objective.logits:
        parts = parts + objective.logits * (out - teacher).square().mean(-1)
    return parts.mean(1).sum()


def train(objective, cells, steps, seed):
    """One cosine cycle of AdamW."""
    torch.manual_seed(seed)
    x, t = torch.from_numpy(cells["x"]), torch.from_numpy(cells["t"])
    y, city = torch.from_numpy(cells["y"]).long(), torch.from_numpy(cells["city"])
    heads = Heads(x.shape[1])
    sample = x[::7].float()
    heads.mean.copy_(sample.mean(0))
    heads.deviation.copy_(sample.std(0) + 1e-3)
    opt = torch.optim.AdamW(heads.parameters(), lr=RATE, weight_decay=DECAY)
    sources = [(torch.nonzero(city)[:, 0], int(BATCH * CITY)), (torch.nonzero(~city)[:, 0], BATCH - int(BATCH * CITY))]
    draw, start, mean = torch.Generator().manual_seed(seed), time.time(), None
    for step in range(steps):
        for group in opt.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2
        j = torch.cat([ids[torch.randint(len(ids), (n,), generator=draw)] for ids, n in sources])
        teacher = t[j].float()
        q = targets.corrected(teacher, y[j], city[j], objective.trust)
        value = loss(objective, heads(x[j].float(), objective.dropout), q, teacher)
        opt.zero_grad()
        value.backward()
        opt.step()
        now = float(value.detach()) / HEADS
        mean = now if mean is None else 0.98 * mean + 0.02 * now
        if step % 500 == 499:
            print(f"step {step + 1}: loss {mean:.4f}, {time.time() - start:.0f} s", flush=True)
    return heads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--work", required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with np.load(os.path.join(args.work, "cells.npz")) as f:
        cells = {k: f[k] for k in f.files}
    for name in NETWORKS[args.network].objectives:
        print(name, flush=True)
        heads = train(OBJECTIVES[name], cells, args.steps, args.seed)
        save_file(heads.folded(), os.path.join(args.work, name + ".safetensors"))


if __name__ == "__main__":
    main()
