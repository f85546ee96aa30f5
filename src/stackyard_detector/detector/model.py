"""The network in plain PyTorch: an LSTM that reads h events and names the next one.

DeepLog (Du et al., CCS 2017, section 3.1): stacked LSTM layers over the window, a linear layer on the last
hidden state, one output per known event. With ``quantitative`` a second LSTM of the same size reads, at
each step, how often each event has occurred in the window so far (after the count vectors of LogAnomaly,
Meng et al., IJCAI 2019), and the linear layer sees both. The same code runs on PyTorch 1.10.2 and 2.x.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stackyard_detector.detector.config import DetectorConfig, Weights, fixed_inputs


class Model(nn.Module):
    """Next-event prediction over windows of symbols."""

    def __init__(self, config: DetectorConfig, event_count: int) -> None:
        super().__init__()
        self.config = config
        self.event_count = event_count
        if config.input == "embedding":
            # padding_idx keeps the vector of the unknown event, which no training window contains, at zero.
            self.embedding = nn.Embedding(event_count + 2, config.embedding_size, padding_idx=event_count)
            input_size = config.embedding_size
        else:
            vectors = torch.from_numpy(fixed_inputs(config, event_count))
            self.register_buffer("vectors", vectors, persistent=False)
            input_size = vectors.shape[1]
        self.lstm = nn.LSTM(input_size, config.hidden_size, config.layers, batch_first=True)
        if config.quantitative:
            self.counts_lstm = nn.LSTM(event_count, config.hidden_size, config.layers, batch_first=True)
        self.output = nn.Linear(config.hidden_size * (2 if config.quantitative else 1), event_count)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits of the next event, float [batch, event_count], after ``windows``, int64 [batch, history]."""
        inputs = self.embedding(windows) if self.config.input == "embedding" else self.vectors[windows]
        features = self.lstm(inputs)[0][:, -1]
        if self.config.quantitative:
            counted = self.counts_lstm(self._running_counts(windows))[0][:, -1]
            features = torch.cat([features, counted], dim=1)
        return self.output(features)

    def _running_counts(self, windows: torch.Tensor) -> torch.Tensor:
        """Share of the window each known event has filled so far, float [batch, history, event_count]."""
        once = nn.functional.one_hot(windows, self.event_count + 2)[:, :, : self.event_count]
        return once.cumsum(1).to(self.output.weight.dtype) / self.config.history

    def weights(self) -> Weights:
        """A copy of the trained weights as numpy arrays."""
        arrays = {
            name: value.detach().cpu().float().numpy().copy() for name, value in self.state_dict().items()
        }
        return Weights(self.config, self.event_count, arrays)


def from_weights(weights: Weights) -> Model:
    """The network with these weights, on the CPU, ready to score."""
    model = Model(weights.config, weights.event_count)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.arrays.items()})
    return model.eval()


def ranks(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The place of each target among the logits, 1 = greatest, ties in order of ids; int64 [batch].

    A target of ``event_count`` (unknown) ranks event_count + 1.
    """
    event_count = logits.shape[1]
    known = targets < event_count
    own = logits.gather(1, targets.clamp(max=event_count - 1)[:, None])
    ids = torch.arange(event_count, device=logits.device)
    before = (logits > own) | ((logits == own) & (ids < targets[:, None]))
    return torch.where(known, before.sum(1) + 1, torch.full_like(targets, event_count + 1))


def surprise(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of each target's probability, float [batch]; infinity for an unknown one."""
    event_count = logits.shape[1]
    own = logits.gather(1, targets.clamp(max=event_count - 1)[:, None])[:, 0]
    values = (torch.logsumexp(logits, 1) - own).clamp(min=0)
    return torch.where(targets < event_count, values, torch.full_like(values, float("inf")))


def best_device() -> torch.device:
    """The device to work on: the first GPU where PyTorch has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
