"""Writes denoiser.golden.json: what an independent PyTorch denoiser predicts for made-up weights.

Run with Debian's python3-torch: python3 golden.py > denoiser.golden.json
"""
import json
import math

import torch
from torch import nn

torch.set_default_dtype(torch.float64)


class Block(nn.Module):
    def __init__(self, i, w, groups, sinusoidal):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, i), nn.SiLU(), nn.Linear(i, w))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(w, w)) if sinusoidal else None
        self.out_layers = nn.Sequential(nn.GroupNorm(groups, w), nn.SiLU(), nn.Dropout(0), nn.Linear(w, w))
        self.skip_connection = nn.Linear(i, w) if i != w else None

    def forward(self, x, emb):
        h = self.in_layers(x) + (self.emb_layers(emb) if self.emb_layers else emb)
        return self.out_layers(h) + (self.skip_connection(x) if self.skip_connection else x)


class Denoiser(nn.Module):
    def __init__(self, c, w, groups, blocks, time):
        super().__init__()
        self.w, self.sin = w, time == "sinusoidal"
        layers = [nn.Linear(w, w)] + ([nn.SiLU(), nn.Linear(w, w)] if self.sin else [])
        self.time_embed = nn.Sequential(*layers)
        self.in_proj = nn.Linear(c, w) if c != w else None
        mk = lambda n, i: nn.ModuleList([nn.ModuleList([Block(i, w, groups, self.sin)]) for _ in range(n)])
        self.input_blocks, self.middle_blocks, self.output_blocks = mk(blocks[0], w), mk(blocks[1], w), mk(blocks[2], 2 * w)
        self.out = nn.Sequential(nn.GroupNorm(groups, w), nn.SiLU(), nn.Linear(w, c))

    def forward(self, x, t):
        if self.sin:
            f = torch.exp(-math.log(10000) * torch.arange(self.w // 2) / (self.w // 2))
            e = torch.cat([torch.cos(t * f), torch.sin(t * f)])
        else:
            e = torch.full((self.w,), float(t))
        emb = self.time_embed(e[None])
        h = self.in_proj(x) if self.in_proj else x
        stack = []
        for b in self.input_blocks:
            h = b[0](h, emb)
            stack.append(h)
        for b in self.middle_blocks:
            h = b[0](h, emb)
        for b in self.output_blocks:
            h = b[0](torch.cat([h, stack.pop()], 1), emb)
        return self.out(h)


def made_up(name, size):
    phase = sum(name.encode())
    scale = 1.0 if name.endswith("_layers.0.weight") else 0.3
    return torch.tensor([scale * math.sin(1.7 * i + 0.01 * phase) for i in range(size)])


cases = []
for c, w, groups, blocks, time in [
    (16, 16, 4, [2, 0, 2], "sinusoidal"), (16, 16, 4, [2, 1, 2], "scalar"), (16, 16, 8, [3, 2, 3], "sinusoidal"),
    (6, 16, 2, [1, 1, 1], "sinusoidal"), (24, 8, 4, [1, 0, 1], "scalar"),
]:
    net = Denoiser(c, w, groups, blocks, time)
    for name, p in net.named_parameters():
        p.data = made_up("denoiser." + name, p.numel()).reshape(p.shape)
    x = torch.tensor([[math.cos(0.9 * (i * c + j)) for j in range(c)] for i in range(2)])
    out = {str(t): [round(v, 7) for v in net(x, t).flatten().tolist()] for t in (0, 7, 250, 999)}
    cases.append(dict(channels=c, width=w, groups=groups, blocks=blocks, time=time,
                      weights=sum(p.numel() for p in net.parameters()), out=out))
print(json.dumps(cases, indent=1))
