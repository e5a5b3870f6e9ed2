"""Random crops with geometric and photometric augmentation, pasted cut-outs and patches of other images."""

from typing import Tuple

import cv2
import numpy as np

import data
import labels


def _warp(rng, item: data.Item, height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """A random zoom, aspect, rotation, flip and position of one image and its label."""
    low, high = data.SOURCES[item.source][1]
    zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
    zx, zy = zoom * np.exp(rng.normal(0, 0.08)), zoom
    image, label = item.image, item.label
    if zoom < 0.7:  # bilinear sampling alone would alias
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
        label = None if label is None else cv2.resize(label, half, interpolation=cv2.INTER_NEAREST)
        zx, zy = zx * 2, zy * 2
    h, w = image.shape[:2]
    zx, zy = max(zx, 0.75 * width / w), max(zy, 0.75 * height / h)  # at most a quarter is border
    angle = np.deg2rad(rng.normal(0, 3)) if rng.random() < 0.3 else 0.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    c, s = np.cos(angle), np.sin(angle)
    linear = np.array([[flip * zx * c, -zy * s], [flip * zx * s, zy * c]])
    # the image point that lands in the middle of the crop
    px = rng.uniform(min(width / zx, w) / 2, w - min(width / zx, w) / 2)
    py = rng.uniform(min(height / zy, h) / 2, h - min(height / zy, h) / 2)
    shift = np.array([width / 2, height / 2]) - linear @ np.array([px, py])
    m = np.concatenate([linear, shift[:, None]], 1)
    out = cv2.warpAffine(image, m, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if label is None:
        return out, np.full((height, width), labels.IGNORE, np.uint8)
    warped = cv2.warpAffine(label, m, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
                            borderValue=labels.IGNORE)
    return out, warped


def _paste(rng, stamp: np.ndarray, image: np.ndarray, label: np.ndarray) -> None:
    """Blends one cut-out in place; the labels under it become IGNORE."""
    height, width = image.shape[:2]
    side = height * np.exp(rng.uniform(np.log(0.08), np.log(0.75)))
    scale = side / max(stamp.shape[:2])
    size = max(4, int(stamp.shape[1] * scale)), max(4, int(stamp.shape[0] * scale))
    patch = cv2.resize(stamp, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    x, y = rng.integers(-size[0] // 3, width - size[0] // 2), rng.integers(-size[1] // 3, height - size[1] // 2)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size[0], width), min(y + size[1], height)
    if x1 <= x0 or y1 <= y0:
        return
    patch = patch[y0 - y:y1 - y, x0 - x:x1 - x]
    alpha = patch[..., 3:].astype(np.float32) / 255
    colour = np.clip(patch[..., :3].astype(np.float32) * rng.uniform(0.5, 1.1), 0, 255)
    image[y0:y1, x0:x1] = image[y0:y1, x0:x1] * (1 - alpha) + colour * alpha
    label[y0:y1, x0:x1][alpha[..., 0] > 0.2] = labels.IGNORE


def _photometric(rng, image: np.ndarray) -> np.ndarray:
    """Gain, contrast, gamma, colour, grayscale, blur, noise and JPEG, each with its own probability."""
    x = image.astype(np.float32)
    if rng.random() < 0.8:
        gain = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.06, 3))
        mean = x.mean()
        x = (x - mean) * np.exp(rng.normal(0, 0.2)) + mean
        x = x * gain.astype(np.float32)
    if rng.random() < 0.5:
        gray = x.mean(2, keepdims=True)
        x = gray + (x - gray) * rng.uniform(0.2, 1.7)
    if rng.random() < 0.05:
        x = np.repeat(x.mean(2, keepdims=True), 3, 2)
    x = np.clip(x, 0, 255)
    if rng.random() < 0.4:
        x = 255 * (x / 255) ** np.exp(rng.normal(0, 0.3))
    if rng.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.3:
        grain = rng.normal(0, rng.uniform(1, 6), (64, 128, 3)).astype(np.float32)
        mode = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
        x = x + cv2.resize(grain, image.shape[1::-1], interpolation=mode)
    x = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        x = cv2.imdecode(cv2.imencode(".jpg", x, quality)[1], cv2.IMREAD_COLOR)
    return x


class Sampler:
    """Draws augmented crops from a cache."""

    def __init__(self, cache: data.Cache, height: int, width: int, seed: int):
        self.cache, self.height, self.width = cache, height, width
        self.rng = np.random.default_rng(seed)
        self._names = [s for s in data.SOURCES if s in cache.by_source]
        p = np.array([data.SOURCES[s][0] for s in self._names])
        self._p = p / p.sum()

    def _crop(self):
        name = self.rng.choice(self._names, p=self._p)
        item = self.cache.item(int(self.rng.choice(self.cache.by_source[name])))
        return (*_warp(self.rng, item, self.height, self.width), item.kind)

    def sample(self) -> Tuple[np.ndarray, np.ndarray, str]:
        """Image uint8[H,W,3], label uint8[H,W] and the label's kind."""
        rng = self.rng
        image, label, kind = self._crop()
        if rng.random() < 0.12:  # a rectangle of another image
            other = self._crop()[0]
            h, w = int(self.height * rng.uniform(0.3, 0.8)), int(self.width * rng.uniform(0.2, 0.6))
            y, x = rng.integers(0, self.height - h), rng.integers(0, self.width - w)
            image[y:y + h, x:x + w] = other[y:y + h, x:x + w]
            label[y:y + h, x:x + w] = labels.IGNORE
        if self.cache.stamps and rng.random() < 0.4:
            for _ in range(rng.integers(1, 4)):
                _paste(rng, self.cache.stamp(int(rng.integers(self.cache.stamps))), image, label)
        return _photometric(rng, image), label, kind
