"""The two encoders, and what their heads learn."""

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Objective:
    """Weights of the parts of a head's loss; trust is the labels' share in the target."""

    kl: float = 1.0  # KL to the corrected probabilities
    bce: float = 0.0  # binary cross-entropy per class to the same
    logits: float = 0.0  # squared difference to the teacher's logits
    trust: float = 0.7
    dropout: float = 0.0


OBJECTIVES = {
    "breg": Objective(kl=0.5, logits=0.05),
    "bdrop": Objective(bce=0.3, dropout=0.2),
    "mkl0": Objective(trust=0.0),
}


@dataclass(frozen=True)
class Network:
    """One encoder, the frames of its heads' training, and what is dropped of its whitened features."""

    dilate: bool  # stage 6 at stride 16
    drop: int  # the strongest principal components of s32a left out of D
    objectives: Tuple[str, ...]
    passes: Tuple[Tuple[str, float, int, int], ...]  # source, scale, every n-th frame from an offset


NETWORKS = {
    "lite2": Network(True, 96, ("breg", "bdrop", "mkl0"), (
        ("camvid", 1.0, 1, 0), ("camvid", 0.7, 2, 0), ("camvid", 1.4, 2, 1),
        ("city", 1.0, 1, 0), ("city", 0.7, 1, 0), ("city", 1.4, 1, 0))),
    "lite0": Network(False, 64, ("breg",), (("camvid", 1.0, 2, 0), ("city", 1.0, 1, 0))),
}
