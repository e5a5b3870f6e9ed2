"""Plain vision transformers as Hugging Face's transformers and timm compute them: DINOv2 of two sizes and with registers, ViT, DeiT;
a small one with the gates of DINOv2 g."""
import sys

import timm, torch
from safetensors.torch import load_file, save_file
from transformers import (DeiTConfig, DeiTModel, Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel,
                          ViTConfig, ViTModel)

from oracle import Case, Golden, called, made_up, picture, version

S = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6)
B = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12)
# heads of 32 channels, which the weights do not show
GATED = dict(hidden_size=384, num_hidden_layers=3, num_attention_heads=12, use_swiglu_ffn=True)
SIZES = {14: (((112, 84),), ((150, 100), (182, 112))), 16: (((128, 64),), ((150, 100), (240, 256)))}


def refill(cls, config, folder, **options):
    """Saves a model as the hub has it, with made-up weights under those names, and loads it in double precision."""
    cls(config, **options).save_pretrained(folder)
    file = folder + "/model.safetensors"
    save_file({k: made_up(k, list(v.shape)) for k, v in load_file(file).items()}, file, {"format": "pt"})
    return cls.from_pretrained(folder, dtype=torch.float64, **options).eval()


def taps(net, call, x, patch):
    """The keys and tokens of the last block and the tokens after the final norm, as grids."""
    names = [n for n, _ in net.named_modules()]
    key = [n for n in names if n.endswith((".attention.attention.key", ".attention.k_proj", ".attn.qkv"))][-1]
    block = key.split(".att")[0]
    norm = next(n for n in ("layernorm", "norm") if n in names)
    out, hooks = {}, []
    for tap, name in (("keys", key), ("tokens", block), ("norm", norm)):
        hooks.append(net.get_submodule(name).register_forward_hook(
            lambda m, i, o, tap=tap: out.__setitem__(tap, o[0] if isinstance(o, tuple) else o)))
    with torch.no_grad():
        call(x)
    for hook in hooks:
        hook.remove()
    if key.endswith("qkv"):
        out["keys"] = out["keys"].chunk(3, 2)[1]
    h, w = (n // patch for n in x.shape[2:])
    return {k: v[:, -h * w:].transpose(1, 2).unflatten(2, (h, w)) for k, v in out.items()}


def compare(case, net, call, depth, patch):
    for size in SIZES[patch]:
        key = called(*size[0], *size[1:])
        got = taps(net, call, picture(*size[0], *size[1:]), patch)
        case.grid(key + "/features", got["keys"])
        for tap, name in (("tokens", f"block{depth - 1}.tokens"), ("norm", "norm")):
            case.grid(f"{key}/features {name}@{patch}", got[tap])
    case.write()


for name, cls, config, options, free in (
    ("dinov2-s", Dinov2Model, Dinov2Config(image_size=518, patch_size=14, **S), {}, {}),
    ("dinov2-b-registers", Dinov2WithRegistersModel, Dinov2WithRegistersConfig(image_size=518, patch_size=14, num_register_tokens=4, **B), {}, {}),
    ("dinov2-gated", Dinov2Model, Dinov2Config(image_size=518, patch_size=14, **GATED), {}, {}),
    ("vit-b16", ViTModel, ViTConfig(image_size=224, patch_size=16, **B), dict(add_pooling_layer=False), dict(interpolate_pos_encoding=True)),
    ("deit-s16", DeiTModel, DeiTConfig(image_size=224, patch_size=16, intermediate_size=1536, **S), dict(add_pooling_layer=False),
     dict(interpolate_pos_encoding=True)),
):
    case = Case(name, version("transformers"), ["vit", "."])
    net = refill(cls, config, case.folder, **options)
    compare(case, net, lambda x, n=net, f=free: n(x, **f), config.num_hidden_layers, config.patch_size)

case = Case("timm vit_small_patch16_224", version("timm"), ["vit", "weights.safetensors"])
net = timm.create_model("vit_small_patch16_224", dynamic_img_size=True, num_classes=0).eval()
state = {k: made_up(k, list(v.shape)) for k, v in net.state_dict().items()}
save_file(state, case.file("weights.safetensors"))
net.load_state_dict(state)
net = net.double()
compare(case, net, net.forward_features, len(net.blocks), 16)

if len(sys.argv) > 2:
    golden = Golden("vit_gated")
    import tempfile

    tiny = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=70, patch_size=14, use_swiglu_ffn=True)
    with tempfile.TemporaryDirectory() as folder:
        net = refill(Dinov2Model, Dinov2Config(**tiny), folder)
        golden.shapes["hf"] = {k: list(v.shape) for k, v in load_file(folder + "/model.safetensors").items()}
    packed = timm.models.vision_transformer.VisionTransformer(
        img_size=70, patch_size=14, embed_dim=32, depth=2, num_heads=4, num_classes=0, init_values=1e-5, mlp_ratio=2, dynamic_img_size=True,
        mlp_layer=timm.layers.SwiGLUPacked, act_layer=torch.nn.SiLU).eval()
    state = {k: made_up(k, list(v.shape)) for k, v in packed.state_dict().items()}
    golden.shapes["timm"] = {k: list(v.shape) for k, v in state.items()}
    packed.load_state_dict(state)
    for name, model, call in (("hf", net, net), ("timm", packed.double(), packed.double().forward_features)):
        for w, h in ((112, 84), (56, 42)):
            got = taps(model, call, picture(w, h), 14)
            for tap, x in (("block1.keys", got["keys"]), ("block1.tokens", got["tokens"]), ("norm", got["norm"])):
                golden.keep(f"{name}/{w}x{h}/{tap}", x[0].permute(1, 2, 0))
    golden.write()
