"""Makes the small networks of this folder with the exporters that people use, and golden.safetensors: what ONNX Runtime
computes with each file as it is, for the picture of models.GoldenImage, every 7th value.

    python golden.py torch      # torch, timm, onnxscript, onnxconverter-common, onnxruntime
    python golden.py keras      # tensorflow, tf2onnx, onnxruntime
"""
import os, sys
import numpy as np
import onnx, onnxruntime
from safetensors.numpy import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
W, H = 96, 64
GOLDEN = os.path.join(HERE, "golden.safetensors")
golden = load_file(GOLDEN) if os.path.exists(GOLDEN) else {}


def pixels(w=W, h=H):
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    return ((x * (3 + c) + y * (5 - c) + x * y * (c + 1) // 16) % 256).astype(np.uint8)


def normalised():
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((pixels() / 255.0 - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]


def compute(name, x, want):
    """Runs the file as it is and keeps the tensors of want, a map from output to the name of a tensor in the file."""
    model = onnx.load(os.path.join(HERE, name + ".onnx"))
    have = {o.name for o in model.graph.output}
    for tensor in want.values():
        if tensor not in have:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    model.ir_version = min(model.ir_version, 11)
    path = os.path.join(HERE, "tapped.onnx")
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    s = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    os.remove(path)
    out = s.run(list(want.values()), {s.get_inputs()[0].name: x})
    for key, v in zip(want, out):
        if key == "features" and v.ndim == 3:  # without the class token and the registers
            v = v[:, 5:]
        if key == "logits last":
            v = v.transpose(0, 3, 1, 2)
        if v.shape[-2:] == (H, W):  # means of 8 × 8 pixels
            v = v.reshape(*v.shape[:2], H // 8, 8, W // 8, 8).mean((3, 5))
        golden[f"{name}/{key}"] = v.astype(np.float32).reshape(-1)[::7].copy()
        print(name, key, want[key], v.shape, "opset", {o.domain: o.version for o in model.opset_import},
              "IR", onnx.load(os.path.join(HERE, name + ".onnx")).ir_version, os.path.getsize(os.path.join(HERE, name + ".onnx")))


def last(name, op, nth=-1):
    """The result of the last operator of a type."""
    return [n for n in onnx.load(os.path.join(HERE, name + ".onnx")).graph.node if n.op_type == op][nth].output[0]


def made_with_torch():
    import torch, timm
    from torch import nn
    from torch.nn import functional as F
    from onnxconverter_common import float16
    torch.manual_seed(1)

    class Tiny(nn.Module):
        """A network of features at stride 8 with what exporters write differently: resizing, reductions, padding, slices."""

        def __init__(self, end="full"):
            super().__init__()
            conv = lambda i, o, s: nn.Sequential(nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o))
            self.a, self.b, self.c, self.d = conv(3, 8, 2), conv(8, 8, 2), conv(8, 16, 2), conv(16, 16, 2)
            self.gate, self.head, self.aux, self.end = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 5, 1), nn.Conv2d(16, 5, 1), end
            self.up = nn.ConvTranspose2d(5, 5, 8, 8, groups=5)
            for m in self.modules():
                if isinstance(m, nn.BatchNorm2d):
                    m.running_mean.uniform_(-0.1, 0.1)
                    m.running_var.uniform_(0.5, 1.5)

        def forward(self, x):
            x = F.relu6(self.b(F.relu(self.a(x))))
            c = F.relu(self.c(x))
            d = self.d(F.pad(c, (1, 1, 1, 1), mode="reflect"))[:, :, 1:, 1:]
            d = d * torch.sigmoid(self.gate(d.mean((2, 3)).unsqueeze(2).unsqueeze(3)))
            left, right = torch.split(d, 8, 1)
            d = torch.cat([right, torch.softmax(left, 1)], 1)
            f = F.relu(c + F.interpolate(d, scale_factor=2.0, mode="bilinear", align_corners=False)
                       + F.interpolate(d, scale_factor=2.0, mode="nearest"))
            if self.end == "transposed":
                return self.up(self.head(f))
            y = F.interpolate(self.head(f), size=(H, W) if self.end == "fixed" else None,
                              scale_factor=None if self.end == "fixed" else 8.0, mode="bilinear", align_corners=False)
            if self.end == "softmax":
                return torch.softmax(y, 1)
            if self.end == "argmax":
                return torch.argmax(y, 1, keepdim=True)
            if self.end == "aux":
                return y, F.interpolate(self.aux(c), scale_factor=8.0, mode="bilinear", align_corners=False)
            return y

    class Tokens(nn.Module):
        """A transformer with a class token and four registers."""

        def __init__(self):
            super().__init__()
            self.vit = timm.models.vision_transformer.VisionTransformer(
                img_size=(H, W), patch_size=8, embed_dim=12, depth=1, num_heads=2, mlp_ratio=1, reg_tokens=4, num_classes=0,
                class_token=True, global_pool="")
            nn.init.normal_(self.vit.reg_token)

        def forward(self, x):
            return self.vit(x)

    x = torch.from_numpy(normalised())
    tiny = Tiny().eval()
    dims = {2: "image height", 3: "w*8"}

    def script(name, net, opset, args=(x,), outputs=("out",), free=True):
        torch.onnx.export(net, args, os.path.join(HERE, name + ".onnx"), dynamo=False, opset_version=opset, input_names=["pixels"],
                          output_names=list(outputs), dynamic_axes={"pixels": dims} if free else None)

    def dynamo(name, net, opset, args=(x,), free=True, **kw):
        shapes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
        torch.onnx.export(net, args, os.path.join(HERE, name + ".onnx"), dynamo=True, opset_version=opset,
                          dynamic_shapes=(shapes,) if free else None, external_data=False, verify=False, **kw)
        model = onnx.load(os.path.join(HERE, name + ".onnx"))
        for part in (*model.graph.node, *model.graph.value_info):  # where in Python each came from
            del part.metadata_props[:]
        onnx.save(model, os.path.join(HERE, name + ".onnx"))

    for opset in (9, 10, 12, 17, 20):
        name = f"script{opset}"
        script(name, tiny, opset)
        compute(name, normalised(), {"features": last(name, "Relu"), "logits": last(name, "Conv")})
    dynamo("dynamo23", tiny, 23)
    compute("dynamo23", normalised(), {"features": last("dynamo23", "Relu"), "logits": last("dynamo23", "Conv")})
    dynamo("fixed", Tiny("fixed").eval(), 18, free=False)
    compute("fixed", normalised(), {"features": last("fixed", "Relu"), "logits": last("fixed", "Conv")})
    script("softmax", Tiny("softmax").eval(), 17)
    compute("softmax", normalised(), {"features": last("softmax", "Relu"), "logits": last("softmax", "Conv")})
    script("argmax", Tiny("argmax").eval(), 17)
    compute("argmax", normalised(), {"features": last("argmax", "Relu"), "logits": last("argmax", "Conv")})
    script("aux", Tiny("aux").eval(), 17, outputs=("out", "aux"))
    compute("aux", normalised(), {"features": last("aux", "Relu"), "logits": last("aux", "Conv", -2)})
    script("transposed", Tiny("transposed").eval(), 17)
    compute("transposed", normalised(), {"features": last("transposed", "Relu"), "logits": "out"})
    script("batch2", tiny, 17, args=(x.repeat(2, 1, 1, 1),))
    dynamo("tokens", Tokens().eval(), 18, free=False)
    compute("tokens", normalised(), {"features": onnx.load(os.path.join(HERE, "tokens.onnx")).graph.output[0].name})
    model = onnx.load(os.path.join(HERE, "script17.onnx"))
    for name, keep in (("half_io", True), ("half", False)):
        half = float16.convert_float_to_float16(onnx.load(os.path.join(HERE, "script17.onnx")), keep_io_types=keep,
                                                op_block_list=["Resize"])
        onnx.save(half, os.path.join(HERE, name + ".onnx"))
        compute(name, normalised().astype(np.float32 if keep else np.float16),
                {"features": last(name, "Relu"), "logits": last(name, "Conv")})


def made_with_keras():
    import tensorflow as tf, tf2onnx
    tf.keras.utils.set_random_seed(1)
    from tensorflow.keras import layers as L

    def net(dtype, end, shape=(None, None, 3)):
        image = L.Input(shape, dtype=dtype, name="image")
        x = image
        if dtype == "uint8":
            x = L.Lambda(lambda t: tf.cast(t, tf.float32))(x)
            x = L.Rescaling(1 / 127.5, offset=-1.0)(x)
        for width in (8, 12, 16):
            x = L.Conv2D(width, 3, 2, "same", use_bias=False)(x)
            x = L.BatchNormalization(moving_mean_initializer="random_normal")(x)
            x = L.ReLU(6.0)(x)
        x = L.SeparableConv2D(16, 3, padding="same", activation="relu")(x)
        y = L.Conv2D(5, 1)(x)
        y = L.Lambda(lambda t: tf.image.resize(t, 8 * tf.shape(t)[1:3]))(y)
        if end == "softmax":
            y = L.Softmax()(y)
        return tf.keras.Model(image, y)

    for name, dtype, end, opset, x in (
        ("keras", "float32", "logits", 13, normalised().transpose(0, 2, 3, 1)), ("keras_u8", "uint8", "softmax", 17, pixels()[None]),
    ):
        model = net(dtype, end)
        spec = (tf.TensorSpec((None, None, None, 3), dtype, name="image"),)
        run = tf.function(lambda image: model(image, training=False))
        tf2onnx.convert.from_function(run, spec, opset=opset, output_path=os.path.join(HERE, name + ".onnx"))
        ends = {} if end == "softmax" else {"logits last": "Identity:0"}
        compute(name, x, {"features": last(name, "Relu"), "logits": last(name, "Conv"), **ends})


{"torch": made_with_torch, "keras": made_with_keras}[sys.argv[1]]()
save_file(dict(sorted(golden.items())), GOLDEN)
