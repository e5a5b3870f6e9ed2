"""Writes vit_golden.safetensors: outputs of tiny plain vision transformers as PyTorch computes them.

Needs PyTorch, transformers and timm from PyPI, and a checkout of lmb-freiburg/diffusion-for-ood, whose denoiser it runs:
    python vit_golden.py .../diffusion-for-ood
The backbones are those packages' own, with the names that they store weights under; the heads of Segmenter and SETR, for which
there is no package that stands alone, are written from their description; vit_mmseg.py compares them. It shares no code with the Go version. Tests do not run it.
"""
import importlib.util, json, math, struct, sys, tempfile, zlib
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def made_up(name, shape):
    """Weights by a formula that the Go test repeats."""
    n = math.prod(shape)
    if len(shape) == 3 and shape[0] == 1:  # tokens and positions
        centre, spread = 0, 0.5
    elif len(shape) > 1:
        centre, spread = 0, (3 / math.prod(shape[1:])) ** 0.5
    elif name.endswith("running_var"):
        centre, spread = 1, 0.4
    elif name.endswith(("gamma", "lambda1")):
        centre, spread = 0.6, 0.3
    elif name.endswith("weight") and not name.endswith("in_proj_weight"):
        centre, spread = 1, 0.2
    else:
        centre, spread = 0, 0.1
    i = torch.arange(n, dtype=torch.int64)
    u = ((i * 2654435761 + zlib.crc32(name.encode())) % 2**32).double() / 2**32
    return (centre + spread * (2 * u - 1)).float().reshape(shape)


def fill(model):
    """Gives a model its weights and returns the names and shapes that it stores."""
    state = model.state_dict()
    shapes = {k: list(v.shape) for k, v in state.items() if v.dtype.is_floating_point and v.dim() > 0}
    model.load_state_dict({k: made_up(k, v.shape).to(v.dtype) if k in shapes else v for k, v in state.items()})
    model.eval()
    return shapes


def refill(model):
    """Does so in the file that Hugging Face's classes write, whose names are those of the hub, and loads it."""
    from safetensors.torch import load_file, save_file
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = folder + "/model.safetensors"
        stored = {k: made_up(k, v.shape) for k, v in load_file(file).items()}
        save_file(stored, file, {"format": "pt"})
        model = type(model).from_pretrained(folder, dtype=torch.float64, **({"add_pooling_layer": False} if "DeiT" in type(model).__name__ else {}))
    return model.eval(), {k: list(v.shape) for k, v in stored.items()}


def picture(w, h):  # oodcast's GoldenFormula, normalised
    y, x, c = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(3), indexing="ij")
    p = ((x * (3 + c) + y * (5 - c) + x * y * (c + 1) // 16) % 256).permute(2, 0, 1)[None].double() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (p - mean[None, :, None, None]) / std[None, :, None, None]


shapes, golden = {}, {}


def keep(name, x):
    flat = x.flatten()
    golden[name] = flat[::max(1, len(flat) // 200) | 1].float()


def record(net, layer_of, modules, sizes, skip):
    """Runs a model and keeps keys, queries, values and tokens of its blocks, without the first tokens."""
    taps = {}
    for tap, module in modules.items():
        module.register_forward_hook(lambda m, i, o, tap=tap: taps.__setitem__(tap, o[0] if isinstance(o, tuple) else o))
    for w, h in sizes:
        with torch.no_grad():
            layer_of(picture(w, h))
        for tap, x in taps.items():
            parts = {tap: x}
            if tap.endswith(".qkv"):
                c = x.shape[-1] // 3
                parts = {tap[:-3] + k: x[..., i * c:(i + 1) * c] for i, k in enumerate(("queries", "keys", "values"))}
            for k, v in parts.items():
                keep(f"{net}/{w}x{h}/{k}", v[0, skip:])


DINO = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, image_size=70, patch_size=14)
FOURTEEN = ((112, 84), (56, 42))
SIXTEEN = ((128, 64), (48, 32))


def hugging_face():
    from transformers import (DeiTConfig, DeiTModel, Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig,
                              Dinov2WithRegistersModel)

    def blocks(model, names):
        out = {}
        for i, layer in enumerate(model.get_submodule(names["layers"])):
            for kind in ("query", "key", "value"):
                k = {"query": "queries", "key": "keys", "value": "values"}[kind]
                out[f"block{i}.{k}"] = layer.get_submodule(names[kind])
            out[f"block{i}.tokens"] = layer
        out["norm"] = model.layernorm
        return out

    def where(model):  # the packages rename their modules now and then
        query = next(n for n, _ in model.named_modules() if n.endswith(("0.attention.attention.query", "0.attention.q_proj")))
        layers, inner = query.split(".0.", 1)
        return dict(layers=layers, **{k: inner.replace("query", k).replace("q_proj", k[0] + "_proj") for k in ("query", "key", "value")})

    for net, model, sizes, skip in (
        ("dinov2-hf", Dinov2Model(Dinov2Config(**DINO)), FOURTEEN, 1),
        ("dinov2-reg-hf", Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=4, **DINO)), FOURTEEN, 5),
        ("deit-hf", DeiTModel(DeiTConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
                                         image_size=64, patch_size=16), add_pooling_layer=False), SIXTEEN, 2),
    ):
        model, shapes[net] = refill(model)
        call = (lambda x, m=model: m(x, interpolate_pos_encoding=True)) if net == "deit-hf" else model
        record(net, call, blocks(model, where(model)), sizes, skip)


def timm_names():
    from timm.models.vision_transformer import VisionTransformer

    def blocks(model):
        out = {}
        for i, b in enumerate(model.blocks):
            out[f"block{i}.qkv"], out[f"block{i}.tokens"] = b.attn.qkv, b
        out["norm"] = model.norm
        return out

    tiny = dict(embed_dim=32, depth=3, num_heads=4, num_classes=7, dynamic_img_size=True)
    for net, model, sizes, skip in (
        ("vit-timm", VisionTransformer(img_size=64, patch_size=16, mlp_ratio=3, **tiny), SIXTEEN, 1),
        ("dinov2-reg-timm", VisionTransformer(img_size=70, patch_size=14, reg_tokens=4, no_embed_class=True, init_values=1e-5,
                                              **tiny), FOURTEEN, 5),
    ):
        shapes[net] = fill(model)
        record(net, model, blocks(model), sizes, skip)


class Block(nn.Module):
    """A block under mmsegmentation's names."""

    def __init__(self, c, heads, eps):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(c, eps=eps), nn.LayerNorm(c, eps=eps)
        self.attn = nn.Module()
        self.attn.attn = nn.MultiheadAttention(c, heads, batch_first=True)
        self.ffn = nn.Module()
        self.ffn.layers = nn.ModuleList([nn.Sequential(nn.Linear(c, 4 * c)), nn.Linear(4 * c, c)])

    def forward(self, x):
        y = self.ln1(x)
        x = x + self.attn.attn(y, y, y, need_weights=False)[0]
        return x + self.ffn.layers[1](F.gelu(self.ffn.layers[0][0](self.ln2(x))))


class Published(nn.Module):
    """The networks that were published with DOoD, under mmsegmentation's names."""

    def __init__(self, head, c=64, depth=3, heads=4, patch=16, grid=4, classes=5):
        super().__init__()
        b = self.backbone = nn.Module()
        self.head, self.grid, self.classes, extra = head, grid, classes, 2 if head == "segmenter" else 1
        b.cls_token = nn.Parameter(torch.zeros(1, 1, c))
        if extra == 2:
            b.dist_token = nn.Parameter(torch.zeros(1, 1, c))
            b.ln1 = nn.LayerNorm(c, eps=1e-6)
        b.pos_embed = nn.Parameter(torch.zeros(1, grid * grid + extra, c))
        b.patch_embed = nn.Module()
        b.patch_embed.projection = nn.Conv2d(3, c, patch, patch)
        b.layers = nn.ModuleList([Block(c, heads, 1e-6) for _ in range(depth)])
        d = self.decode_head = nn.Module()
        if head == "segmenter":
            d.conv_seg = nn.Conv2d(c, classes, 1)  # stored, and not used
            d.dec_proj, d.cls_emb = nn.Linear(c, c), nn.Parameter(torch.zeros(1, classes, c))
            d.patch_proj, d.classes_proj = nn.Linear(c, c, bias=False), nn.Linear(c, c, bias=False)
            d.layers = nn.ModuleList([Block(c, heads // 2, 1e-5)])
            d.decoder_norm, d.mask_norm = nn.LayerNorm(c), nn.LayerNorm(classes)
        else:
            self.auxiliary_head = nn.ModuleList([nn.Conv2d(c, classes, 1)])
            d.norm = nn.LayerNorm(c, eps=1e-6)
            conv = nn.Module()
            conv.conv, conv.bn = nn.Conv2d(c, 24, 1, bias=False), nn.BatchNorm2d(24)
            d.up_convs = nn.ModuleList([nn.ModuleList([conv])])
            d.conv_seg = nn.Conv2d(24, classes, 1)

    def forward(self, image):
        b, d = self.backbone, self.decode_head
        x = b.patch_embed.projection(image)
        h, w = x.shape[2:]
        first = [b.cls_token] + ([b.dist_token] if self.head == "segmenter" else [])
        n, c = len(first), x.shape[1]
        pos = b.pos_embed[:, n:].reshape(1, self.grid, self.grid, c).permute(0, 3, 1, 2)
        pos = F.interpolate(pos, size=(h, w), mode="bicubic" if self.head == "segmenter" else "bilinear", align_corners=False)
        x = torch.cat(first + [x.flatten(2).transpose(1, 2)], 1)
        x = x + torch.cat([b.pos_embed[:, :n], pos.flatten(2).transpose(1, 2)], 1)
        for layer in b.layers:
            last, x = x, layer(x)
        a = b.layers[-1]
        m = a.attn.attn
        keys = F.linear(a.ln1(last), m.in_proj_weight[c:2 * c], m.in_proj_bias[c:2 * c])[:, n:]
        if self.head == "segmenter":
            y = torch.cat([d.dec_proj(b.ln1(x)[:, n:]), d.cls_emb], 1)
            y = d.decoder_norm(d.layers[0](y))
            p = F.normalize(y[:, :-self.classes] @ d.patch_proj.weight, dim=2)
            q = F.normalize(y[:, -self.classes:] @ d.classes_proj.weight, dim=2)
            y = d.mask_norm(p @ q.transpose(1, 2)).transpose(1, 2).reshape(1, self.classes, h, w)
            return keys, F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = d.norm(x[:, n:]).transpose(1, 2).reshape(1, c, h, w)
        conv = d.up_convs[0][0]
        y = F.interpolate(F.relu(conv.bn(conv.conv(y))), scale_factor=4, mode="bilinear", align_corners=False)
        return keys, d.conv_seg(y)


def published():
    for net, head in (("segmenter", "segmenter"), ("setr", "naive")):
        model = Published(head)
        shapes[net] = fill(model)
        for w, h in SIXTEEN:
            with torch.no_grad():
                keys, logits = model(picture(w, h))
            keep(f"{net}/{w}x{h}/block2.keys", keys[0])
            keep(f"{net}/{w}x{h}/logits", logits[0])
            keep(f"{net}/{w}x{h}/lse", logits[0].logsumexp(0))


def denoisers(folder, c=256, n=3, steps=(24, 0, 999, 99)):
    """Keeps the score at every step as the reference implementation's denoiser and normalisation make it."""

    def load(file):
        spec = importlib.util.spec_from_file_location(file.replace("/", "_"), f"{folder}/dood/diffusion/{file}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    unet, norm = load("denoisers/unet_0d").UNet0D, load("diffusion_model").FeatureNormalization
    r = torch.Generator().manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, generator=r)
    normalisation = norm(c, queue_size=4).train()
    for i in range(3):  # the last batch stays empty
        normalisation(normal(50, c) * (1 + i) + 3 * normal(c))
    features, noise = normal(n, c) * 2, normal(len(steps), n, c)
    x0 = normalisation.eval()(features)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    for name, x in (("features", features), ("noise", noise), ("mins", normalisation.mins), ("maxs", normalisation.maxs)):
        golden["denoiser/" + name] = x.float()
    for net, depth, middle, mode in (("denoiser-a", 6, 3, "periodic+embed"), ("denoiser-b", 8, 4, "scalar+identity")):
        model = unet(c, c, c, channel_mult=(1,) * depth, num_middle_blocks=middle, timestep_embedding_mode=mode)
        whole = nn.Module()
        whole.denoiser = model
        shapes[net] = fill(whole)
        for i, t in enumerate(steps):
            xt = abar[t].sqrt() * x0 + (1 - abar[t]).sqrt() * noise[i]
            with torch.no_grad():
                got = model(xt, torch.full((n,), float(t)))
            golden[f"{net}/{t}"] = -F.cosine_similarity(noise[i], got, dim=1, eps=0).float()


if __name__ == "__main__":
    denoisers(sys.argv[1])
    published()
    hugging_face()
    timm_names()
    head, body = {"__metadata__": {k: json.dumps(v, separators=(",", ":")) for k, v in shapes.items()}}, b""
    for name, t in golden.items():
        raw = t.numpy().astype("<f4").tobytes()
        head[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(head, separators=(",", ":")).encode()
    with open("vit_golden.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)
