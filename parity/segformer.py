"""SegFormer as Hugging Face's transformers computes it: B0 with its head, and B2 as an encoder."""
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerModel

from oracle import Case, called, fill, picture, version

B0 = dict(hidden_sizes=[32, 64, 160, 256], depths=[2, 2, 2, 2], decoder_hidden_size=256)
B2 = dict(hidden_sizes=[64, 128, 320, 512], depths=[3, 4, 6, 3], decoder_hidden_size=768)
SIZES = ((128, 64),), ((150, 100), (128, 96))

for name, shape, cls in (("segformer-b0", B0, SegformerForSemanticSegmentation), ("mit-b2", B2, SegformerModel)):
    case = Case(name, version("transformers"), ["segformer", "."])
    net = fill(cls(SegformerConfig(num_labels=19, **shape)))
    net.save_pretrained(case.folder)
    net = net.double()
    body = net.segformer if name == "segformer-b0" else net
    keys = []
    body.stages[3].blocks[-1].attention.k_proj.register_forward_hook(lambda m, i, o: keys.append(o))
    for size in SIZES:
        x, key = picture(*size[0], *size[1:]), called(*size[0], *size[1:])
        out = net(x, output_hidden_states=True)
        h, w = (n // 32 for n in x.shape[2:])
        case.expect(key + "/features", keys.pop()[0].reshape(h, w, -1))
        for i, tap in enumerate(out.hidden_states):
            case.grid(f"{key}/features stage{i + 1}@{4 << i}", tap)
        if cls is SegformerForSemanticSegmentation:
            case.logits(key, F.interpolate(out.logits, scale_factor=0.5, mode="bilinear", align_corners=False))
    case.write()
