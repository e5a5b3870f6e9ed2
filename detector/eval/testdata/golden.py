#!/usr/bin/env python3
"""Writes golden.json: the metrics of scikit-learn for small score files, including ties and degenerate cases.

Usage: python3 golden.py > golden.json   (scikit-learn 1.2, numpy 1.24)
Scores are multiples of 1/64, so that they are exact in JSON and in float32.
"""
import json
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

rng = np.random.default_rng(7)


def case(name, scores, labels, images=1):
    scores, labels = np.asarray(scores, np.float32), np.asarray(labels, np.uint8)
    valid = labels != 255
    s, y = scores[valid], labels[valid] == 1
    fpr, tpr, _ = roc_curve(y, s)
    full_fpr, full_tpr, _ = roc_curve(y, s, drop_intermediate=False)
    return {
        "name": name, "images": images, "scores": [float(v) for v in scores], "labels": [int(v) for v in labels],
        "ap": float(average_precision_score(y, s)), "auroc": float(roc_auc_score(y, s)),
        "fpr95": float(fpr[np.argmin(np.abs(tpr - 0.95))]),
        "fpr95_first": float(full_fpr[np.argmax(full_tpr >= 0.95)]),
    }


def quantised(n, shift, labels, step):
    return np.round((rng.normal(size=n) + shift * (labels == 1)) * step) / 64


cases = []
for n, images, step in [(60, 1, 64), (400, 4, 64), (400, 4, 2), (1000, 10, 640)]:
    y = rng.choice([0, 1, 255], size=n, p=[0.8, 0.12, 0.08]).astype(np.uint8)
    y[:2] = [0, 1]
    cases.append(case(f"random n={n} images={images} step={step}", quantised(n, 1.5, y, step), y, images))
y = np.array([0, 1] * 20, np.uint8)
cases.append(case("constant", np.zeros(40), y))
cases.append(case("perfect", y, y))
cases.append(case("inverted", 1.0 - y, y))
cases.append(case("negative zero is zero", np.where(y == 1, 0.0, -0.0), y))
cases.append(case("one positive", np.arange(40) / 64, np.eye(1, 40, 17)[0]))
cases.append(case("one negative", np.arange(40) / 64, np.where(np.arange(40) == 23, 0, 1)))
cases.append(case("two levels", (np.arange(40) % 3 == 0) * 1.0, y, 4))
cases.append(case("ties across images", np.tile([0.5, 0.25, 0.5, 0.75, 0.5], 8), np.tile([0, 1, 1, 1, 0, 0, 0, 255], 5), 8))
cases.append(case("every positive below every negative", np.where(y == 1, -1.0, 2.0), y, 2))
cases.append(case("ends of float32", [3e38, -3e38, 1e-40, -1e-40, 0, -0.0, 1e-39, 3e38], [1, 0, 1, 0, 0, 1, 1, 0]))
print(json.dumps(cases))
