"""Trains the captioner on generated pictures."""

import argparse

import captioner
import torch
from torch import nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="model.npz", help="where the network is written")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    seen, words = captioner.pictures(args.pictures, args.seed)
    model = captioner.Captioner()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for epoch in range(1, args.epochs + 1):
        for batch in torch.randperm(len(seen)).split(32):
            scores = model(seen[batch], words[batch])
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), words[batch].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.3f}", flush=True)
    captioner.save(model, args.out)


if __name__ == "__main__":
    main()
