"""Trains the network on prepared digits."""

import argparse
import os
import time

import network
import numpy
import torch
from torch import nn

try:
    from stackyard_task import report  # phases and step times; outside Stackyard nothing needs it
except ImportError:
    report = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that preprocess.py wrote")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default=".", help="folder for model.npz")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    images = torch.from_numpy(numpy.load(os.path.join(args.data, "train-images.npy"), allow_pickle=False))
    labels = torch.from_numpy(numpy.load(os.path.join(args.data, "train-labels.npy"), allow_pickle=False))
    model = network.network()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    if report:
        report.phase("steady")
    begun = time.monotonic()
    for epoch in range(1, args.epochs + 1):
        total = 0.0
        batches = torch.randperm(len(images)).split(args.batch)
        for batch in report.steps(batches) if report else batches:
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch} loss {total / len(images):.3f}", flush=True)
    seconds = time.monotonic() - begun
    if report:
        report.phase("finish")
    print(f"images_per_second {args.epochs * len(images) / seconds:.0f}")
    network.save(model, os.path.join(args.out, "model.npz"))


if __name__ == "__main__":
    main()
