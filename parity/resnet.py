"""ResNets as torchvision and timm compute them: the ends of the stages at all output strides."""
import timm, torch, torchvision
from safetensors.torch import save_file
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from oracle import Case, Golden, called, fill, picture, version

SIZES = ((128, 64),), ((150, 100), (160, 96))
# Output stride: torchvision's dilated stages, and the features that ask for them.
STRIDES = {
    32: ([False, False, False], ["stage1@4", "stage2@8", "stage3@16", "stage4@32"]),
    16: ([False, False, True], ["stage4@16"]),
    8: ([False, True, True], ["stage3@8", "stage4@8"]),
}


def stages(net, x):
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    out = []
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        out.append(x := layer(x))
    return out


for name, depths, options in (
    ("resnet50", [3, 4, 6, 3], {}),
    ("resnet101", [3, 4, 23, 3], {}),
    ("wide_resnet50_2", [3, 4, 6, 3], dict(width_per_group=128)),
):
    case = Case("torchvision " + name, version("torchvision"), ["resnet", name + ".pth"])
    net = fill(getattr(torchvision.models, name)())
    torch.save(net.state_dict(), case.file(name + ".pth"))
    for size in SIZES:
        for stride, (dilate, taps) in STRIDES.items():
            if stride < 32 and name != "resnet50":
                continue
            net = ResNet(Bottleneck, depths, replace_stride_with_dilation=dilate, **options)
            out = stages(fill(net).double(), picture(*size[0], *size[1:]))
            for tap in taps:
                case.grid(f"{called(*size[0], *size[1:])}/features {tap}", out[int(tap[5]) - 1])
    case.write()

for name in ("resnet18", "resnet34", "resnext50_32x4d"):
    case = Case("timm " + name, version("timm"), ["resnet", "model.safetensors"])
    net = fill(timm.create_model(name))
    save_file(net.state_dict(), case.file("model.safetensors"))
    for size in SIZES:
        for stride in (32, 8) if name == "resnet18" else (32,):
            net = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4), output_stride=stride)
            net.load_state_dict({k: v for k, v in fill(timm.create_model(name)).state_dict().items() if not k.startswith("fc.")})
            for tap, x in zip(["stage1@4", "stage2@8", f"stage3@{min(16, stride)}", f"stage4@{stride}"], net.eval().double()(picture(*size[0], *size[1:]))):
                if stride == 32 or tap > "stage3":
                    case.grid(f"{called(*size[0], *size[1:])}/features {tap}", x)
    case.write()

golden = Golden("resnet")
for name, block, depths, options in (
    ("resnet18", BasicBlock, [2, 2, 2, 2], {}),
    ("bottleneck", Bottleneck, [1, 2, 1, 1], dict(groups=4, width_per_group=16)),
):
    for stride, (dilate, taps) in STRIDES.items() if block is Bottleneck else [(32, STRIDES[32])]:
        net = fill(ResNet(block, depths, replace_stride_with_dilation=dilate, num_classes=3, **options))
        golden.network(name, net)
        for w, h in ((128, 64), (160, 96)):
            out = stages(net.double(), picture(w, h))
            for tap in taps:
                golden.keep(f"{name}/{w}x{h}/{tap}", out[int(tap[5]) - 1][0].permute(1, 2, 0))
for w, h in ((128, 64), (160, 96)):  # dilated basic blocks, which torchvision does not have
    net = timm.create_model("resnet18", features_only=True, out_indices=(3, 4), output_stride=8)
    net.load_state_dict({k: v for k, v in fill(timm.create_model("resnet18")).state_dict().items() if not k.startswith("fc.")})
    for tap, x in zip(("stage3@8", "stage4@8"), net.eval().double()(picture(w, h))):
        golden.keep(f"resnet18/{w}x{h}/{tap}", x[0].permute(1, 2, 0))
golden.write()
