"""DeepLabV3+ and DeepLabV3 through ONNX: segmentation-models-pytorch's and torchvision's networks, exported as their users do, with
a tensor of the encoder as the features. Class scores are compared in onnx_exports.py: an import takes those before the enlargement."""
import segmentation_models_pytorch as smp
import torch, torchvision
from torch import nn

from oracle import Case, called, fill, picture, version


class Exported(nn.Module):
    """Gives the features beside the logits, so that the export names both."""

    def __init__(self, logits, features):
        super().__init__()
        self.net, self.features = logits, features

    def forward(self, x):
        return self.net(x), self.features(x)


def deeplab_plus():
    net = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=19)
    return Exported(net, lambda x: net.encoder(x)[4])


class Body(nn.Module):
    """torchvision returns a dictionary."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def deeplab():
    net = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    return Exported(Body(net), lambda x: net.backbone(x)["out"])


for name, oracle, build in (
    ("deeplabv3+ resnet18 onnx", "segmentation-models-pytorch", deeplab_plus), ("deeplabv3 mobilenet onnx", "torchvision", deeplab),
):
    case = Case(name, version(oracle), ["onnx", "net.onnx", "--features", "features", "--logits", "logits"])
    net = fill(build())
    with torch.no_grad():
        torch.onnx.export(net, (torch.zeros(1, 3, 96, 128),), case.file("net.onnx"), input_names=["image"], dynamo=False,
                          output_names=["logits", "features"], opset_version=17,
                          dynamic_axes={k: {2: "h", 3: "w"} for k in ("image", "logits", "features")})
    net = net.double()
    for size in ((128, 64),), ((150, 100), (160, 96)):
        key = called(*size[0], *size[1:])
        with torch.no_grad():
            _, features = net(picture(*size[0], *size[1:]))
        case.grid(key + "/features", features)
    case.write()
