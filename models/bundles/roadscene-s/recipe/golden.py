"""Golden tensors of one network for a small fixed input, to test another implementation against.

    python3 golden.py --checkpoint efficientvit_seg_b0_cityscapes.pt --out efficientvit_b0_golden.safetensors
"""

import argparse

import numpy as np
import torch

import efficientvit
import safetensors_io


def pattern(height: int, width: int) -> np.ndarray:
    """uint8 RGB [height,width,3]: gradients, a grid, discs and a hash texture; integer arithmetic only."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    image[(x // 8 + y // 8) % 2 == 0] += 24
    for cx, cy, r, colour in ((24, 20, 12, (200, 40, 40)), (70, 40, 15, (30, 160, 220)), (48, 52, 7, (250, 240, 90))):
        image[(x - cx) ** 2 + (y - cy) ** 2 <= r * r] = colour
    image += ((x * 73 + y * 151 + x * y * 7) % 31 - 15)[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--width", type=int, default=96)
    args = parser.parse_args()

    net = efficientvit.load(args.checkpoint)
    image = pattern(args.height, args.width)
    with torch.no_grad():
        out = net(efficientvit.preprocess(torch.from_numpy(image)[None]))
    tensors = {"image": image}
    for name in ("stage2", "stage3", "stage4", "head", "logits"):
        tensors[name] = out[name][0].numpy().astype(np.float32)
        print(name, tensors[name].shape, "std %.4f" % tensors[name].std())
    safetensors_io.write(args.out, tensors, {"layout": "image HWC uint8 RGB; outputs CHW float32"})


if __name__ == "__main__":
    main()
