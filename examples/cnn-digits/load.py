"""Draws digits of 28 x 28 pixels, each moved, stretched and noisy: what a download of MNIST would give."""

import argparse
import os

import numpy

#: Ten digits of 5 x 7 pixels, a row as a number of five bits.
SHAPES = (
    (14, 17, 19, 21, 25, 17, 14),
    (4, 12, 4, 4, 4, 4, 14),
    (14, 17, 1, 2, 4, 8, 31),
    (31, 2, 4, 2, 1, 17, 14),
    (2, 6, 10, 18, 31, 2, 2),
    (31, 16, 30, 1, 1, 17, 14),
    (6, 8, 16, 30, 17, 17, 14),
    (31, 1, 2, 4, 8, 8, 8),
    (14, 17, 17, 14, 17, 17, 14),
    (14, 17, 17, 15, 1, 2, 12),
)


def drawn(digit: int, random: numpy.random.Generator) -> numpy.ndarray:
    """A picture of ``digit``, shape (28, 28), values from 0 to 255."""
    shape = numpy.array([[row >> 4 - column & 1 for column in range(5)] for row in SHAPES[digit]])
    high, wide = random.integers(2, 4, size=2)
    large = numpy.kron(shape, numpy.ones((high, wide)))
    picture = numpy.zeros((28, 28))
    down, right = (random.integers(0, 29 - side) for side in large.shape)
    picture[down : down + large.shape[0], right : right + large.shape[1]] = large
    return numpy.clip(picture * random.uniform(120, 255) + random.normal(0, 40, picture.shape), 0, 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default=".", help="folder for images.npy and labels.npy")
    args = parser.parse_args()

    random = numpy.random.default_rng(args.seed)
    labels = random.integers(0, 10, args.count)
    images = numpy.stack([drawn(label, random) for label in labels]).astype(numpy.uint8)
    numpy.save(os.path.join(args.out, "images.npy"), images)
    numpy.save(os.path.join(args.out, "labels.npy"), labels)
    print(f"{args.count} digits")


if __name__ == "__main__":
    main()
