"""Minimal safetensors writer: 8-byte little-endian header length, JSON header, raw little-endian data."""

import json
import struct
from typing import Dict

import numpy as np

_DTYPES = {"float32": "F32", "uint8": "U8", "int64": "I64"}


def write(path: str, tensors: Dict[str, np.ndarray], metadata: Dict[str, str] = None) -> None:
    """Writes the tensors in name order; the header is padded with spaces to a multiple of 8 bytes."""
    header, blobs, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = metadata
    for name in sorted(tensors):
        a = np.ascontiguousarray(tensors[name])
        raw = a.tobytes()
        header[name] = {
            "dtype": _DTYPES[a.dtype.name],
            "shape": list(a.shape),
            "data_offsets": [offset, offset + len(raw)],
        }
        blobs.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        f.writelines(blobs)
