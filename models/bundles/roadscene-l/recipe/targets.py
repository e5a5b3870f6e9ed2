"""What a segmenter learns: the teacher's probabilities, corrected by the labels where there are any."""

import torch
import torch.nn.functional as F

import labels

GROUPS = torch.from_numpy(labels.camvid_groups())


def corrected(logits: torch.Tensor, label: torch.Tensor, city: torch.Tensor, trust: float) -> torch.Tensor:
    """Probabilities [N,19] from the teacher's logits [N,19].

    ``label`` [N] is a Cityscapes class where ``city`` is true and a CamVid class elsewhere. A CamVid class is a union
    of Cityscapes classes: within it the teacher's proportions stay. ``trust`` is the share of the corrected part.
    """
    p = F.softmax(logits, -1)
    fixed = torch.zeros_like(p)
    camvid = ~city & (label < GROUPS.shape[0])
    group = GROUPS[label[camvid]]
    fixed[camvid] = p[camvid] * group + 1e-4 * group / group.sum(1, keepdim=True)
    exact = city & (label < p.shape[1])
    fixed[exact] = F.one_hot(label[exact], p.shape[1]).float()
    has = camvid | exact
    fixed = fixed / fixed.sum(1, keepdim=True).clamp(min=1e-8)
    return torch.where(has[:, None], (1 - trust) * p + trust * fixed, p)


def divergence(q: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(q || softmax(logits)) per row of the last axis."""
    return (q * (torch.log(q + 1e-8) - F.log_softmax(logits, -1))).sum(-1)
