"""Decodes every source once into one memory-mapped file of uint8 RGB images.

CamVid test and the anomaly sets (roadanomaly21, roadobstacle21, fs_static) are never read here.
"""

import glob
import json
import os
from typing import Iterator, List, NamedTuple, Optional

import cv2
import numpy as np

import labels


class Item(NamedTuple):
    """One training image.  ``label`` is uint8[H,W] or None, ``kind`` "camvid", "cityscapes" or ""."""

    source: str
    image: np.ndarray
    label: Optional[np.ndarray]
    kind: str


# Probability of a source and the range of its zoom (crop pixels per stored pixel).
SOURCES = {
    "camvid": (0.46, (1.2, 2.7)),
    "cityscapes": (0.24, (0.35, 1.1)),
    "carnd": (0.06, (0.7, 1.6)),
    "intel": (0.05, (0.8, 1.6)),
    "vtest": (0.05, (0.8, 1.8)),
    "photo": (0.14, (0.45, 1.5)),
}
LONG_SIDE = 1280  # larger photographs are reduced to this


def _read(path: str) -> Optional[np.ndarray]:
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[:, :, ::-1])


def _camvid(root: str) -> Iterator[Item]:
    table = labels.camvid_table()
    for split in ("train", "val"):
        for path in sorted(glob.glob(os.path.join(root, "camvid", split, "images", "*"))):
            name = os.path.splitext(os.path.basename(path))[0]
            label = cv2.imread(glob.glob(os.path.join(root, "camvid", split, "labels", name + ".*"))[0], 0)
            yield Item("camvid", _read(path), table[label], "camvid")


def _cityscapes(root: str) -> Iterator[Item]:
    table = labels.cityscapes_table()
    for path in sorted(glob.glob(os.path.join(root, "cityscapes-few", "images", "*"))):
        name = os.path.splitext(os.path.basename(path))[0]
        image = _read(path)
        file = os.path.join(root, "cityscapes-few", "labels", name + "_gtFine_labelIds.png")
        label = table[cv2.imread(file, 0)] if os.path.exists(file) else None
        yield Item("cityscapes", image, label, "cityscapes" if label is not None else "")


def _video(source: str, path: str, step: int) -> Iterator[Item]:
    video = cv2.VideoCapture(path)
    index = 0
    while video.grab():
        if index % step == 0:
            ok, frame = video.retrieve()
            if ok:
                yield Item(source, np.ascontiguousarray(frame[:, :, ::-1]), None, "")
        index += 1
    video.release()


def _photos(folder: str) -> Iterator[Item]:
    for path in sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True)):
        name = os.path.basename(path).lower()
        # left*/right* of the OpenCV samples are chessboards
        if not name.endswith((".jpg", ".jpeg", ".png")) or name.startswith(("left", "right")):
            continue
        image = _read(path)
        if image is None or min(image.shape[:2]) < 200:
            continue
        scale = LONG_SIDE / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield Item("photo", image, None, "")


def read_stamps(folder: str, side: int = 256) -> List[np.ndarray]:
    """RGBA cut-outs of at most ``side`` pixels; letters, symbols and drawings' mirrors are skipped."""
    stamps = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.png"), recursive=True)):
        if "/symbols/" in path or path.endswith("_mirror.png"):
            continue
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
            continue
        scale = side / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(image.shape[:2]) >= 24 and (image[..., 3] > 128).mean() > 0.1:
            stamps.append(np.ascontiguousarray(image[..., [2, 1, 0, 3]]))
    return stamps


def items(root: str, opencv: str, photos: List[str]) -> Iterator[Item]:
    """Every training image.  ``opencv`` is the sample folder of OpenCV's documentation."""
    yield from _camvid(root)
    yield from _cityscapes(root)
    yield from _video("carnd", os.path.join(root, "clips", "carnd_solidWhiteRight.mp4"), 3)
    yield from _video("intel", os.path.join(root, "clips", "intel_one-by-one-person-detection.mp4"), 14)
    yield from _video("vtest", os.path.join(opencv, "vtest.avi"), 12)
    for folder in [opencv] + photos:
        yield from _photos(folder)


def build(cache: str, root: str, opencv: str, photos: List[str], stamps: List[str]) -> None:
    """Writes images.bin and index.json under ``cache``."""
    os.makedirs(cache, exist_ok=True)
    index, offset = {"images": [], "stamps": []}, 0
    with open(os.path.join(cache, "images.bin"), "wb") as f:
        def put(a: np.ndarray) -> dict:
            nonlocal offset
            f.write(a.tobytes())
            entry = {"offset": offset, "shape": list(a.shape)}
            offset += a.nbytes
            return entry

        for item in items(root, opencv, photos):
            entry = put(item.image)
            entry.update(source=item.source, kind=item.kind)
            entry["label"] = None if item.label is None else put(item.label)
            index["images"].append(entry)
        for folder in stamps:
            index["stamps"] += [put(s) for s in read_stamps(folder)]
    with open(os.path.join(cache, "index.json"), "w") as f:
        json.dump(index, f)


class Cache:
    """Read access to what ``build`` wrote."""

    def __init__(self, folder: str):
        with open(os.path.join(folder, "index.json")) as f:
            index = json.load(f)
        self._raw = np.memmap(os.path.join(folder, "images.bin"), np.uint8, "r")
        self._images = index["images"]
        self._stamps = index["stamps"]
        self.by_source = {}
        for i, entry in enumerate(self._images):
            self.by_source.setdefault(entry["source"], []).append(i)

    def _get(self, entry: dict) -> np.ndarray:
        n = int(np.prod(entry["shape"]))
        return self._raw[entry["offset"]:entry["offset"] + n].reshape(entry["shape"])

    def item(self, i: int) -> Item:
        """Image ``i`` with its label, as views into the file."""
        e = self._images[i]
        return Item(e["source"], self._get(e), None if e["label"] is None else self._get(e["label"]), e["kind"])

    def stamp(self, i: int) -> np.ndarray:
        """RGBA cut-out ``i``."""
        return self._get(self._stamps[i])

    @property
    def stamps(self) -> int:
        """Number of cut-outs."""
        return len(self._stamps)
