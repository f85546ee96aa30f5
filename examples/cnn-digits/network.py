"""The network of all steps: three convolutions, dropout, ten classes. Kept as plain arrays, not as a pickle."""

import numpy
import torch
from torch import nn


def network() -> nn.Sequential:
    """Pictures of shape (n, 1, 28, 28) to scores of shape (n, 10)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 3 * 3, 10)),
    )


def save(model: nn.Module, file: str) -> None:
    numpy.savez(file, **{name: value.numpy() for name, value in model.state_dict().items()})


def load(file: str) -> nn.Sequential:
    model = network()
    with numpy.load(file, allow_pickle=False) as held:
        model.load_state_dict({name: torch.from_numpy(held[name]) for name in held.files})
    return model.eval()
