"""Writes what the rule makes of pictures, from the exported tensors alone, for comparison with the Go side.

    python3 golden.py NETWORK --encoder efficientnet-liteN.pth --segmenter b0ft.safetensors --heads NETWORK.safetensors
        --out DIR PICTURE...

Each DIR/NETWORK-NAME.npz holds the picture at working size, the colours of its cells, the features, the segmenter's
logits, the voices D, H and U, the mean B, its surroundings, the smoothed V and the score S.
"""

import argparse
import json
import os

import cv2
import numpy as np
import torch
from safetensors import safe_open

import efficientvit
import scenes
from encoder import Encoder, joined
from export import box, distance, head_logits, logsumexp
from networks import NETWORKS

HEADS_WEIGHT = 2.0  # of H beside D
LARGE = 1.0  # surroundings from which the map is smoothed
SMALL, SMALL_WEIGHT = 2.0, 0.25  # surroundings up to which U' counts, and how much
GATE = 0.5  # of B, from which U' counts
NEAR, ALIKE, STEPS = 1.5, 0.07, (1, 2, 4)  # of the smoothing: cells, colour distance, dilations


def sigmoid(x):
    """The logistic function."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def smooth(m: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A-trous bilateral filter with 5x5 taps along the colours [h,w,3] in 0..1."""
    h, w = m.shape
    for step in STEPS:
        total, weights = m.copy(), np.ones_like(m)
        for dy in range(3):
            for dx in range(-2, 3):
                y, x = dy * step, dx * step
                if (dy, dx) <= (0, 0) or y >= h:
                    continue
                a = np.s_[:h - y, max(0, -x):w - max(0, x)]
                b = np.s_[y:, max(0, x):w - max(0, -x)]
                unlike = ((colours[a] - colours[b]) ** 2).sum(-1)
                q = np.exp(-(dx * dx + dy * dy) / (2 * NEAR**2) - unlike / (2 * ALIKE**2)).astype(np.float32)
                total[a] += q * m[b]
                total[b] += q * m[a]
                weights[a] += q
                weights[b] += q
        m = total / weights
    return m


def voices(taps, lse, tensors, calibration):
    """D, H and U' on their calibrated scales, and the logits of each head [K,19,h,w]."""
    middle = {k: (lambda x, m=m, s=s: (x - m) / s) for k, (m, s) in calibration.items()}
    shape = taps["s8"].shape[1:]
    x = joined(taps).reshape(-1, shape[0] * shape[1])
    logits = np.stack([head_logits(tensors, k, x) for k in range(len(tensors["heads.scale"]))])
    lses = np.stack([logsumexp(v) for v in logits])
    h = (tensors["heads.shift"][:, None] - tensors["heads.scale"][:, None] * lses).sum(0).reshape(shape)
    d = middle["D"](distance(taps, tensors["whiten.weight"], tensors["whiten.bias"]))
    u = middle["U"](box(lse) - lse)
    return d, h, u, logits.reshape(len(logits), -1, *shape)


def rule(d, h, u, colours):
    """The mean, its surroundings, the smoothed map and the score."""
    mean = (d + HEADS_WEIGHT * h) / (1 + HEADS_WEIGHT)
    around = box(mean)
    v = mean + sigmoid(2 * (around - LARGE)) * (smooth(mean, colours) - mean)
    small = np.maximum(u, 0) * sigmoid(2 * (mean - GATE)) * sigmoid(2 * (SMALL - around))
    return mean, around, v, v + SMALL_WEIGHT * small


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--segmenter", required=True)
    parser.add_argument("--heads", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("pictures", nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(2)
    encoder = Encoder(args.encoder, NETWORKS[args.network].dilate)
    segmenter = efficientvit.load(args.segmenter)
    with safe_open(args.heads, "np") as f:
        tensors, calibration = {k: f.get_tensor(k) for k in f.keys()}, json.loads(f.metadata()["calibration"])
    os.makedirs(args.out, exist_ok=True)
    for path in args.pictures:
        image = scenes.read(path)
        image = scenes.resize(image, *scenes.working_size(image))
        colours = cv2.resize(image, (image.shape[1] // 8, image.shape[0] // 8), interpolation=cv2.INTER_AREA)
        taps = encoder(image)
        with torch.no_grad():
            logits = segmenter(torch.from_numpy(image)[None])
        lse = logits.logsumexp(1)[0].numpy()
        d, h, u, heads = voices(taps, lse, tensors, calibration)
        probabilities = torch.softmax(torch.from_numpy(heads), 1).mean(0).numpy()
        b, around, v, s = rule(d, h, u, colours.astype(np.float32) / 255)
        name = f"{args.network}-{os.path.splitext(os.path.basename(path))[0]}.npz"
        np.savez(os.path.join(args.out, name), rgb=image, cells=colours, b0_logits=logits[0].numpy(), b0_lse=lse,
                 prob=probabilities, D=d, H=h, U=u, B=b, box=around, V=v, S=s, **taps)


if __name__ == "__main__":
    main()
