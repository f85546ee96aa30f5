"""Scales pictures to mean 0 and deviation 1, and parts them 9 to 1 for training and testing."""

import argparse
import os

import numpy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with images.npy and labels.npy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default=".", help="folder for what training and testing read")
    args = parser.parse_args()

    images = numpy.load(os.path.join(args.data, "images.npy"), allow_pickle=False).astype(numpy.float32)
    labels = numpy.load(os.path.join(args.data, "labels.npy"), allow_pickle=False)
    order = numpy.random.default_rng(args.seed).permutation(len(images))
    images = ((images - images.mean()) / images.std())[order, None]
    labels, kept = labels[order], len(images) * 9 // 10
    for name, part in (("train", slice(0, kept)), ("test", slice(kept, None))):
        numpy.save(os.path.join(args.out, f"{name}-images.npy"), images[part])
        numpy.save(os.path.join(args.out, f"{name}-labels.npy"), labels[part])
    print(f"{kept} to train, {len(images) - kept} to test")


if __name__ == "__main__":
    main()
