"""Decodes the training images into a cache.

    python3 prepare.py --data DIR --opencv DIR --photos DIR... --stamps DIR... --cache DIR
"""

import argparse

import data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with camvid, cityscapes-few and clips")
    parser.add_argument("--opencv", required=True, help="sample data of OpenCV's documentation")
    parser.add_argument("--photos", nargs="*", default=[], help="folders of photographs")
    parser.add_argument("--stamps", nargs="*", default=[], help="folders of cut-outs: PNG with an alpha channel")
    parser.add_argument("--cache", required=True)
    args = parser.parse_args()
    data.build(args.cache, args.data, args.opencv, args.photos, args.stamps)
    cache = data.Cache(args.cache)
    print({name: len(images) for name, images in cache.by_source.items()}, "cut-outs:", cache.stamps)


if __name__ == "__main__":
    main()
