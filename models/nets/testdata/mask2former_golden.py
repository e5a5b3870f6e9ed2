"""Writes mask2former_golden.safetensors: features and logits of a Mask2Former as Hugging Face's transformers computes them; and
../../importer/testdata/mask2former, that network as transformers saves it, in half precision.

Needs PyTorch, transformers (5.24 here) and safetensors:
    python mask2former_golden.py
parity/mask2former.py compares larger networks. Tests run neither.
"""
import math, os, zlib
import torch
from safetensors.torch import save_file
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

FOLDER = os.path.join(os.path.dirname(__file__) or ".", "../../importer/testdata/mask2former")
NAMES = ["road", "building", "sky "]


def weights(name, shape):  # by a formula of the name
    n, fan = math.prod(shape), math.prod(shape[1:])
    if len(shape) > 1:
        centre, spread = 0, (3 / fan) ** 0.5
    else:
        centre, spread = (1 if name.endswith("norm.weight") or name.endswith("1.weight") else 0), 0.3
    u = ((torch.arange(n, dtype=torch.int64) * 2654435761 + zlib.crc32(name.encode())) % 2**32).double() / 2**32
    return (centre + spread * (2 * u - 1)).reshape(shape)


def picture(w, h):  # oodcast's GoldenFormula, normalised
    y, x, c = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(3), indexing="ij")
    p = ((x * (3 + c) + y * (5 - c) + x * y * (c + 1) // 16) % 256).permute(2, 0, 1)[None].double() / 255
    return (p - torch.tensor([0.485, 0.456, 0.406])[:, None, None].double()) / torch.tensor([0.229, 0.224, 0.225])[:, None, None].double()


backbone = SwinConfig(embed_dim=4, depths=[2, 1, 1, 1], num_heads=[1, 2, 2, 4], window_size=3, mlp_ratio=1.5,
                      out_features=["stage1", "stage2", "stage3", "stage4"])
config = Mask2FormerConfig(
    backbone_config=backbone, feature_size=32, mask_feature_size=12, hidden_dim=16, encoder_layers=1, decoder_layers=4,
    num_attention_heads=2, encoder_feedforward_dim=24, dim_feedforward=20, num_queries=6,
    id2label=dict(enumerate(NAMES)), label2id={v: k for k, v in enumerate(NAMES)},
)
net = Mask2FormerForUniversalSegmentation(config).eval()
state = net.state_dict()
for name, t in state.items():
    if t.dtype.is_floating_point and t.dim() > 0:
        state[name] = weights(name, list(t.shape)).half().to(t.dtype)
net.load_state_dict(state)
net.half().save_pretrained(FOLDER)
net, finest, golden = net.double(), [], {}
net.model.pixel_level_module.decoder.layer_1.register_forward_hook(lambda m, i, out: finest.append(out))
for w, h in ((128, 64), (160, 96), (104, 72)):
    with torch.no_grad():
        out = net(picture(w, h), output_hidden_states=True)
    found = {f"stage{i + 1}@{4 << i}": x[0].permute(1, 2, 0) for i, x in enumerate(out.encoder_hidden_states)}
    found |= {f"pixel{4 - i}@{32 >> i}": x[0].permute(1, 2, 0) for i, x in enumerate(out.pixel_decoder_hidden_states)}
    found["pixel1@4"] = finest.pop()[0].permute(1, 2, 0)
    found["masks@4"] = out.pixel_decoder_last_hidden_state[0].permute(1, 2, 0)
    classes, masks = out.class_queries_logits[0], out.masks_queries_logits[0]
    found |= {"class_logits": classes, "mask_logits": masks}
    found["logits"] = (classes.softmax(-1)[:, :-1].T @ masks.sigmoid().flatten(1)).unflatten(1, masks.shape[1:])
    print(f"{w}x{h}: {(masks < 0).double().mean():.2f} of the pixels outside, at least {masks.abs().min():.1e} from the border")
    for name, x in found.items():
        flat = x.flatten()
        golden[f"{w}x{h}/{name}"] = flat[:: max(1, len(flat) // 120) | 1].float().contiguous()
save_file(golden, os.path.join(os.path.dirname(__file__) or ".", "mask2former_golden.safetensors"))
