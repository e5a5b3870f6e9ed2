"""EfficientViT segmentation networks as their authors' repository computes them: B0 with the published weights if they are in
OODCAST_DATA/encoders, B0 and B1 with random ones."""
import os, sys, types
import torch

from oracle import SOURCES, Case, called, fill, picture

sys.path.insert(0, os.path.join(SOURCES, "efficientvit"))
# The package itself imports networks, and their tools, that this comparison does not need.
package = sys.modules["efficientvit.models.efficientvit"] = types.ModuleType("efficientvit.models.efficientvit")
package.__path__ = [os.path.join(SOURCES, "efficientvit", "efficientvit", "models", "efficientvit")]
norm = sys.modules["efficientvit.models.nn.triton_rms_norm"] = types.ModuleType("efficientvit.models.nn.triton_rms_norm")
norm.TritonRMSNorm2dFunc = None  # needs a GPU
training = sys.modules["efficientvit.apps.trainer.run_config"] = types.ModuleType("efficientvit.apps.trainer.run_config")
training.Scheduler = None
from efficientvit.models.efficientvit.seg import efficientvit_seg_b0, efficientvit_seg_b1  # noqa: E402

PUBLISHED = os.path.join(os.environ.get("OODCAST_DATA", ""), "encoders", "efficientvit_seg_b0_cityscapes.pt")
for name, build in (("b0 published", efficientvit_seg_b0), ("b0", efficientvit_seg_b0), ("b1", efficientvit_seg_b1)):
    published = name.endswith("published")
    if published and not os.path.exists(PUBLISHED):
        print("no", PUBLISHED)
        continue
    net = build(dataset="cityscapes").eval()
    case = Case("efficientvit-seg " + name, "mit-han-lab/efficientvit@de7d773", ["efficientvit-seg", "weights.pt"],
                "published" if published else "random")
    if published:
        net.load_state_dict(torch.load(PUBLISHED, map_location="cpu", weights_only=True)["state_dict"])
        if not os.path.lexists(case.file("weights.pt")):
            os.symlink(PUBLISHED, case.file("weights.pt"))
    else:
        torch.save({"state_dict": fill(net).state_dict()}, case.file("weights.pt"))
    net = net.double()
    for size in ((128, 64),), ((150, 100), (160, 96)):
        x, key = picture(*size[0], *size[1:]), called(*size[0], *size[1:])
        for i, stride in ((2, 8), (3, 16), (4, 32)):
            case.grid(f"{key}/features stage{i}@{stride}", net.backbone(x)[f"stage{i}"])
        case.logits(key, net(x))
    case.write()
