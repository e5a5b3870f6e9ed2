"""Mask2Former as Hugging Face's transformers computes it: small ones, and the network on Swin-T."""
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from oracle import Case, called, fill, picture, version

STAGES = [f"stage{i + 1}" for i in range(4)]
SMALL = dict(
    backbone=dict(embed_dim=24, depths=[2, 2, 2, 2], num_heads=[1, 2, 3, 6], window_size=4),
    feature_size=64, mask_feature_size=32, hidden_dim=48, encoder_layers=2, decoder_layers=5, num_attention_heads=4,
    encoder_feedforward_dim=96, dim_feedforward=80, num_queries=7,
)
TINY = dict(backbone=dict(embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7))
SIZES = ((128, 64),), ((150, 100), (160, 96))


def compare(name, classes, backbone, **shape):
    case = Case(name, version("transformers"), ["mask2former", "."])
    config = Mask2FormerConfig(backbone_config=SwinConfig(out_features=STAGES, **backbone), num_labels=classes, **shape)
    net = fill(Mask2FormerForUniversalSegmentation(config))
    net.save_pretrained(case.folder)
    net, finest = net.double(), []
    net.model.pixel_level_module.decoder.layer_1.register_forward_hook(lambda m, i, out: finest.append(out))
    for size in SIZES:
        x, key = picture(*size[0], *size[1:]), called(*size[0], *size[1:])
        out = net(x, output_hidden_states=True)
        for i, tap in enumerate(out.encoder_hidden_states):
            case.grid(f"{key}/features stage{i + 1}@{4 << i}", tap)
        for i, tap in enumerate(out.pixel_decoder_hidden_states):
            case.grid(f"{key}/features pixel{4 - i}@{32 >> i}", tap)
        case.grid(f"{key}/features", out.pixel_decoder_hidden_states[1])
        case.grid(f"{key}/features pixel1@4", finest.pop())
        case.grid(f"{key}/features masks@4", out.pixel_decoder_last_hidden_state)
        classes, masks = out.class_queries_logits, out.masks_queries_logits
        case.expect(key + "/class_logits", classes[0])
        case.expect(key + "/mask_logits", masks[0])
        # what post_process_semantic_segmentation takes the arg-max of
        case.logits(key, (classes.softmax(-1)[..., :-1].transpose(1, 2) @ masks.sigmoid().flatten(2)).unflatten(2, masks.shape[2:]))
    case.write()


compare("mask2former-small", 5, **SMALL)
compare("mask2former-swin-t", 19, **TINY)
