"""Writes segformer_golden.safetensors: features and logits of SegFormers as Hugging Face's transformers computes them; and
../../importer/testdata/segformer, a very small network as transformers saves it.

Needs PyTorch, transformers (5.24 here) and safetensors:
    python segformer_golden.py
The weights come from a formula that the Go test repeats. They are saved under the names of the published checkpoints, and
from_pretrained must find every one of them. Tests do not run this.
"""
import json, os, tempfile, zlib
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import SegformerForSemanticSegmentation

TINY = dict(hidden_sizes=[8, 12, 20, 24], depths=[1, 2, 1, 2], num_attention_heads=[1, 2, 5, 4], sr_ratios=[8, 4, 2, 1],
            decoder_hidden_size=16, classes=5)
B0 = dict(hidden_sizes=[32, 64, 160, 256], depths=[2, 2, 2, 2], num_attention_heads=[1, 2, 5, 8], sr_ratios=[8, 4, 2, 1],
          decoder_hidden_size=256, classes=19)
SMALL = dict(hidden_sizes=[4, 4, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], sr_ratios=[8, 4, 2, 1],
             decoder_hidden_size=8, classes=3)
PATCHES = [7, 3, 3, 3]


def weights(c):
    d = {}

    def put(name, shape, centre, spread):
        n = 1
        for s in shape:
            n *= s
        i = torch.arange(n, dtype=torch.int64)
        u = ((i * 2654435761 + zlib.crc32(name.encode())) % 2**32).double() / 2**32
        d[name] = (centre + spread * (2 * u - 1)).float().reshape(shape)

    def layer(name, shape):  # linear or convolution
        fan = 1
        for s in shape[1:]:
            fan *= s
        put(name + ".weight", shape, 0, (3 / fan) ** 0.5)
        put(name + ".bias", shape[:1], 0.1, 0.3)

    def norm(name, n):
        put(name + ".weight", [n], 1, 0.3)
        put(name + ".bias", [n], 0.1, 0.3)

    e, before, head = "segformer.encoder.", 3, c["decoder_hidden_size"]
    for i, w in enumerate(c["hidden_sizes"]):
        layer(f"{e}patch_embeddings.{i}.proj", [w, before, PATCHES[i], PATCHES[i]])
        norm(f"{e}patch_embeddings.{i}.layer_norm", w)
        r = c["sr_ratios"][i]
        for j in range(c["depths"][i]):
            b = f"{e}block.{i}.{j}."
            norm(b + "layer_norm_1", w)
            norm(b + "layer_norm_2", w)
            for name in ("self.query", "self.key", "self.value", "output.dense"):
                layer(b + "attention." + name, [w, w])
            if r > 1:
                layer(b + "attention.self.sr", [w, w, r, r])
                norm(b + "attention.self.layer_norm", w)
            layer(b + "mlp.dense1", [4 * w, w])
            layer(b + "mlp.dwconv.dwconv", [4 * w, 1, 3, 3])
            layer(b + "mlp.dense2", [w, 4 * w])
        norm(f"{e}layer_norm.{i}", w)
        layer(f"decode_head.linear_c.{i}.proj", [head, w])
        before = w
    put("decode_head.linear_fuse.weight", [head, 4 * head, 1, 1], 0, (3 / (4 * head)) ** 0.5)
    norm("decode_head.batch_norm", head)
    put("decode_head.batch_norm.running_mean", [head], 0, 0.3)
    put("decode_head.batch_norm.running_var", [head], 1, 0.5)
    put("decode_head.batch_norm.num_batches_tracked", [], 7, 0)
    layer("decode_head.classifier", [c["classes"], head, 1, 1])
    return d


def network(c):
    with tempfile.TemporaryDirectory() as dir:
        save_file(weights(c), os.path.join(dir, "model.safetensors"), metadata={"format": "pt"})
        config = {k: v for k, v in c.items() if k != "classes"}
        config |= {"model_type": "segformer", "architectures": ["SegformerForSemanticSegmentation"], "layer_norm_eps": 1e-6,
                   "id2label": {str(i): f"thing {i}" for i in range(c["classes"])},
                   "label2id": {f"thing {i}": i for i in range(c["classes"])}}
        with open(os.path.join(dir, "config.json"), "w") as f:
            json.dump(config, f)
        net, info = SegformerForSemanticSegmentation.from_pretrained(dir, output_loading_info=True)
        assert not any(info.values()), info
        return net.double().eval()


def picture(w, h):  # oodcast's GoldenFormula
    y, x, c = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(3), indexing="ij")
    return ((x * (3 + c) + y * (5 - c) + x * y * (c + 1) // 16) % 256).permute(2, 0, 1)


def pictures(w, h):  # a batch: the picture, and the same turned upside down
    p = picture(w, h)
    p = torch.stack([p, p.flip(1)]).double() / 255
    return (p - torch.tensor([0.485, 0.456, 0.406])[:, None, None].double()) / torch.tensor([0.229, 0.224, 0.225])[:, None, None].double()


golden = {}
for net, c in (("tiny", TINY), ("b0", B0)):
    model, keys = network(c), []
    last = model.segformer.stages[3].blocks[-1].attention.k_proj
    last.register_forward_hook(lambda module, args, out: keys.append(out))
    for w, h in ((128, 64), (160, 96)):
        with torch.no_grad():
            out = model(pictures(w, h), output_hidden_states=True)
        found = {f"stage{i + 1}@{4 << i}": x.permute(0, 2, 3, 1) for i, x in enumerate(out.hidden_states)}
        found["keys@32"] = keys.pop()
        found["logits@4"] = out.logits
        found["logits@8"] = F.interpolate(out.logits, scale_factor=0.5, mode="bilinear", align_corners=False)
        for name, x in found.items():
            flat = x.flatten()
            golden[f"{net}/{w}x{h}/{name}"] = flat[:: max(1, len(flat) // 200) | 1].float().contiguous()
save_file(golden, "segformer_golden.safetensors")

small = network(SMALL).float()
small.config.id2label = {0: "road", 1: "sky ", 2: "everything else"}
small.config.label2id = {v: k for k, v in small.config.id2label.items()}
small.save_pretrained("../../importer/testdata/segformer")
