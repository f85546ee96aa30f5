"""Reads generated images through PyTorch's DataLoader, in this process or in workers of its own."""

import argparse
import json
import time
from typing import Tuple

import torch
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """Pictures that are made when they are asked for, as decoding and augmenting makes them from files."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tuple[torch.Tensor, int]:
        """A picture of shape (3, size, size) with values from 0 to 1, and its label."""
        generator = torch.Generator().manual_seed(index)
        picture = torch.rand(1, 3, self.size, self.size, generator=generator)
        for _ in range(8):  # smooth it, as blurring and resizing does
            picture = torch.nn.functional.avg_pool2d(picture, 5, stride=1, padding=2)
        return picture[0], index % 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: this one does it")
    parser.add_argument("--out", default="metrics.json", help="where the figures are written")
    args = parser.parse_args()

    torch.set_num_threads(1)
    loader = DataLoader(Pictures(args.pictures, args.size), batch_size=args.batch, num_workers=args.workers)
    begun, total = time.monotonic(), 0.0
    for pictures, _ in loader:
        total += pictures.mean().item() * len(pictures)
    seconds = time.monotonic() - begun
    print(f"{args.pictures} pictures in {seconds:.2f} s, mean {total / args.pictures:.4f}")
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"mean": total / args.pictures, "pictures_per_second": args.pictures / seconds}, file)


if __name__ == "__main__":
    main()
