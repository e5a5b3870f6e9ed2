"""Computes sized.json: the rule sized on a small made-up picture, in numpy, independently of the Go code.

Run: python3 sized.py > sized.json (needs numpy)
"""

import json

import numpy as np

W, H, CELL, SURROUNDINGS = 26, 14, 8, 56  # a box of 7 cells
A, WEIGHT, LARGE, CROWDED = 2.0, 0.25, 1.0, 2.0
SCALES = {"diffusion": [0.1, 0.8], "unclaimed": [-0.2, 1.3], "contrast": [0.05, 0.6]}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def made(phase, gain):
    """A smooth map with one large and one small strange thing."""
    y, x = np.mgrid[0:H, 0:W].astype(float)
    base = gain * np.sin(0.37 * x + phase) * np.cos(0.61 * y - phase)
    large = 4 * np.exp(-(((x - 6) / 3) ** 2 + ((y - 6) / 3) ** 2))
    small = 5 * np.exp(-((x - 19) ** 2 + (y - 9) ** 2) / 0.8)
    return base + large + small


def box(m):
    r = SURROUNDINGS // CELL // 2
    p = np.pad(m, r, mode="symmetric")
    return np.array([[p[i : i + 2 * r + 1, j : j + 2 * r + 1].mean() for j in range(W)] for i in range(H)])


def trous(v, colours):
    for step in (1, 2, 4):
        total, weight = np.zeros_like(v), np.zeros_like(v)
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                for y in range(H):
                    for x in range(W):
                        i, j = y + dy * step, x + dx * step
                        if 0 <= i < H and 0 <= j < W:
                            d = ((colours[y, x] - colours[i, j]) ** 2).sum()
                            q = np.exp(-(dx * dx + dy * dy) / (2 * 1.5**2) - d / (2 * 0.07**2))
                            total[y, x] += q * v[i, j]
                            weight[y, x] += q
        v = total / weight
    return v


def main():
    d, h, lse = made(0.3, 0.7), made(1.9, 0.5), -made(2.7, 0.9)
    y, x = np.mgrid[0:H, 0:W].astype(float)
    colours = np.stack([0.5 + 0.2 * np.tanh(x - 12), 0.4 + 0.02 * np.sin(x), 0.5 + 0.03 * np.cos(y)], -1)
    scaled = {k: lambda m, k=k: (m - SCALES[k][0]) / SCALES[k][1] for k in SCALES}
    big, un = scaled["diffusion"](d), scaled["unclaimed"](h)
    contrast = scaled["contrast"](box(lse) - lse)
    b = (big + A * un) / (1 + A)
    around = box(b)
    v = b + sigmoid(2 * (around - LARGE)) * (trous(b, colours) - b)
    third = WEIGHT * np.maximum(contrast, 0) * sigmoid(2 * (b - 0.5)) * sigmoid(2 * (CROWDED - around))
    voices = np.argmax(np.stack([big / (1 + A), A * un / (1 + A), third]), 0)
    flat = lambda m: [round(float(q), 7) for q in np.asarray(m).reshape(-1)]
    print(
        json.dumps(
            {
                "width": W, "height": H, "cell": CELL, "surroundings": SURROUNDINGS, "unclaimed_weight": A,
                "lse_weight": WEIGHT, "large": LARGE, "crowded": CROWDED, "scales": SCALES,
                "diffusion": flat(d), "unclaimed": flat(h), "lse": flat(lse), "colours": flat(colours),
                "want": flat(v + third), "voices": [int(q) for q in voices.reshape(-1)],
            }
        )
    )


main()
