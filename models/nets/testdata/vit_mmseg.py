"""Compares the heads of vit_golden.py with mmsegmentation and with the classes that DOoD derives from it.

Needs what vit_golden.py needs, and mmsegmentation 1.2.2, mmengine 0.10 and mmcv-lite 2.1 from PyPI:
    python vit_mmseg.py .../diffusion-for-ood
It prints differences in names and shapes, and the largest difference of the logits.
"""
import importlib.util, sys, types
import torch
from torch import nn
from torch.nn import functional as F
from vit_golden import SIXTEEN, Published, fill, picture


class Compiled(types.ModuleType):
    """Stands for mmcv's compiled operators, none of which these networks use."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *a, **k: None


sys.modules["mmcv._ext"] = Compiled("mmcv._ext")
import mmseg.models  # noqa: E402, F401
from mmseg.registry import MODELS  # noqa: E402

for file in ("backbones/distilled_vit", "decode_heads/segmenter_mask_head"):
    spec = importlib.util.spec_from_file_location(file.replace("/", "_"), f"{sys.argv[1]}/dood/models/{file}.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))

torch.set_default_dtype(torch.float64)
LOSS = dict(type="CrossEntropyLoss")
VIT = dict(img_size=(64, 64), patch_size=16, in_channels=3, embed_dims=64, num_layers=3, num_heads=4, with_cls_token=True,
           norm_cfg=dict(type="LN", eps=1e-6, requires_grad=True))
for head, backbone, decoder in (
    ("segmenter", dict(VIT, type="DistilledVisionTransformer", final_norm=True, interpolate_mode="bicubic"),
     dict(type="SegmenterMaskTransformerHead", in_channels=64, channels=64, num_classes=5, num_layers=1, num_heads=2,
          embed_dims=64, dropout_ratio=0.0, loss_decode=LOSS)),
    ("naive", dict(VIT, type="VisionTransformer", patch_bias=True, out_indices=(0, 1, 2), interpolate_mode="bilinear"),
     dict(type="SETRUPHead", in_channels=64, channels=24, in_index=2, num_classes=5, dropout_ratio=0, num_convs=1, up_scale=4,
          kernel_size=1, norm_cfg=dict(type="BN", requires_grad=True), loss_decode=LOSS)),
):
    theirs, ours = nn.Module(), Published(head)
    theirs.backbone, theirs.decode_head = MODELS.build(backbone), MODELS.build(decoder)
    a, b = fill(theirs), fill(ours)
    print(head, "other names or shapes:", sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k)))
    for w, h in SIXTEEN:
        with torch.no_grad():
            y, (_, z) = theirs.decode_head(theirs.backbone(picture(w, h))), ours(picture(w, h))
        if head == "segmenter":
            y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        print(f"{head} {w}x{h}: largest difference {float((y - z).abs().max()):.2g} of {float(z.abs().max()):.3g}")
