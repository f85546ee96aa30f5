"""The naive reference: a next-event LSTM the way it is usually written, window by window.

Lists of Python ints, a ``Dataset`` that makes one tensor per window, a shuffling ``DataLoader``, a constant
learning rate; inference of one window at a time until the first miss. Written for this bench in the manner of
the open DeepLog implementations, to be compared with; nobody should use it. It shares nothing with
``stackyard_detector.detector`` but the names of the weights.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class NaiveModel(nn.Module):
    """Two LSTM layers over event ids as numbers, and a linear layer."""

    def __init__(self, hidden_size: int, layers: int, event_count: int) -> None:
        super().__init__()
        self.hidden_size, self.layers = hidden_size, layers
        self.lstm = nn.LSTM(1, hidden_size, layers, batch_first=True)
        self.output = nn.Linear(hidden_size, event_count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the next event for x, float [batch, history, 1]."""
        h0 = torch.zeros(self.layers, x.size(0), self.hidden_size)
        c0 = torch.zeros(self.layers, x.size(0), self.hidden_size)
        out, _ = self.lstm(x, (h0, c0))
        return self.output(out[:, -1, :])


class WindowDataset(Dataset):
    """Every window of every session as a list, with the event that follows."""

    def __init__(self, sessions: Sequence[Sequence[int]], history: int) -> None:
        self.inputs: List[List[int]] = []
        self.labels: List[int] = []
        for session in sessions:
            for i in range(len(session) - history):
                self.inputs.append(list(session[i : i + history]))
                self.labels.append(session[i + history])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Tuple[torch.Tensor, int]:
        return torch.tensor(self.inputs[index], dtype=torch.float), self.labels[index]


def train(
    sessions: Sequence[Sequence[int]],
    history: int,
    event_count: int,
    steps: int,
    batch_size: int,
    seed: int,
    learning_rate: float = 1e-3,
    validate: Optional[Callable[[NaiveModel], float]] = None,
    validate_every: int = 0,
    target: Optional[float] = None,
) -> Dict[str, Any]:
    """Train until ``steps``, or until ``validate`` gives ``target`` or less.

    Returns:
        model, steps, validation_loss, cpu_seconds (of everything from the lists on, validations left out).
    """
    began, excluded = time.process_time(), 0.0
    torch.manual_seed(seed)
    loader = DataLoader(WindowDataset(sessions, history), batch_size=batch_size, shuffle=True)
    model = NaiveModel(64, 2, event_count)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    step, loss_now = 0, None
    while step < steps:
        for windows, labels in loader:
            model.train()
            output = model(windows.view(-1, history, 1))
            loss = criterion(output, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if validate is not None and (step == steps or (validate_every and step % validate_every == 0)):
                paused = time.process_time()
                loss_now = validate(model)
                excluded += time.process_time() - paused
            if step == steps or (target is not None and loss_now is not None and loss_now <= target):
                steps = step
                break
    cpu_seconds = time.process_time() - began - excluded
    return {"model": model, "steps": step, "validation_loss": loss_now, "cpu_seconds": cpu_seconds}


def infer(model: NaiveModel, sessions: Sequence[Sequence[int]], history: int, k: int) -> List[int]:
    """The index of the first miss of each session, -1 for none; windows after it are not looked at."""
    first_misses = []
    model.eval()
    with torch.no_grad():
        for session in sessions:
            first = -1
            for i in range(len(session) - history):
                window = torch.tensor(session[i : i + history], dtype=torch.float).view(-1, history, 1)
                output = model(window)
                predicted = torch.argsort(output, 1)[0][-k:].tolist()
                if session[i + history] not in predicted:
                    first = i + history
                    break
            first_misses.append(first)
    return first_misses
