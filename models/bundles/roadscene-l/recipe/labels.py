"""Class lists and label mappings."""

import numpy as np

CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)
CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)
IGNORE = 255

# labelIds of the Cityscapes release -> the 19 evaluated classes.
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

# CamVid's 11 classes are coarser: each is the union of these Cityscapes classes.
_CAMVID_GROUPS = ((10,), (2, 3), (5,), (0,), (1,), (8, 9), (6, 7), (4,), (13, 14, 15, 16), (11,), (12, 17, 18))


def cityscapes_table() -> np.ndarray:
    """uint8[256]: labelId -> class or IGNORE."""
    table = np.full(256, IGNORE, np.uint8)
    table[list(_LABEL_IDS)] = np.arange(19)
    return table


def camvid_table() -> np.ndarray:
    """uint8[256]: CamVid label -> itself, everything from 11 (void) on -> IGNORE."""
    table = np.full(256, IGNORE, np.uint8)
    table[:11] = np.arange(11)
    return table


def camvid_groups() -> np.ndarray:
    """float32[11,19], 1 where a Cityscapes class belongs to a CamVid class; sums probabilities."""
    groups = np.zeros((11, 19), np.float32)
    for i, members in enumerate(_CAMVID_GROUPS):
        groups[i, list(members)] = 1
    return groups
