"""Segmentation networks and backbones as exporters write them to ONNX, and what ONNX Runtime computes with the file as it is:
both exporters of PyTorch, operator sets 9 to 23, weights beside the file, one size, tokens with registers, and,
where TensorFlow is installed, channels last."""
import importlib.util, os
import onnx, onnxruntime, timm, torch, torchvision
import segmentation_models_pytorch as smp
from torch import nn
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from oracle import Case, called, fill, picture, version

SIZES = ((128, 64),), ((150, 100), (160, 96))


def at(op, nth=-1):
    """The result of an operator of a type, by its place."""
    return lambda graph: [n for n in graph.node if n.op_type == op][nth].output[0]


def before(op, nth=-1):
    """What goes into one."""
    return lambda graph: [n for n in graph.node if n.op_type == op][nth].input[0]


def compute(path, feeds, tensors):
    """Runs the file as it is, with inner tensors as further outputs."""
    model = onnx.load(path, load_external_data=False)
    have = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in dict.fromkeys(tensors) if t not in have)
    tapped = os.path.join(os.path.dirname(path), "tapped.onnx")
    onnx.save(model, tapped)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tapped, options, providers=["CPUExecutionProvider"])
    os.remove(tapped)
    (given,) = session.get_inputs()
    return [torch.from_numpy(v) for v in session.run(tensors, {given.name: feeds})]


class Export:
    """A case of one file."""

    def __init__(self, network, oracle, features, logits=None, sizes=SIZES, flags=(), last=False):
        self.case = Case("onnx " + network, oracle + ", " + version("onnxruntime"), [])
        self.path, self.features, self.logits = self.case.file("net.onnx"), features, logits
        self.sizes, self.flags, self.last = sizes, list(flags), last

    def torch(self, net, opset, dynamo, free=True, **kw):
        """free leaves height and width open."""
        x = picture(*self.sizes[0][0]).float()
        if dynamo:
            shapes = ({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},) if free else None
            torch.onnx.export(net, (x,), self.path, dynamo=True, opset_version=opset, dynamic_shapes=shapes, verify=False, **kw)
        else:
            axes = {"image": {2: "the height / 1", 3: ""}} if free else None
            torch.onnx.export(net, (x,), self.path, dynamo=False, opset_version=opset, input_names=["image"], dynamic_axes=axes, **kw)
        return self

    def write(self, layout="nchw", grid=lambda y, x: y):
        """layout: of the features; tokens are those of patches of 16 pixels. grid: how the logits become those of the map."""
        graph = onnx.load(self.path, load_external_data=False).graph
        tensors = [t(graph) for t in (self.features, self.logits) if t]
        self.case.about["import"] = ["onnx", "net.onnx", "--features", tensors[0], *self.flags]
        for size in self.sizes:
            x, key = picture(*size[0], *size[1:]).float(), called(*size[0], *size[1:])
            feeds = x.permute(0, 2, 3, 1) if self.last else x
            out = compute(self.path, feeds.numpy(), tensors)
            if layout == "tokens":
                h, w = (n // 16 for n in x.shape[2:])
                self.case.expect(key + "/features", out[0][0][-h * w:].reshape(h, w, -1))
            elif layout == "nhwc":
                self.case.expect(key + "/features", out[0][0])
            else:
                self.case.grid(key + "/features", out[0])
            if self.logits:
                self.case.logits(key, grid(out[1], x))
        self.case.write()


def scaled(side):
    """Bilinear, to cells of so many pixels."""
    return lambda y, x: F.interpolate(y, size=[n // side for n in x.shape[2:]], mode="bilinear", align_corners=False)


class Outputs(nn.Module):
    """torchvision's segmentation networks return a dictionary."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return tuple(self.net(x).values())


vision, sizes = torchvision.models.segmentation, dict(weights=None, weights_backbone=None, num_classes=7)
tv = version("torchvision", "onnx")

# The head's convolutions of 1×1 before its classifier, and the classifier, in front of the last Resize.
net = Outputs(fill(vision.lraspp_mobilenet_v3_large(**sizes))).eval()
Export("lraspp, opset 11", tv, at("Relu"), before("Resize")).torch(net, 11, False).write()
Export("lraspp, opset 18, weights beside", tv, at("Relu"), before("Resize")).torch(net, 18, True, external_data=True).write()
net = Outputs(fill(vision.deeplabv3_mobilenet_v3_large(aux_loss=True, **sizes))).eval()
Export("deeplabv3, opset 17, auxiliary head", tv, at("Relu", -2), before("Resize", -2)).torch(
    net, 17, False, output_names=["out", "aux"]).write(grid=scaled(8))
net = Outputs(fill(vision.fcn_resnet50(**sizes))).eval()
Export("fcn, opset 9, 128x64 only", tv, at("Relu"), at("Conv"), SIZES[:1]).torch(net, 9, False, free=False).write()
Export("fcn, opset 23", tv, at("Relu"), before("Resize")).torch(net, 23, True).write()

unet = fill(smp.Unet("resnet18", encoder_weights=None, classes=5))
Export("unet, opset 13", version("segmentation-models-pytorch"), at("Relu", -8), at("Conv")).torch(unet, 13, False).write(
    grid=lambda y, x: F.avg_pool2d(y, 8))

segformer = fill(SegformerForSemanticSegmentation(SegformerConfig(num_labels=19)))


class Logits(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).logits


Export("segformer-b0, opset 20", version("transformers"), at("Relu"), at("Conv"), SIZES[:1]).torch(
    Logits(segformer).eval(), 20, True, free=False).write()

vit = fill(timm.models.vision_transformer.VisionTransformer(
    img_size=(64, 128), patch_size=16, embed_dim=192, depth=4, num_heads=3, reg_tokens=4, num_classes=0, global_pool=""))
Export("vit with registers, opset 18", version("timm"), at("LayerNormalization"), None, SIZES[:1]).torch(
    vit, 18, True, free=False).write("tokens")
swin = fill(timm.create_model("swin_tiny_patch4_window7_224", img_size=(64, 128), window_size=4, num_classes=0, global_pool=""))
Export("swin, channels last inside", version("timm"), at("LayerNormalization"), None, SIZES[:1]).torch(
    swin, 18, True, free=False).write("nhwc")
convnext = fill(timm.create_model("convnext_atto", num_classes=0, global_pool=""))
Export("convnext, opset 17", version("timm"), at("Add"), None, flags=["--logits", "none"]).torch(convnext, 17, False).write()

if importlib.util.find_spec("tensorflow") and importlib.util.find_spec("tf2onnx"):
    import tensorflow as tf, tf2onnx

    def mobilenet(end):
        tf.keras.utils.set_random_seed(1)
        image = tf.keras.Input((None, None, 3), name="image")
        body = tf.keras.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_tensor=image)
        x = body.get_layer("block_13_expand_relu").output
        y = tf.keras.layers.Conv2D(5, 1)(x)
        return tf.keras.Model(image, end(y))

    e = Export("keras mobilenetv2, channels last", version("tensorflow_cpu", "tf2onnx"), at("Clip"), before("Transpose"), last=True)
    net = mobilenet(lambda y: y)
    run = tf.function(lambda image: net(image, training=False))
    tf2onnx.convert.from_function(run, (tf.TensorSpec((None, None, None, 3), "float32", name="image"),), opset=15, output_path=e.path)
    e.write(grid=scaled(8))
