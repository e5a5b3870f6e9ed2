"""DINOv3 as Hugging Face's transformers and timm compute it: ViT-S/16, and one with gates, in several files."""
import sys, tempfile

import timm, torch
from safetensors.torch import load_file, save_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from oracle import Case, Golden, called, fill, made_up, picture, version

SMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, num_register_tokens=4)
SIZES = ((128, 64),), ((150, 100), (160, 96))


def taps(net, x):
    """Keys, queries, values and tokens of the blocks, and the tokens after the final norm, as grids [1,C,h,w]."""
    out, layers = {}, net.get_submodule(next(n for n, _ in net.named_modules() if n.endswith(("layer", "blocks"))))
    hooks = []

    def keep(name, module):
        hooks.append(module.register_forward_hook(lambda m, i, o: out.__setitem__(name, o[0] if isinstance(o, tuple) else o)))

    for i, layer in enumerate(layers):
        if hasattr(layer, "attn"):
            keep(f"block{i}.qkv", layer.attn.qkv)
        for kind in () if hasattr(layer, "attn") else ("queries", "keys", "values"):
            keep(f"block{i}.{kind}", layer.get_submodule(f"attention.{kind[0]}_proj"))
        keep(f"block{i}.tokens", layer)
    with torch.no_grad():
        out["norm"] = net.forward_features(x) if hasattr(net, "forward_features") else net(x).last_hidden_state
    for hook in hooks:
        hook.remove()
    for i in range(len(layers)):
        if f"block{i}.qkv" in out:
            for kind, part in zip(("queries", "keys", "values"), out.pop(f"block{i}.qkv").chunk(3, 2)):
                out[f"block{i}.{kind}"] = part
    h, w = (n // 16 for n in x.shape[2:])
    return {k: v[:, -h * w:].transpose(1, 2).unflatten(2, (h, w)) for k, v in out.items()}


for name, options, shards, lists in (
    ("dinov3-vits16", SMALL, None, ["block11.keys@16", "block3.tokens@16,norm@16"]),
    ("dinov3-gated", dict(SMALL, num_hidden_layers=4, use_gated_mlp=True, hidden_act="silu"), "8MB", ["block3.keys@16", "norm@16"]),
):
    case = Case(name, version("transformers"), ["vit", "."])
    net = fill(DINOv3ViTModel(DINOv3ViTConfig(**options)))
    net.save_pretrained(case.folder, **({"max_shard_size": shards} if shards else {}))
    net = net.double()
    for size in SIZES:
        key = called(*size[0], *size[1:])
        got = taps(net, picture(*size[0], *size[1:]))
        case.grid(key + "/features", got[lists[0].split("@")[0]])
        for names in lists:
            case.grid(f"{key}/features {names}", torch.cat([got[n.split("@")[0]] for n in names.split(",")], 1))
    case.write()



def refill(net):
    """Gives a network of timm made-up weights and returns them."""
    state = {k: made_up(k, list(v.shape)) for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    return state


for name in ("vit_small_patch16_dinov3", "vit_small_plus_patch16_dinov3"):
    case = Case("timm " + name, version("timm"), ["vit", "weights.safetensors"])
    net = timm.create_model(name, num_classes=0, dynamic_img_size=True).eval()
    save_file(refill(net), case.file("weights.safetensors"))
    net = net.double()
    for size in SIZES:
        key, got = called(*size[0], *size[1:]), taps(net, picture(*size[0], *size[1:]))
        case.grid(key + "/features", got["block11.keys"])
        case.grid(f"{key}/features block3.tokens@16,norm@16", torch.cat([got["block3.tokens"], got["norm"]], 1))
    case.write()

if len(sys.argv) > 2:
    golden = Golden("dinov3")
    small = dict(embed_dim=32, depth=2, num_heads=4, num_classes=0, dynamic_img_size=True)
    for name, model in (("dinov3-timm", "vit_small_patch16_dinov3"), ("dinov3-timm-gated", "vit_small_plus_patch16_dinov3")):
        net = timm.create_model(model, **small).eval()
        golden.shapes[name] = {k: list(v.shape) for k, v in refill(net).items()}
        for w, h in ((128, 64), (48, 32)):
            for tap, x in taps(net.double(), picture(w, h)).items():
                golden.keep(f"{name}/{w}x{h}/{tap}", x[0].permute(1, 2, 0))
    tiny = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_register_tokens=3)
    for name, options in (("dinov3", tiny), ("dinov3-gated", dict(tiny, use_gated_mlp=True, hidden_act="silu", key_bias=True))):
        with tempfile.TemporaryDirectory() as folder:  # the file has the names of the hub, the model others
            DINOv3ViTModel(DINOv3ViTConfig(**options)).save_pretrained(folder)
            file = folder + "/model.safetensors"
            stored = {k: made_up(k, list(v.shape)) for k, v in load_file(file).items()}
            save_file(stored, file, {"format": "pt"})
            net = DINOv3ViTModel.from_pretrained(folder, dtype=torch.float64).eval()
        golden.shapes[name] = {k: list(v.shape) for k, v in stored.items()}
        for w, h in ((128, 64), (48, 32)):
            for tap, x in taps(net, picture(w, h)).items():
                golden.keep(f"{name}/{w}x{h}/{tap}", x[0].permute(1, 2, 0))
    golden.write()
