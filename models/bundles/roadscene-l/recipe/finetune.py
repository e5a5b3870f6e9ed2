"""Fine-tunes EfficientViT-Seg-B0 on CamVid's labels without moving its uncertainty.

    python3 finetune.py --data DIR --teacher efficientvit_seg_b0_cityscapes.pt --out b0ft.safetensors

The teacher is the published network, which is also where the training starts. BatchNorm is folded. The loss is KL to
the teacher's probabilities corrected by labels, plus the squared difference of the logits' log-sum-exp. Small patches of
other frames are pasted in: there, only the teacher counts, so that the student stays as uncertain about small strange
things as it was.
"""

import argparse
import math
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import efficientvit
import labels
import scenes
import targets

CROP = (320, 512)  # height, width
BATCH = 2
CITY = 0.25  # share of the crops that come from Cityscapes
TRUST = 0.7  # in labels, as for the heads


class Crops:
    """Random crops of frames in memory: zoom, flip, gain, gamma, pasted patches."""

    def __init__(self, root: str, seed: int):
        self.rng = np.random.default_rng(seed)
        self.sources = [self._load(scenes.camvid(root, "train"), False), self._load(scenes.cityscapes(root), True)]

    @staticmethod
    def _load(pairs, city):
        out = []
        for path, label in pairs:
            image = scenes.read(path)
            size = scenes.working_size(image)
            mask = None if label is None else scenes.read_label(label, city)
            out.append((scenes.resize(image, *size) if city else image, mask, size))
        return out

    def crop(self):
        """uint8 [H,W,3], uint8 [H,W], whether the label's classes are Cityscapes'."""
        city = self.rng.random() < CITY
        image, label = self._cut(self.sources[int(city)])
        for _ in range(self.rng.integers(0, 6)):
            self._paste(image, label)
        return self._light(image), label, city

    def _cut(self, frames):
        rng = self.rng
        image, mask, (w, h) = frames[rng.integers(len(frames))]
        zoom = max(math.exp(rng.uniform(math.log(0.65), math.log(1.5))), CROP[1] / w, CROP[0] / h)
        w, h = math.ceil(w * zoom), math.ceil(h * zoom)
        y, x = rng.integers(0, h - CROP[0] + 1), rng.integers(0, w - CROP[1] + 1)
        cut = np.s_[y:y + CROP[0], x:x + CROP[1]]
        out = scenes.resize(image, w, h)[cut].copy()
        label = np.full(CROP, labels.IGNORE, np.uint8)
        if mask is not None:
            label = scenes.resize_label(mask, w, h)[cut].copy()
        return (out[:, ::-1].copy(), label[:, ::-1].copy()) if rng.random() < 0.5 else (out, label)

    def _paste(self, image, label):
        rng = self.rng
        size = int(math.exp(rng.uniform(math.log(10), math.log(90))))
        w, h = max(6, int(size * rng.uniform(0.6, 1.6))), size
        other = self._cut(self.sources[int(rng.random() < 0.5)])[0]
        sy, sx = rng.integers(0, CROP[0] - h + 1), rng.integers(0, CROP[1] - w + 1)
        y, x = rng.integers(0, CROP[0] - h + 1), rng.integers(0, CROP[1] - w + 1)
        alpha = np.zeros((h, w), np.float32)
        axes = max(1, w // 2 - 1), max(1, h // 2 - 1)
        cv2.ellipse(alpha, (w // 2, h // 2), axes, rng.uniform(0, 180), 0, 360, 1, -1)
        alpha = cv2.GaussianBlur(alpha, (3, 3), 0)[..., None]
        patch = other[sy:sy + h, sx:sx + w] * alpha + image[y:y + h, x:x + w] * (1 - alpha)
        image[y:y + h, x:x + w] = patch
        label[y:y + h, x:x + w] = labels.IGNORE

    def _light(self, image):
        rng = self.rng
        gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.04, 3))
        x = np.clip(image * gain, 0, 255) / 255
        return (255 * x ** math.exp(rng.normal(0, 0.15))).astype(np.uint8)

    def batch(self):
        """Images [B,H,W,3], labels at stride 8 [B·H/8·W/8], city flags of the same length."""
        images, masks, city = zip(*(self.crop() for _ in range(BATCH)))
        cells = [m[4::8, 4::8].reshape(-1) for m in masks]
        flags = np.concatenate([np.full(c.size, f) for c, f in zip(cells, city)])
        label = np.concatenate(cells).astype(np.int64)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(label), torch.from_numpy(flags)


def rows(logits: torch.Tensor) -> torch.Tensor:
    """[B,19,h,w] to [B·h·w,19]."""
    return logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])


def train(net, teacher, crops, args):
    """One cosine cycle of AdamW; prints a running mean of the loss."""
    opt = torch.optim.AdamW([
        {"params": [p for p in part.parameters() if p.requires_grad], "peak": rate}
        for part, rate in ((net.head, args.lr), (net.backbone, args.backbone_lr))], weight_decay=0)
    start, mean = time.time(), None
    for step in range(args.steps):
        share = min(1, (step + 1) / 25) * (1 + math.cos(math.pi * step / args.steps)) / 2
        for group in opt.param_groups:
            group["lr"] = group["peak"] * share
        images, label, city = crops.batch()
        with torch.no_grad():
            t = rows(teacher(images))
        s = rows(net(images))
        kl = targets.divergence(targets.corrected(t, label, city, TRUST), s).mean()
        lse = (s.logsumexp(1) - t.logsumexp(1)).square().mean()
        loss = kl + args.lse * lse
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        opt.step()
        now = np.array([float(kl.detach()), float(lse.detach())])
        mean = now if mean is None else 0.98 * mean + 0.02 * now
        if step % 50 == 49:
            passed = time.time() - start
            print(f"step {step + 1}: KL {mean[0]:.4f}, squared lse {mean[1]:.4f}, {passed:.0f} s", flush=True)


@torch.no_grad()
def validate(net, teacher, root, every=2):
    """mIoU on CamVid val, and how far -logsumexp moved there, relative to its own spread."""
    hits, moved, spread = np.zeros((11, 11)), [], []
    for path, label in scenes.camvid(root, "val")[::every]:
        image, truth = scenes.read(path), scenes.read_label(label, False)
        x = torch.from_numpy(scenes.resize(image, *scenes.working_size(image)))[None]
        s, t = net(x), teacher(x)
        p = torch.einsum("gc,bchw->bghw", targets.GROUPS, F.softmax(s, 1))
        guess = F.interpolate(p, size=truth.shape, mode="bilinear")[0].argmax(0).numpy()
        keep = truth < 11
        hits += np.bincount(11 * truth[keep].astype(int) + guess[keep], minlength=121).reshape(11, 11)
        a, b = s.logsumexp(1), t.logsumexp(1)
        moved.append(float((a - b).square().mean()))
        spread.append(float(b.var()))
    hit = np.diag(hits)
    iou = hit / (hits.sum(0) + hits.sum(1) - hit)
    return 100 * iou.mean(), math.sqrt(sum(moved) / sum(spread))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--lr", type=float, default=5e-4, help="of the segmentation head")
    parser.add_argument("--backbone-lr", type=float, default=5e-5)
    parser.add_argument("--lse", type=float, default=2.0, help="weight of the squared difference of log-sum-exp")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    cv2.setNumThreads(1)
    teacher, net = efficientvit.load(args.teacher), efficientvit.load(args.teacher)
    efficientvit.fold(net)
    train(net, teacher, Crops(args.data, args.seed), args)  # in evaluation mode
    save_file({k: v.contiguous() for k, v in net.state_dict().items() if v.is_floating_point()}, args.out)
    for name, n in (("published", teacher), ("fine-tuned", net)):
        miou, moved = validate(n, teacher, args.data)
        print(f"{name}: CamVid val mIoU {miou:.1f}, log-sum-exp moved by {moved:.3f} of its deviation", flush=True)


if __name__ == "__main__":
    main()
