"""Samples cells for the heads, and keeps the features of the reference frames.

    python3 cells.py NETWORK --data DIR --encoder efficientnet-liteN.pth --teacher TEACHER.pt --out DIR

OUT/cells.npz holds features, teacher's logits and labels of sampled cells of 8x8 pixels. OUT/reference/N.npz holds the
features of the frames by which everything is whitened and calibrated: every fourth of CamVid train, all of Cityscapes.
"""

import argparse
import os
import time

import cv2
import numpy as np
import torch

import efficientvit
import labels
import scenes
from encoder import Encoder, joined
from networks import NETWORKS

CELLS = {"camvid": 500, "city": 2000}  # per frame
REFERENCE_EVERY = {"camvid": 4, "city": 1}


def draw(rng, logits: np.ndarray, n: int) -> np.ndarray:
    """Indices of n cells, half of them uniformly, half by the inverse root of their class's frequency in the frame."""
    guess = logits.argmax(0)
    weight = 1 / np.sqrt(np.bincount(guess, minlength=len(logits))[guess])
    return rng.choice(guess.size, n, replace=False, p=0.5 / guess.size + 0.5 * weight / weight.sum())


def collect(network, encoder, teacher, root, out, seed):
    """Writes the products of one pass over the frames."""
    rng = np.random.default_rng(seed)
    frames = {"camvid": scenes.camvid(root, "train"), "city": scenes.cityscapes(root)}
    columns, reference, start = {"x": [], "t": [], "y": [], "city": []}, 0, time.time()
    for source, scale, every, offset in network.passes:
        for i in range(offset, len(frames[source]), every):
            path, label = frames[source][i]
            image = scenes.read(path)
            image = scenes.resize(image, *scenes.working_size(image, scale))
            taps = {k: v.astype(np.float16) for k, v in encoder(image).items()}
            with torch.no_grad():
                logits = teacher(torch.from_numpy(image)[None])[0].numpy().astype(np.float16)
            if scale == 1 and i % REFERENCE_EVERY[source] == 0:
                np.savez(os.path.join(out, "reference", f"{reference:03d}.npz"), rgb=image, **taps)
                reference += 1
            x, t = joined(taps), logits.reshape(len(logits), -1)
            y = np.full(x.shape[1:], labels.IGNORE, np.uint8)
            if label is not None:
                y = scenes.resize_label(scenes.read_label(label, source == "city"), *y.shape[::-1])
            j = draw(rng, t.astype(np.float32), CELLS[source])
            columns["x"].append(x.reshape(len(x), -1)[:, j].T.astype(np.float16))
            columns["t"].append(t[:, j].T)
            columns["y"].append(y.reshape(-1)[j])
            columns["city"].append(np.full(len(j), source == "city"))
        print(f"{source} at scale {scale}: {time.time() - start:.0f} s", flush=True)
    np.savez(os.path.join(out, "cells.npz"), **{k: np.concatenate(v) for k, v in columns.items()})
    print(f"{sum(map(len, columns['y']))} cells, {reference} reference frames", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--data", required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    os.makedirs(os.path.join(args.out, "reference"), exist_ok=True)
    network = NETWORKS[args.network]
    encoder, teacher = Encoder(args.encoder, network.dilate), efficientvit.load(args.teacher)
    collect(network, encoder, teacher, args.data, args.out, args.seed)


if __name__ == "__main__":
    main()
