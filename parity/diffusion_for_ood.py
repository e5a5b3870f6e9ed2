"""The pairs of DOoD: Segmenter and SETR as mmsegmentation and DOoD's repository compute them, and DOoD's own denoiser, scores
and map. The probe of the keys, the normalisation, the diffusion process and the rule are the repository's too."""
import os, sys, types
import torch
from torch import nn
from torch.nn import functional as F

from oracle import SOURCES, Case, called, fill, picture, version


class Compiled(types.ModuleType):
    """Stands for mmcv's compiled operators, none of which these networks use."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *a, **k: None


sys.modules["mmcv._ext"] = Compiled("mmcv._ext")
sys.modules["pytoml"] = types.ModuleType("pytoml")  # of the repository's tools
import mmseg.models  # noqa: E402, F401
from mmseg.registry import MODELS  # noqa: E402

sys.path.insert(0, os.path.join(SOURCES, "diffusion-for-ood"))
import dood.models  # noqa: E402, F401
from dood.diffusion import diffusion_model as model  # noqa: E402
from dood.diffusion.denoisers.unet_0d import UNet0D as unet  # noqa: E402
from dood.diffusion.diffusion_processes import gaussian_diffusion as process  # noqa: E402
from dood.probes.vit import FeatureProbeViT as probe  # noqa: E402
from dood.utils import evaluation as rules  # noqa: E402

LOSS = dict(type="CrossEntropyLoss")
BN = dict(type="BN", requires_grad=True)


def vit(kind, width, depth, heads, **more):
    return dict(type=kind, img_size=(768, 768), patch_size=16, in_channels=3, embed_dims=width, num_layers=depth, num_heads=heads,
                with_cls_token=True, norm_cfg=dict(type="LN", eps=1e-6, requires_grad=True), **more)


# The configurations of the published pairs, with fewer blocks in SETR's backbone: weights are random.
SEGMENTER = vit("DistilledVisionTransformer", 768, 12, 12, final_norm=True, interpolate_mode="bicubic"), dict(
    type="SegmenterMaskTransformerHead", in_channels=768, channels=768, num_classes=19, num_layers=1, num_heads=6,
    embed_dims=768, dropout_ratio=0.0, loss_decode=LOSS)
SETR = vit("VisionTransformer", 1024, 6, 16, patch_bias=True, out_indices=(5,), interpolate_mode="bilinear"), dict(
    type="SETRUPHead", in_channels=1024, channels=256, in_index=0, num_classes=19, dropout_ratio=0, num_convs=1, up_scale=4,
    kernel_size=1, norm_cfg=BN, loss_decode=LOSS)
STEPS = list(range(25))


class Fixed(nn.Module):
    """Calls the process's own loop with given noise: torch.randn is what it draws with."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def __enter__(self):
        self.randn = torch.randn
        torch.randn = lambda *shape, **k: self.noise.reshape(*shape[0]) if isinstance(shape[0], tuple) else self.randn(*shape, **k)

    def __exit__(self, *_):
        torch.randn = self.randn


def network(backbone, head):
    net = nn.Module()
    net.backbone, net.decode_head = MODELS.build(backbone), MODELS.build(head)
    return fill(net)


def denoiser(c, depth, middle, mode, features):
    betas = process.get_beta_schedule(schedule_type="linear", num_diffusion_steps=1000, beta_start=0.0001, beta_end=0.02)
    net = model.DiffusionModel(process.GaussianDiffusion(betas, "mse", "fixedsmall", num_steps_in_parallel=25), unet(
        c, c, c, channel_mult=(1,) * depth, num_middle_blocks=middle, timestep_embedding_mode=mode), normalization_queue_size=4)
    fill(net.denoiser)
    net.normalization.train()
    net.normalize(features)
    net.normalization.eval()
    return net.eval()


for name, pair, depth, middle, mode in (
    ("dood segmenter-b", SEGMENTER, 6, 3, "periodic+embed"), ("dood setr-l (6 of 24 blocks)", SETR, 8, 4, "scalar+identity"),
):
    case = Case(name, "lmb-freiburg/diffusion-for-ood@362bf53, " + version("mmsegmentation"),
                ["dood", "--segm", "segm.pth", "--diff", "diff.pth"])
    net = network(*pair)
    torch.save({"state_dict": net.state_dict()}, case.file("segm.pth"))
    net = net.double()
    keys = probe(net)
    r = torch.Generator().manual_seed(1)
    net_d, given = None, None
    for size in ((128, 64),), ((150, 100), (144, 96)):
        x, key = picture(*size[0], *size[1:]), called(*size[0], *size[1:])
        with torch.no_grad():
            out = net.decode_head(net.backbone(x))
        f = next(iter(keys.get_features().values())).reshape(x.shape[2] // 16, x.shape[3] // 16, -1)
        keys.activation_dict["hw_shape"] = None
        case.expect(key + "/features", f)
        logits = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=False) if "segmenter" in name else out
        case.logits(key, logits)
        flat, c = f.reshape(-1, f.shape[-1]), f.shape[-1]
        if net_d is None:
            net_d = denoiser(c, depth, middle, mode, flat.float() * 1.1)
            torch.save({"state_dict": {k: v for k, v in net_d.state_dict().items() if k.startswith(("denoiser.", "normalization."))}},
                       case.file("diff.pth"))
            net_d = net_d.double()
            # The denoiser alone: e_t and ε̂ of features at given noise.
            given, steps = flat[:8].clone(), [999, 500, 99, 24, 0]
            noise = torch.randn(len(steps), 8, c, generator=r).double()
            x0 = net_d.normalize(given)
            t = torch.tensor(steps).repeat_interleave(8)
            xt = net_d.diffusion_process.q_sample(x_start=x0.repeat(len(steps), 1), t=t, noise=noise.reshape(-1, c))
            eps = net_d.denoiser(xt, t).reshape(len(steps), 8, c)
            for what, v in (("features", given), ("noise", noise), ("timesteps", torch.tensor(steps)), ("epsilon", eps),
                            ("cosine", -F.cosine_similarity(noise, eps, dim=2)), ("mse", ((noise - eps) ** 2).mean(2))):
                case.expect("denoiser/" + what, v)
        # The map: DOoD's own loop over the last 25 steps, from the noisiest on, and its rule.
        noise = torch.randn(25, len(flat), c, generator=r).double()
        case.expect(key + "/noise", noise)
        with torch.no_grad(), Fixed(noise.flip(0)):
            score, _ = net_d.compute_eps_cos(net_d.normalize(flat), steps=STEPS)
        score = score.reshape(f.shape[:2])
        lse = rules.ood_score_functions["logsumexp"](logits)[0]
        moments = [score.mean() - 0.01, score.std() * 1.3, lse.mean() + 0.2, lse.std() * 0.8]
        case.expect(key + "/moments", torch.stack(moments))
        case.expect(key + "/map", rules.combine_scores_standardize(rules.upsample_scores(score, lse), lse, *moments))
    case.write()
