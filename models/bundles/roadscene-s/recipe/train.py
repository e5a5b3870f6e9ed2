"""Trains the student from random weights: distillation from a teacher and labels, within a budget of wall-clock time.

Teacher and student have equal widths at every stage, so features are compared without projections.  Early in the
training a stage of the student is often fed the teacher's output of the stage before ("teacher forcing"): every
stage then learns at once, instead of waiting for the ones below it.
"""

import argparse
import copy
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import augment
import data
import efficientvit
import labels

STUDENT = efficientvit.Config(depths=(1, 2, 2, 3, 3), upsample="bilinear")
FEATURES = {"stage1": 0.5, "stage2": 1.0, "stage3": 1.0, "stage4": 1.5, "head": 2.0}  # loss weights
TEMPERATURE = 2.0


class Batches(torch.utils.data.IterableDataset):
    """Endless batches with the teacher's outputs; made in a worker process, beside the student's step."""

    def __init__(self, args, seed):
        self.args, self.seed = args, seed

    def __iter__(self):
        torch.set_num_threads(2)  # with one, PyTorch 1.13 takes a slow path for 1x1 convolutions
        worker = torch.utils.data.get_worker_info()
        seed = self.seed * 1000 + (worker.id if worker else 0)
        sampler = augment.Sampler(data.Cache(self.args.cache), self.args.height, self.args.width, seed)
        teacher = efficientvit.fuse(efficientvit.load(self.args.teacher)).to(memory_format=torch.channels_last)
        while True:
            images, masks, kinds = zip(*(sampler.sample() for _ in range(self.args.batch)))
            x = torch.from_numpy(np.stack(images))
            with torch.no_grad():
                t = teacher(efficientvit.preprocess(x).contiguous(memory_format=torch.channels_last))
            yield x, torch.from_numpy(np.stack(masks)), kinds, {k: v.contiguous() for k, v in t.items()}


class Ema:
    """Exponential mean of weights and BatchNorm statistics, with a short memory at the start."""

    def __init__(self, net, decay):
        self.net, self.decay, self.steps = copy.deepcopy(net).eval(), decay, 0

    def update(self, net):
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for e, s in zip(self.net.state_dict().values(), net.state_dict().values()):
            if e.dtype.is_floating_point:
                e.lerp_(s, 1 - d)
            else:
                e.copy_(s)


def replayed(batches, size, seed):
    """Every batch twice: when it arrives and once more, later, from a buffer.  Halves the teacher's cost."""
    rng, buffer = np.random.default_rng(seed), []
    for batch in batches:
        yield batch
        buffer.append(batch)
        if len(buffer) > size:
            yield buffer.pop(int(rng.integers(len(buffer))))


def forward(net, x, t, forcing):
    """The student's outputs; with probability ``forcing`` an image's input to a stage is the teacher's."""
    def mix(own, name):
        if forcing <= 0:
            return own
        keep = (torch.rand(own.shape[0], 1, 1, 1) >= forcing).float()
        return own * keep + t[name] * (1 - keep)

    out, y = {}, net.backbone.input_stem(x)
    for i, stage in enumerate(net.backbone.stages, start=1):
        out[f"stage{i}"] = stage(y)
        y = mix(out[f"stage{i}"], f"stage{i}")
    out["head"], out["logits"] = net.head({f"stage{i}": mix(out[f"stage{i}"], f"stage{i}") for i in (2, 3, 4)})
    return out


class Loss:
    """Features (relative squared error), logits (KL and relative squared error), labels (cross-entropy)."""

    def __init__(self, label_weight):
        self.var, self.groups, self.label_weight = {}, torch.from_numpy(labels.camvid_groups()), label_weight

    def _relative(self, name, s, t):
        """Squared error over the teacher's running variance per channel."""
        v = t.var((0, 2, 3))
        self.var[name] = v if name not in self.var else 0.98 * self.var[name] + 0.02 * v
        w = 1 / (self.var[name] + 1e-3 * self.var[name].mean())
        return ((s - t).pow(2).mean((0, 2, 3)) * w).mean()

    def _labels(self, logits, mask, kinds):
        """Mean negative log-likelihood of the labelled pixels, at a quarter of the crop's size."""
        total, pixels = logits.new_zeros(()), 0
        rows = [i for i, k in enumerate(kinds) if k]
        if not rows:
            return total
        up = F.interpolate(logits[rows], scale_factor=2, mode="bilinear", align_corners=False)
        logp = F.log_softmax(up, 1)
        for j, i in enumerate(rows):
            y = mask[i, 2::4, 2::4].long()
            p = logp[j]
            if kinds[i] == "camvid":
                p = torch.log(torch.einsum("gc,chw->ghw", self.groups, p.exp()) + 1e-6)
            total = total + F.nll_loss(p[None], y[None], ignore_index=labels.IGNORE, reduction="sum")
            pixels += int((y != labels.IGNORE).sum())
        return total / max(pixels, 1)

    def __call__(self, s, t, mask, kinds):
        parts = {k: self._relative(k, s[k], t[k]) for k in FEATURES}
        total = sum(FEATURES[k] * v for k, v in parts.items())
        parts["logits"] = self._relative("logits", s["logits"], t["logits"])
        logp = F.log_softmax(s["logits"] / TEMPERATURE, 1)
        p = F.softmax(t["logits"] / TEMPERATURE, 1)
        parts["kl"] = TEMPERATURE**2 * F.kl_div(logp, p, reduction="none").sum(1).mean()
        parts["ce"] = self._labels(s["logits"], mask, kinds)
        total = total + 0.5 * parts["logits"] + parts["kl"] + self.label_weight * parts["ce"]
        return total, {k: float(v.detach()) for k, v in parts.items()}


def schedule(progress, peak):
    """One cycle: 3 % linear warm-up, cosine to 1 % of the peak."""
    if progress < 0.03:
        return peak * (0.05 + 0.95 * progress / 0.03)
    return peak * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (progress - 0.03) / 0.97)))


def save(path, value):
    """Writes a file or leaves the old one."""
    torch.save(value, path + ".tmp")
    os.replace(path + ".tmp", path)


def save_student(path, net):
    """Plain float32 tensors and the configuration."""
    state = {k: v.detach().clone().float() if v.dtype.is_floating_point else v.clone()
             for k, v in net.state_dict().items()}
    save(path, {"state_dict": state, "config": net.cfg.to_dict()})


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--teacher", required=True, help="EfficientViT-Seg-B0 checkpoint")
    p.add_argument("--cache", required=True, help="folder written by data.build")
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=65, help="budget; the learning rate is a function of elapsed time")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--height", type=int, default=256)
    p.add_argument("--width", type=int, default=512)
    p.add_argument("--lr", type=float, default=5e-3)
    p.add_argument("--weight-decay", type=float, default=0.02)
    p.add_argument("--label-weight", type=float, default=0.25)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--replay", type=int, default=40, help="batches kept to be used a second time")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--save-every", type=float, default=120, help="seconds")
    return p.parse_args()


def main():
    args = parse()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    net = efficientvit.EfficientViTSeg(STUDENT).to(memory_format=torch.channels_last).train()
    decay = [q for q in net.parameters() if q.ndim > 1]
    plain = [q for q in net.parameters() if q.ndim <= 1]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": args.weight_decay},
                             {"params": plain, "weight_decay": 0.0}], lr=args.lr)
    ema, loss = Ema(net, 0.998), Loss(args.label_weight)
    state_path, student_path = os.path.join(args.out, "state.pt"), os.path.join(args.out, "student.pt")
    log = open(os.path.join(args.out, "log.txt"), "a")
    elapsed, step = 0.0, 0
    if os.path.exists(state_path):
        state = torch.load(state_path)
        net.load_state_dict(state["net"])
        ema.net.load_state_dict(state["ema"])
        opt.load_state_dict(state["opt"])
        elapsed, step, ema.steps, loss.var = state["elapsed"], state["step"], state["step"], state["var"]
    loader = torch.utils.data.DataLoader(Batches(args, args.seed + step), batch_size=None, num_workers=args.workers,
                                         prefetch_factor=3, multiprocessing_context="spawn")  # fork breaks OpenMP
    batches = replayed(loader, args.replay, args.seed)
    budget, last, saved, sums, count = args.minutes * 60, time.time(), elapsed, {}, 0
    while elapsed < budget:
        progress = elapsed / budget
        for g in opt.param_groups:
            g["lr"] = schedule(progress, args.lr)
        x, mask, kinds, t = next(batches)
        x = efficientvit.preprocess(x).contiguous(memory_format=torch.channels_last)
        out = forward(net, x, t, max(0.0, 0.7 * (1 - progress / 0.5)))
        total, parts = loss(out, t, mask, kinds)
        opt.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        opt.step()
        ema.update(net)
        step, count, now = step + 1, count + 1, time.time()
        elapsed, last = elapsed + now - last, now
        for k, v in dict(parts, norm=float(norm), total=float(total.detach())).items():
            sums[k] = sums.get(k, 0) + v
        if step % 25 == 0:
            line = {"step": step, "minutes": round(elapsed / 60, 2), "lr": round(opt.param_groups[0]["lr"], 6)}
            line.update({k: round(v / count, 4) for k, v in sums.items()})
            print(json.dumps(line), file=log, flush=True)
            sums, count = {}, 0
        if elapsed - saved > args.save_every or elapsed >= budget:
            saved = elapsed
            save_student(student_path, ema.net)
            save(state_path, {"net": net.state_dict(), "ema": ema.net.state_dict(), "opt": opt.state_dict(),
                              "elapsed": elapsed, "step": step, "var": loss.var})


if __name__ == "__main__":
    main()
