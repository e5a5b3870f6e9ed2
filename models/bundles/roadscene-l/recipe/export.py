"""Whitens, calibrates and writes what a bundle's graph takes in.

    python3 export.py NETWORK --work DIR --segmenter b0ft.safetensors --out NETWORK.safetensors

DIR holds what cells.py and heads.py wrote: reference/N.npz and OBJECTIVE.safetensors. The result's tensors are
``whiten.weight`` [K,C] and ``whiten.bias`` [K], D = |W·s32a + b|; ``head.K.I.weight`` [out,in] and ``head.K.I.bias`` of
layer I of head K; ``heads.scale`` and ``heads.shift`` [K], H = sum over K of shift_K - scale_K·logsumexp_K. The
metadata's ``calibration`` holds the median and 1.4826 MAD of D, H and U' over the reference frames.
"""

import argparse
import glob
import json
import os

import cv2
import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import efficientvit
from encoder import joined, upsample
from networks import NETWORKS

BOX = 21  # cells of 8x8 pixels: the surroundings
HEADS_EVERY = 4  # the heads are calibrated on every fourth reference frame
STEP = 7  # every seventh cell counts in a median


def box(m: np.ndarray) -> np.ndarray:
    """Mean over the surroundings of a cell; edges are mirrored with the edge repeated."""
    return cv2.blur(m, (BOX, BOX), borderType=cv2.BORDER_REFLECT)


def spread(maps) -> list:
    """[median, 1.4826 MAD] over cells of maps."""
    x = np.concatenate([m.reshape(-1)[::STEP] for m in maps])
    middle = np.median(x)
    return [float(middle), float(1.4826 * np.median(np.abs(x - middle)))]


def whitening(frames, drop: int):
    """Projection onto the principal components without the strongest, each scaled to unit variance."""
    n, total, square = 0, 0, 0
    for f in frames:
        x = f["s32a"].astype(np.float64).reshape(len(f["s32a"]), -1)
        n, total, square = n + x.shape[1], total + x.sum(1), square + x @ x.T
    mean = total / n
    values, vectors = np.linalg.eigh(square / n - np.outer(mean, mean))
    values, vectors = values[::-1][drop:], vectors[:, ::-1][:, drop:]
    w = (vectors / np.sqrt(values + 1e-8)).T
    return w.astype(np.float32), (-w @ mean).astype(np.float32)


def distance(taps, weight, bias) -> np.ndarray:
    """D before standardisation, at stride 8."""
    x = taps["s32a"].astype(np.float32)
    z = weight @ x.reshape(len(x), -1) + bias[:, None]
    return upsample(np.sqrt((z**2).sum(0)).reshape(x.shape[1:]), *taps["s8"].shape[1:])


def head_logits(tensors, k: int, x: np.ndarray) -> np.ndarray:
    """Logits [19,N] of head k for joined features [C,N]."""
    for i in range(3):
        x = tensors[f"head.{k}.{i}.weight"] @ x + tensors[f"head.{k}.{i}.bias"][:, None]
        if i < 2:
            x = np.maximum(x, 0)
    return x


def logsumexp(x: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    top = x.max(0)
    return np.log(np.exp(x - top).sum(0)) + top


def uncertainty(frames, segmenter):
    """U' of each frame before standardisation."""
    for f in frames:
        with torch.no_grad():
            u = -segmenter(torch.from_numpy(f["rgb"])[None]).logsumexp(1)[0].numpy()
        yield u - box(u)


def gather(paths):
    """The reference frames, one at a time."""
    for p in paths:
        with np.load(p) as f:
            yield {k: f[k] for k in f.files}


def merge(work, objectives):
    """All objectives' heads, renumbered; [(objective, its heads' numbers)]."""
    tensors, groups, n = {}, [], 0
    for name in objectives:
        found = load_file(os.path.join(work, name + ".safetensors"))
        count = 1 + max(int(k.split(".")[1]) for k in found)
        for key, v in found.items():
            _, k, rest = key.split(".", 2)
            tensors[f"head.{n + int(k)}.{rest}"] = v
        groups.append((name, range(n, n + count)))
        n += count
    return tensors, groups


def calibrate_heads(tensors, groups, paths):
    """Standardises each objective's mean -logsumexp, averages the objectives and folds both into scale and shift."""
    maps = {name: [] for name, _ in groups}
    for f in gather(paths):
        x = joined(f)
        x = x.reshape(len(x), -1)
        for name, members in groups:
            maps[name].append(-np.mean([logsumexp(head_logits(tensors, k, x)) for k in members], axis=0))
    spreads = {name: spread(m) for name, m in maps.items()}
    scale, shift = [], []
    for name, members in groups:
        middle, mad = spreads[name]
        share = 1 / (len(groups) * len(members) * mad)
        scale += [share] * len(members)
        shift += [-middle * share] * len(members)
    tensors["heads.scale"], tensors["heads.shift"] = np.array(scale, np.float32), np.array(shift, np.float32)
    return spreads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--work", required=True)
    parser.add_argument("--segmenter", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    network = NETWORKS[args.network]
    paths = sorted(glob.glob(os.path.join(args.work, "reference", "*.npz")))
    tensors, groups = merge(args.work, network.objectives)
    w, b = whitening(gather(paths), network.drop)
    tensors["whiten.weight"], tensors["whiten.bias"] = w, b
    spreads = calibrate_heads(tensors, groups, paths[::HEADS_EVERY])
    calibration = {"D": spread([distance(f, w, b) for f in gather(paths)]), "H": [0.0, 1.0],
                   "U": spread(uncertainty(gather(paths), efficientvit.load(args.segmenter)))}
    order = [[name, k - members[0]] for name, members in groups for k in members]
    print(json.dumps({"calibration": calibration, "objectives": spreads}), flush=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, args.out, {
        "calibration": json.dumps(calibration), "objective_calibration": json.dumps(spreads),
        "heads": json.dumps(order)})


if __name__ == "__main__":
    main()
