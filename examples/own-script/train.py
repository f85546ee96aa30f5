"""Trains a small network to tell three interleaved spirals apart: plain PyTorch, stochastic gradient descent."""

import argparse
import json

import torch
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
for name, value in {"epochs": 8, "batch": 32, "lr": 0.2, "points": 6000, "seed": 1}.items():
    parser.add_argument(f"--{name}", type=type(value), default=value)
parser.add_argument("--out", default="metrics.json", help="where the figures are written")
args = parser.parse_args()
torch.manual_seed(args.seed)
generator = torch.Generator().manual_seed(args.seed)


def spirals(count):  # points on three noisy spirals, shape (count, 2), and the spiral of each
    label, radius = torch.randint(0, 3, (count,), generator=generator), torch.rand(count, generator=generator)
    angle = 4 * radius + label * 2 * torch.pi / 3 + 0.25 * torch.randn(count, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), label


points, labels = spirals(args.points)
model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
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
points, labels = spirals(2000)  # held out
accuracy = round((model(points).argmax(1) == labels).float().mean().item(), 4)
with open(args.out, "w") as file:
    json.dump({"accuracy": accuracy, "loss": round(total / args.points, 4)}, file)
