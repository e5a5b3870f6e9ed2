"""EfficientViT-Seg-B0 in PyTorch.

Written from Cai et al., "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction"
(ICCV 2023). Parameter names follow the published checkpoint, so that its ``state_dict`` loads strictly.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
WIDTHS = (8, 16, 32, 64, 128)  # stem, stages 1 to 4
DIM = 16  # channels of one attention head
EXPAND = 4  # of every inverted bottleneck
HEAD = 32  # channels of the segmentation head
CLASSES = 19


class ConvLayer(nn.Module):
    """Convolution ("same" padding), optional BatchNorm, optional hard-swish."""

    def __init__(self, cin, cout, kernel=3, stride=1, groups=1, bias=False, norm=True, act=True):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(cout) if norm else None
        self.act = nn.Hardswish() if act else None

    def forward(self, x):
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.act is None else self.act(x)


class DSConv(nn.Module):
    """Depthwise 3x3 with activation, then a linear 1x1."""

    def __init__(self, channels):
        super().__init__()
        self.depth_conv = ConvLayer(channels, channels, groups=channels)
        self.point_conv = ConvLayer(channels, channels, 1, act=False)

    def forward(self, x):
        return self.point_conv(self.depth_conv(x))


class MBConv(nn.Module):
    """Inverted bottleneck; with ``bias`` the first two convolutions have one in place of BatchNorm."""

    def __init__(self, cin, cout, stride=1, bias=False):
        super().__init__()
        mid = cin * EXPAND
        free = {"bias": bias, "norm": not bias}
        self.inverted_conv = ConvLayer(cin, mid, 1, **free)
        self.depth_conv = ConvLayer(mid, mid, 3, stride, groups=mid, **free)
        self.point_conv = ConvLayer(mid, cout, 1, act=False)

    def forward(self, x):
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))


class LiteMLA(nn.Module):
    """ReLU linear attention over the projected q, k, v and a 5x5 aggregated copy of them."""

    def __init__(self, channels):
        super().__init__()
        heads = channels // DIM
        total = 3 * heads * DIM
        self.qkv = ConvLayer(channels, total, 1, norm=False, act=False)
        self.aggreg = nn.ModuleList([
            nn.Sequential(
                nn.Conv2d(total, total, 5, padding=2, groups=total, bias=False),
                nn.Conv2d(total, total, 1, groups=3 * heads, bias=False),
            )
        ])
        self.proj = ConvLayer(2 * heads * DIM, channels, 1, act=False)

    def forward(self, x):
        qkv = self.qkv(x)
        b, _, h, w = qkv.shape
        scales = torch.cat([qkv] + [op(qkv) for op in self.aggreg], dim=1)
        q, k, v = scales.reshape(b, -1, 3 * DIM, h * w).split(DIM, dim=2)
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

    def __init__(self, channels):
        super().__init__()
        self.context_module = Residual(LiteMLA(channels))
        self.local_module = Residual(MBConv(channels, channels, bias=True))

    def forward(self, x):
        return self.local_module(self.context_module(x))


class OpList(nn.Module):
    """A sequence whose parameters are named ``op_list.N``."""

    def __init__(self, *ops):
        super().__init__()
        self.op_list = nn.ModuleList(ops)

    def forward(self, x):
        for op in self.op_list:
            x = op(x)
        return x


class Upsample(nn.Module):
    """Bicubic resampling by an integer factor, half-pixel centres."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return F.interpolate(x, scale_factor=self.factor, mode="bicubic", align_corners=False)


class Backbone(nn.Module):
    """Stem (/2) and four stages (/4 to /32); the last two have attention."""

    def __init__(self):
        super().__init__()
        w = WIDTHS
        self.input_stem = OpList(ConvLayer(3, w[0], 3, 2), Residual(DSConv(w[0])))
        self.stages = nn.ModuleList()
        for i in range(1, 5):
            attention = i >= 3
            first = Plain(MBConv(w[i - 1], w[i], 2, attention))
            rest = [AttentionBlock(w[i]) for _ in range(2)] if attention else [Residual(MBConv(w[i], w[i]))]
            self.stages.append(OpList(first, *rest))

    def forward(self, x):
        x, out = self.input_stem(x), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class SegHead(nn.Module):
    """Sum of stages 4, 3 and 2 at stride 8, an inverted bottleneck, the classifier."""

    def __init__(self):
        super().__init__()
        w = WIDTHS
        self.input_ops = nn.ModuleList([
            OpList(ConvLayer(w[4], HEAD, 1, act=False), Upsample(4)),
            OpList(ConvLayer(w[3], HEAD, 1, act=False), Upsample(2)),
            ConvLayer(w[2], HEAD, 1, act=False),
        ])
        self.middle = OpList(Residual(MBConv(HEAD, HEAD)))
        self.output_ops = nn.ModuleList([
            OpList(ConvLayer(HEAD, 4 * HEAD, 1), ConvLayer(4 * HEAD, CLASSES, 1, bias=True, norm=False, act=False))
        ])

    def forward(self, stages):
        x = sum(op(stages[s]) for op, s in zip(self.input_ops, (3, 2, 1)))
        return self.output_ops[0](self.middle(x))


class EfficientViTSeg(nn.Module):
    """RGB uint8 [B,H,W,3], H and W multiples of 32, to class logits float32 [B,19,H/8,W/8]."""

    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.head = SegHead()

    def forward(self, rgb):
        x = rgb.permute(0, 3, 1, 2).float() / 255
        mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
        x = ((x - mean) / std).contiguous(memory_format=torch.channels_last)
        return self.head(self.backbone(x))


def load(path: str) -> EfficientViTSeg:
    """Reads the published checkpoint, or a fine-tuned one in safetensors; evaluation mode."""
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        weights = load_file(path)
    else:
        weights = torch.load(path, map_location="cpu")["state_dict"]
    net = EfficientViTSeg()
    weights = {k: v for k, v in net.state_dict().items() if not v.is_floating_point()} | weights  # BatchNorm's counters
    net.load_state_dict(weights, strict=True)
    return net.to(memory_format=torch.channels_last).eval()


def fold(net: EfficientViTSeg) -> None:
    """Moves every BatchNorm's scale into its convolution, in place: statistics 0 and 1, weight 1, only a bias left.

    The network computes the same. A tenth of the channels have scales of 150 to 1400, by which the optimiser's steps on
    unfolded weights would be multiplied.
    """
    for m in net.modules():
        if isinstance(m, ConvLayer) and m.norm is not None:
            n = m.norm
            with torch.no_grad():
                scale = n.weight / torch.sqrt(n.running_var + n.eps)
                m.conv.weight *= scale[:, None, None, None]
                n.bias -= n.running_mean * scale
                n.weight.fill_(1)
                n.running_mean.fill_(0)
                n.running_var.fill_(1 - n.eps)
            n.weight.requires_grad_(False)
