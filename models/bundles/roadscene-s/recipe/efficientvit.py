"""EfficientViT segmentation network in PyTorch.

Written from Cai et al., "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction"
(ICCV 2023).  Parameter names follow the published checkpoints, so a published ``state_dict`` loads strictly.
The same code, with other widths, is the student of this recipe.
"""

from dataclasses import asdict, dataclass
from typing import Dict, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config:
    """Sizes of one network; the defaults are EfficientViT-Seg-B0."""

    widths: Tuple[int, ...] = (8, 16, 32, 64, 128)  # stem, stage1 .. stage4
    depths: Tuple[int, ...] = (1, 2, 2, 2, 2)  # residual blocks in the stem, blocks per stage
    dim: int = 16  # channels of one attention head
    expand: int = 4  # expansion of every inverted bottleneck
    head_width: int = 32
    head_depth: int = 1
    final_expand: int = 4
    classes: int = 19
    upsample: str = "bicubic"  # in the segmentation head: bicubic or bilinear
    norm_eps: float = 1e-5

    def to_dict(self) -> dict:
        """Plain dictionary, as stored beside a checkpoint."""
        return asdict(self)


B0 = Config()


class ConvLayer(nn.Module):
    """Convolution ("same" padding), optional BatchNorm, optional hard-swish."""

    def __init__(self, cin, cout, kernel=3, stride=1, groups=1, bias=False, norm=True, act=True, eps=1e-5):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(cout, eps=eps) if norm else None
        self.act = nn.Hardswish() if act else None

    def forward(self, x):
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.act is None else self.act(x)


class DSConv(nn.Module):
    """Depthwise 3x3 with activation, then a linear 1x1."""

    def __init__(self, cin, cout, eps):
        super().__init__()
        self.depth_conv = ConvLayer(cin, cin, 3, groups=cin, eps=eps)
        self.point_conv = ConvLayer(cin, cout, 1, act=False, eps=eps)

    def forward(self, x):
        return self.point_conv(self.depth_conv(x))


class MBConv(nn.Module):
    """Inverted bottleneck: 1x1 expand, depthwise 3x3, linear 1x1.

    With ``fewer_norm`` the first two convolutions carry a bias in place of BatchNorm.
    """

    def __init__(self, cin, cout, stride, expand, fewer_norm, eps):
        super().__init__()
        mid = cin * expand
        free = dict(bias=fewer_norm, norm=not fewer_norm, eps=eps)
        self.inverted_conv = ConvLayer(cin, mid, 1, **free)
        self.depth_conv = ConvLayer(mid, mid, 3, stride, groups=mid, **free)
        self.point_conv = ConvLayer(mid, cout, 1, act=False, eps=eps)

    def forward(self, x):
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))


class GroupedPointwise(nn.Conv2d):
    """Grouped 1x1 convolution as one batched matrix product: PyTorch's CPU path loops over the groups."""

    def forward(self, x):
        b, _, h, w = x.shape
        weight = self.weight.view(self.groups, -1, self.in_channels // self.groups)
        return torch.matmul(weight, x.reshape(b, self.groups, -1, h * w)).reshape(b, -1, h, w)


class LiteMLA(nn.Module):
    """Multi-scale ReLU linear attention: the projected q, k, v and a 5x5 aggregated copy of them."""

    def __init__(self, channels, dim, eps):
        super().__init__()
        self.dim = dim
        heads = channels // dim
        total = 3 * heads * dim
        self.qkv = ConvLayer(channels, total, 1, norm=False, act=False)
        self.aggreg = nn.ModuleList([
            nn.Sequential(
                nn.Conv2d(total, total, 5, padding=2, groups=total, bias=False),
                GroupedPointwise(total, total, 1, groups=3 * heads, bias=False),
            )
        ])
        self.proj = ConvLayer(2 * heads * dim, channels, 1, act=False, eps=eps)

    def forward(self, x):
        qkv = self.qkv(x)
        b, _, h, w = qkv.shape
        scales = torch.cat([qkv] + [op(qkv) for op in self.aggreg], dim=1)
        q, k, v = scales.reshape(b, -1, 3 * self.dim, h * w).float().split(self.dim, dim=2)
        q, k = F.relu(q), F.relu(k)
        v = F.pad(v, (0, 0, 0, 1), value=1.0)  # a row of ones gathers the normaliser
        out = torch.matmul(torch.matmul(v, k.transpose(-1, -2)), q)
        out = out[:, :, :-1] / (out[:, :, -1:] + 1e-15)
        return self.proj(out.reshape(b, -1, h, w))


class Residual(nn.Module):
    """``x + main(x)``."""

    def __init__(self, main):
        super().__init__()
        self.main = main

    def forward(self, x):
        return x + self.main(x)


class Plain(nn.Module):
    """``main(x)``; exists so that parameter names match Residual's."""

    def __init__(self, main):
        super().__init__()
        self.main = main

    def forward(self, x):
        return self.main(x)


class AttentionBlock(nn.Module):
    """Global context (LiteMLA) followed by local context (MBConv), both residual."""

    def __init__(self, channels, cfg):
        super().__init__()
        self.context_module = Residual(LiteMLA(channels, cfg.dim, cfg.norm_eps))
        self.local_module = Residual(MBConv(channels, channels, 1, cfg.expand, True, cfg.norm_eps))

    def forward(self, x):
        return self.local_module(self.context_module(x))


class OpList(nn.Module):
    """A sequence whose parameters are named ``op_list.N``."""

    def __init__(self, ops):
        super().__init__()
        self.op_list = nn.ModuleList(ops)

    def forward(self, x):
        for op in self.op_list:
            x = op(x)
        return x


class Upsample(nn.Module):
    """Resampling by an integer factor, half-pixel centres."""

    def __init__(self, factor, mode):
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x):
        return F.interpolate(x, scale_factor=self.factor, mode=self.mode, align_corners=False)


class Backbone(nn.Module):
    """Stem (/2) and four stages (/4 .. /32); the last two carry attention."""

    def __init__(self, cfg: Config):
        super().__init__()
        eps, w = cfg.norm_eps, cfg.widths
        stem = [ConvLayer(3, w[0], 3, 2, eps=eps)]
        stem += [Residual(DSConv(w[0], w[0], eps)) for _ in range(cfg.depths[0])]
        self.input_stem = OpList(stem)
        self.stages = nn.ModuleList()
        for i in range(1, 5):
            attention = i >= 3
            ops = [Plain(MBConv(w[i - 1], w[i], 2, cfg.expand, attention, eps))]
            if attention:
                ops += [AttentionBlock(w[i], cfg) for _ in range(cfg.depths[i])]
            else:
                ops += [Residual(MBConv(w[i], w[i], 1, cfg.expand, False, eps)) for _ in range(cfg.depths[i] - 1)]
            self.stages.append(OpList(ops))

    def forward(self, x) -> Dict[str, torch.Tensor]:
        x = self.input_stem(x)
        out = {}
        for i, stage in enumerate(self.stages, start=1):
            x = stage(x)
            out[f"stage{i}"] = x
        return out


class SegHead(nn.Module):
    """Sum of stage 4, 3 and 2 at stride 8, inverted bottlenecks, classifier."""

    def __init__(self, cfg: Config):
        super().__init__()
        eps, hw, w = cfg.norm_eps, cfg.head_width, cfg.widths
        self.input_ops = nn.ModuleList([
            OpList([ConvLayer(w[4], hw, 1, act=False, eps=eps), Upsample(4, cfg.upsample)]),
            OpList([ConvLayer(w[3], hw, 1, act=False, eps=eps), Upsample(2, cfg.upsample)]),
            ConvLayer(w[2], hw, 1, act=False, eps=eps),
        ])
        self.middle = OpList([Residual(MBConv(hw, hw, 1, cfg.expand, False, eps)) for _ in range(cfg.head_depth)])
        wide = hw * cfg.final_expand
        self.output_ops = nn.ModuleList([
            OpList([
                ConvLayer(hw, wide, 1, eps=eps),
                ConvLayer(wide, cfg.classes, 1, bias=True, norm=False, act=False),
            ])
        ])

    def forward(self, f):
        x = self.input_ops[0](f["stage4"]) + self.input_ops[1](f["stage3"]) + self.input_ops[2](f["stage2"])
        head = self.middle(x)
        return head, self.output_ops[0](head)


class EfficientViTSeg(nn.Module):
    """Segmenter.  Input float32[B,3,H,W] normalised, H and W multiples of 32.

    Returns stage1 .. stage4 (/4 .. /32), head (/8, before the classifier) and logits (/8).
    """

    def __init__(self, cfg: Config = B0):
        super().__init__()
        self.cfg = cfg
        self.backbone = Backbone(cfg)
        self.head = SegHead(cfg)

    def forward(self, x) -> Dict[str, torch.Tensor]:
        f = self.backbone(x)
        f["head"], f["logits"] = self.head(f)
        return f


def preprocess(rgb: torch.Tensor) -> torch.Tensor:
    """uint8 [B,H,W,3] RGB to normalised float32 [B,3,H,W]."""
    x = rgb.permute(0, 3, 1, 2).float() / 255.0
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (x - mean) / std


def load(path: str, cfg: Config = None) -> EfficientViTSeg:
    """Reads a checkpoint {"state_dict": …[, "config": …]} strictly; evaluation mode."""
    file = torch.load(path, map_location="cpu")
    if cfg is None:
        cfg = Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in file.get("config", {}).items()})
    net = EfficientViTSeg(cfg)
    net.load_state_dict(file["state_dict"], strict=True)
    return net.eval()


def fuse(net: EfficientViTSeg) -> EfficientViTSeg:
    """Folds every BatchNorm into its convolution, in place; evaluation only."""
    for m in net.modules():
        if isinstance(m, ConvLayer) and m.norm is not None:
            m.conv = nn.utils.fusion.fuse_conv_bn_eval(m.conv.eval(), m.norm.eval())
            m.norm = None
    return net
