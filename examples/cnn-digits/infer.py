"""Reads digits with a trained network, and says how many it got right."""

import argparse
import json
import os
import time

import network
import numpy
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that preprocess.py wrote")
    parser.add_argument("--model", required=True, help="model.npz of train.py")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--passes", type=int, default=5, help="how often all pictures are read")
    parser.add_argument("--out", default="metrics.json", help="where the figures are written")
    args = parser.parse_args()

    images = torch.from_numpy(numpy.load(os.path.join(args.data, "test-images.npy"), allow_pickle=False))
    labels = torch.from_numpy(numpy.load(os.path.join(args.data, "test-labels.npy"), allow_pickle=False))
    model = network.load(args.model)
    begun = time.monotonic()
    with torch.no_grad():
        for _ in range(args.passes):
            found = torch.cat([model(batch).argmax(1) for batch in images.split(args.batch)])
    seconds = time.monotonic() - begun
    accuracy = (found == labels).float().mean().item()
    print(f"accuracy {accuracy:.3f}")
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"accuracy": accuracy, "images_per_second": args.passes * len(images) / seconds}, file)


if __name__ == "__main__":
    main()
