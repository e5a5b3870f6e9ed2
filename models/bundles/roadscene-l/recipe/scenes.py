"""Frames, their labels and their sizes."""

import glob
import math
import os

import cv2
import numpy as np

import labels

PIXELS = 1024 * 512  # of a frame at scale 1, in its own shape


def camvid(root: str, split: str) -> list:
    """[(image, label)] of CamVid's train, val or test."""
    images = sorted(glob.glob(os.path.join(root, "camvid", split, "images", "*")))
    return [(p, glob.glob(os.path.join(root, "camvid", split, "labels", _stem(p) + ".*"))[0]) for p in images]


def cityscapes(root: str) -> list:
    """[(image, label or None)] of the 16 Cityscapes frames, 8 of them with labels."""
    images = sorted(glob.glob(os.path.join(root, "cityscapes-few", "images", "*")))
    images += sorted(glob.glob(os.path.join(root, "cityscapes-more", "images", "*")))
    found = [os.path.join(root, "cityscapes-few", "labels", _stem(p) + "_gtFine_labelIds.png") for p in images]
    return [(p, q if os.path.exists(q) else None) for p, q in zip(images, found)]


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def read(path: str) -> np.ndarray:
    """uint8 RGB."""
    return np.ascontiguousarray(cv2.imread(path, cv2.IMREAD_COLOR)[:, :, ::-1])


def read_label(path: str, city: bool) -> np.ndarray:
    """uint8 classes of the label's own list (19 of Cityscapes or 11 of CamVid), IGNORE elsewhere."""
    table = labels.cityscapes_table() if city else labels.camvid_table()
    mask = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return table[mask if mask.ndim == 2 else mask[:, :, 0]]


def working_size(image: np.ndarray, scale: float = 1.0) -> tuple:
    """(width, height) with about PIXELS·scale² pixels and the image's shape, multiples of 32."""
    h, w = image.shape[:2]
    s = scale * math.sqrt(PIXELS / (w * h))
    return tuple(max(32, round(side * s / 32) * 32) for side in (w, h))


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Mean of areas when reducing, bilinear when enlarging."""
    smaller = width < image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def resize_label(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """The nearest pixel's class."""
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
