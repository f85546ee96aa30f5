"""Trains a small network to tell three interleaved spirals apart: plain PyTorch, stochastic gradient descent."""

import argparse
import json

import torch
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--lr", type=float, default=0.2)
parser.add_argument("--points", type=int, default=6000)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--out", default="metrics.json", help="where the figures are written")
args = parser.parse_args()
generator = torch.Generator().manual_seed(args.seed)
torch.manual_seed(args.seed)


def spirals(count):
    """Points on three noisy spirals, shape (count, 2), and the spiral of each."""
    label, radius = torch.randint(0, 3, (count,), generator=generator), torch.rand(count, generator=generator)
    angle = 4 * radius + label * 2 * torch.pi / 3 + 0.25 * torch.randn(count, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), label


points, labels = spirals(args.points)
model = nn.Sequential(
    nn.Linear(2, args.hidden),
    nn.ReLU(),
    nn.Linear(args.hidden, args.hidden),
    nn.ReLU(),
    nn.Linear(args.hidden, 3),
)
for epoch in range(1, args.epochs + 1):
    total = 0.0
    for batch in torch.randperm(args.points, generator=generator).split(args.batch):
        loss = nn.functional.cross_entropy(model(points[batch]), labels[batch])
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weights in model.parameters():
                weights -= args.lr * weights.grad
        total += loss.item() * len(batch)
    print(f"epoch {epoch} loss {total / args.points:.2f}")
held_points, held_labels = spirals(2000)
with torch.no_grad():
    accuracy = (model(held_points).argmax(1) == held_labels).float().mean().item()
with open(args.out, "w") as file:
    json.dump({"accuracy": round(accuracy, 4), "loss": round(total / args.points, 4)}, file)
