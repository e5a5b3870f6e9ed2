#!/usr/bin/env python3
"""Writes components.json: component metrics by their definition in the SegmentMeIfYouCan paper (section 4), with
scipy.ndimage for the components and one boolean mask per object. It shares nothing with the Go code.

Usage: python3 components.py > components.json   (numpy 1.24, scipy 1.10, scikit-learn 1.2)
Scores are multiples of 1/8, exact in JSON and float32. The images and the minimum sizes are small.
"""
import json
import numpy as np
from scipy import ndimage
from sklearn.metrics import precision_recall_curve

EIGHT = np.ones((3, 3))


def objects(mask):
    numbered, n = ndimage.label(mask, EIGHT)
    return [numbered == i for i in range(1, n + 1)]


def image(scores, labels, threshold, min_predicted, min_truth):
    """sIoU of each true object and PPV of each predicted one."""
    valid = labels != 255
    predicted = [p for p in objects((scores >= threshold) & valid) if p.sum() >= min_predicted]
    truth = objects(labels == 1)
    for t in truth:
        if t.sum() < min_truth:
            valid = valid & ~t
    predicted = [p & valid for p in predicted if (p & valid).any()]
    truth = [t for t in truth if (t & valid).any()]
    siou, ppv = [], []
    for t in truth:
        hits = [p for p in predicted if (p & t).any()]
        union = np.any(hits, axis=0) if hits else np.zeros_like(t)
        others = np.any([u for u in truth if u is not t] or [np.zeros_like(t)], axis=0)
        siou.append((t & union).sum() / ((t | union) & ~(others & union)).sum())
    for p in predicted:
        hits = [t for t in truth if (p & t).any()]
        union = np.any(hits, axis=0) if hits else np.zeros_like(p)
        ppv.append((p & union).sum() / p.sum())
    return siou, ppv


def f1(siou, ppv, at):
    siou, ppv = np.asarray(siou), np.asarray(ppv)
    tp, fn, fp = (siou >= at).sum(), (siou < at).sum(), (ppv < at).sum()
    return 2 * tp / (2 * tp + fn + fp)


def best_threshold(images):
    s = np.concatenate([i[0][i[1] != 255] for i in images])
    y = np.concatenate([i[1][i[1] != 255] for i in images]) == 1
    precision, recall, thresholds = precision_recall_curve(y, s)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = score[:-1].max()
    return float(thresholds[np.flatnonzero(np.isclose(score[:-1], best, rtol=1e-12))[-1]]), float(best)


rng = np.random.default_rng(21)


def blobs(h, w, n, size):
    mask = np.zeros((h, w), bool)
    for _ in range(n):
        y, x = rng.integers(0, h), rng.integers(0, w)
        a, b = rng.integers(1, size, 2)
        mask[y:y + a, x:x + b] = True
    return mask


def scene(h, w, n, size, noise):
    labels = np.where(blobs(h, w, n, size), 1, 0).astype(np.uint8)
    labels[blobs(h, w, 2, size)] = 255
    moved = np.roll(labels == 1, tuple(rng.integers(-2, 3, 2)), (0, 1)) ^ (rng.random((h, w)) < 0.02)
    scores = np.round((moved * 2.0 + rng.normal(size=(h, w)) * noise) * 8) / 8
    return scores.astype(np.float32), labels


def case(name, images, min_predicted, min_truth):
    threshold, best = best_threshold(images)
    siou, ppv = [], []
    for s, y in images:
        a, b = image(s, y, threshold, min_predicted, min_truth)
        siou += a
        ppv += b
    return {
        "name": name, "min_predicted": min_predicted, "min_truth": min_truth, "threshold": threshold, "best_f1": best,
        "images": [{"width": s.shape[1], "height": s.shape[0], "scores": s.ravel().tolist(),
                    "labels": y.ravel().tolist()} for s, y in images],
        "truth": len(siou), "predicted": len(ppv),
        "siou": float(np.mean(siou)), "ppv": float(np.mean(ppv)) if ppv else 0.0,
        "f1": float(np.mean([f1(siou, ppv, 0.25 + 0.05 * i) for i in range(11)])),
    }


cases = [
    case("one image", [scene(20, 30, 4, 8, 0.2)], 3, 2),
    case("three images", [scene(24, 32, 5, 9, 0.4) for _ in range(3)], 5, 4),
    case("noise", [scene(24, 32, 5, 9, 1.5) for _ in range(2)], 2, 3),
    case("no minimum", [scene(16, 16, 3, 6, 0.3) for _ in range(2)], 0, 0),
]
# One prediction over two objects, and one object in two predictions.
labels = np.zeros((12, 20), np.uint8)
labels[2:6, 2:6] = labels[2:6, 8:12] = labels[8:11, 2:18] = 1
scores = np.zeros((12, 20), np.float32)
scores[2:6, 2:12] = scores[8:11, 2:8] = scores[8:11, 11:18] = 1
cases.append(case("split and merged", [(scores, labels)], 4, 4))
# Two pixels that touch at a corner are one object; a small true object and the prediction there do not count.
labels = np.zeros((10, 10), np.uint8)
labels[0, 0] = labels[1, 1] = labels[5:9, 5:9] = 1
labels[6, 6] = 255
scores = (labels == 1).astype(np.float32)
scores[6, 6] = 1
scores[5, 9] = 1
cases.append(case("corners, holes, small truth", [(scores, labels)], 2, 3))
cases.append(case("nothing predicted is left", [(scores, labels)], 50, 1))
print(json.dumps(cases))
