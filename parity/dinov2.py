"""DINOv2 with and without registers, and DeiT, as transformers and timm compute them: keys, queries, values and tokens of blocks."""
import timm
from safetensors.torch import save_file
from transformers import (DeiTConfig, DeiTModel, Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig,
                          Dinov2WithRegistersModel)

from oracle import Case, called, fill, picture, version

FOURTEEN = ((140, 70),), ((150, 100), (112, 84))  # the second is no multiple of the patch, and is scaled to one
SIXTEEN = ((128, 64),), ((150, 100), (144, 96))
S = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6)


def compare(case, call, taps, sizes, patch, skip):
    """taps maps the taps of oodcast to modules; a module of queries, keys and values at once is named after all three."""
    got = {}
    for tap, module in taps.items():
        module.register_forward_hook(lambda m, i, o, tap=tap: got.__setitem__(tap, o[0] if isinstance(o, tuple) else o))
    for size in sizes:
        x, key = picture(*size[0], *size[1:]), called(*size[0], *size[1:])
        call(x)
        h, w = (n // patch for n in x.shape[2:])
        for tap, y in got.items():
            parts = {tap: y}
            if tap.endswith(".qkv"):
                parts = {tap[:-3] + k: v for k, v in zip(("queries", "keys", "values"), y.chunk(3, -1))}
            for name, v in parts.items():
                v = v[0, skip:].reshape(h, w, -1)
                case.expect(f"{key}/features {name}@{patch}", v)
                if name == "block11.keys":
                    case.expect(f"{key}/features", v)
    case.write()


for name, net, sizes, skip in (
    ("dinov2-s", Dinov2Model(Dinov2Config(patch_size=14, image_size=518, **S)), FOURTEEN, 1),
    ("dinov2-s registers", Dinov2WithRegistersModel(Dinov2WithRegistersConfig(patch_size=14, image_size=518, **S)), FOURTEEN, 5),
    ("deit-s", DeiTModel(DeiTConfig(intermediate_size=1536, **S), add_pooling_layer=False), SIXTEEN, 2),
):
    case = Case(name + " hf", version("transformers"), ["vit", "model.safetensors"])
    # Published files have an order of names of their own, and so do the classes: weights go through a file.
    fill(net).save_pretrained(case.folder)
    net = net.double()
    query = next(n for n, _ in net.named_modules() if n.endswith(("0.attention.attention.query", "0.attention.q_proj")))
    layers, inner = query.split(".0.", 1)
    blocks = net.get_submodule(layers)
    call = (lambda x, net=net: net(x, interpolate_pos_encoding=True)) if name == "deit-s" else net
    part = lambda block, k: block.get_submodule(inner.replace("query", k).replace("q_proj", k[0] + "_proj"))
    compare(case, call, {
        "block11.queries": part(blocks[11], "query"), "block11.keys": part(blocks[11], "key"),
        "block11.values": part(blocks[11], "value"), "block5.tokens": blocks[5], "norm": net.layernorm,
    }, sizes, 14 if skip != 2 else 16, skip)

for name, sizes, patch, skip in (
    ("vit_small_patch14_dinov2", FOURTEEN, 14, 1),
    ("vit_small_patch14_reg4_dinov2", FOURTEEN, 14, 5),
    ("deit_tiny_patch16_224", SIXTEEN, 16, 1),
):
    case = Case("timm " + name, version("timm"), ["vit", "model.safetensors"])
    net = fill(timm.create_model(name, dynamic_img_size=True))
    save_file(net.state_dict(), case.file("model.safetensors"))
    compare(case, net.double(), {"block11.qkv": net.blocks[11].attn.qkv, "block5.tokens": net.blocks[5], "norm": net.norm},
            sizes, patch, skip)
