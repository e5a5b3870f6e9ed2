"""ESPNetv2 as its authors' EdgeNets computes it, with the published weights if there are any in OODCAST_DATA/encoders."""
import argparse, contextlib, io, os, sys
import torch
from torch.nn import functional as F

from oracle import SOURCES, Case, Golden, called, fill, picture

sys.path.insert(0, os.path.join(SOURCES, "EdgeNets"))
from model.segmentation.espnetv2 import espnetv2_seg  # noqa: E402

ORACLE = "sacmehta/EdgeNets@2b232d3"
PUBLISHED = os.path.join(os.environ.get("OODCAST_DATA", ""), "encoders", "espnetv2_s_2.0_")
TAPS = ["stage1@2", "stage2@4", "stage3@8", "stage4@16", "decoder1@16", "decoder2@8", "decoder3@4"]


def network(scale, dataset, classes):
    with contextlib.redirect_stdout(io.StringIO()):
        return espnetv2_seg(argparse.Namespace(classes=classes, s=scale, weights="", dataset=dataset)).eval()


def run(net, x):
    """Returns all stages, and the logits at stride 8."""
    base, got = net.base_net, {}
    hooks = [m.register_forward_hook(lambda m, i, o, tap=tap: got.__setitem__(tap, o)) for tap, m in zip(
        TAPS + ["logits"], [base.level1, base.level2_0, base.level3[-1], base.level4[-1], net.bu_dec_l1, net.bu_dec_l2,
                            net.bu_dec_l3, net.bu_dec_l4])]
    net(x)
    for h in hooks:
        h.remove()
    logits = F.avg_pool2d(got.pop("logits"), 4)
    return got, logits


golden = Golden("espnetv2")
net = fill(network(0.5, "city", 5))
golden.network("small", net)
for w, h in ((128, 64), (224, 160)):
    got, logits = run(net.double(), picture(w, h))
    for tap, x in got.items():
        golden.keep(f"small/{w}x{h}/{tap}", x[0].permute(1, 2, 0))
    golden.keep(f"small/{w}x{h}/logits", logits[0])
golden.write()

for name, scale, dataset, classes in (
    ("city_1024x512", 2.0, "city", 20), ("pascal_384x384", 2.0, "pascal", 21), ("random", 1.0, "city", 20), ("random coco", 0.5, "coco", 21),
):
    file = PUBLISHED + name + ".pth"
    published = not name.startswith("random")
    if published and not os.path.exists(file):
        print("no", file)
        continue
    net = network(scale, dataset, classes)
    case = Case("espnetv2 " + name, ORACLE, ["espnetv2", "weights.pth"], "published" if published else "random")
    if published:
        net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        if not os.path.lexists(case.file("weights.pth")):
            os.symlink(file, case.file("weights.pth"))
    else:
        torch.save(fill(net).state_dict(), case.file("weights.pth"))
    net = net.double()
    for size in ((128, 64),), ((200, 150), (224, 160)), ((1024, 512),):
        key = called(*size[0], *size[1:])
        got, logits = run(net, picture(*size[0], *size[1:]))
        if size[0] != (1024, 512) or published:
            case.logits(key, logits)
            for tap, x in got.items():
                if size[0] != (1024, 512):
                    case.grid(f"{key}/features {tap}", x)
    case.write()
