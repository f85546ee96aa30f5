"""The networks of the experiments, and how they are trained: LSTM, GRU, a small transformer; ids or texts as input.

Symbols count all names of a group: the ``known`` events that training has come first, then those of other sites, then
two that ``windows`` adds (unknown, pad). Needs PyTorch.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass
from typing import Dict, Optional, Sequence

import numpy as np
import torch
from torch import nn

from bench.detector.experiments.sets import GAPS
from stackyard_detector.detector.training import TrainingParameters, learning_rate
from stackyard_detector.detector.windows import Windows, merged

HISTORY = 10
BATCH = 128
#: Hidden units, layers (one: so that all of it takes less than an hour), length of an event's vector.
HIDDEN, LAYERS, VECTOR = 64, 1, 16
EXPONENT = 0.5


@dataclass(frozen=True)
class Variant:
    """What is tried."""

    name: str
    cell: str = "lstm"
    #: Chance of each event of a window to be replaced by "unknown" while training.
    dropout: float = 0.0
    #: Events enter by the words of their text.
    text: bool = False
    #: The end of a session is an event that is predicted too.
    end: bool = False
    #: An event that training never had counts as the known one with the most words in common.
    nearest: bool = False
    #: The time since the event before enters too, and is predicted.
    gaps: bool = False
    learning_rate: float = 0.01


class Network(nn.Module):
    """Next-event prediction over windows of symbols."""

    def __init__(self, variant: Variant, symbols: int, known: int, words: Optional[np.ndarray]) -> None:
        super().__init__()
        self.known, self.pad = known, symbols + 1
        self.unknown, self.symbols = known, symbols
        if words is None:
            # known events, unknown (stays zero), pad
            self.vectors = nn.Embedding(known + 2, VECTOR, padding_idx=known)
            rows = np.minimum(np.arange(symbols + 2), known)
            rows[self.pad] = known + 1
        else:
            table = np.zeros((symbols + 2, words.shape[1] + 1), dtype=np.float32)
            table[:symbols, :-1] = words
            table[self.pad, -1] = 1.0
            self.register_buffer("words", torch.from_numpy(table))
            self.vectors = nn.Linear(table.shape[1], VECTOR, bias=False)
            rows = np.arange(symbols + 2)
        self.register_buffer("rows", torch.from_numpy(rows.astype(np.int64)))
        self.cell = variant.cell
        size, width = HIDDEN, VECTOR
        if variant.gaps:
            self.waits, width = nn.Embedding(GAPS + 2, 4), VECTOR + 4
            self.wait_output = nn.Linear(size, GAPS)
        if variant.cell == "lstm":
            self.body = nn.LSTM(width, size, LAYERS, batch_first=True)
        elif variant.cell == "gru":
            self.body = nn.GRU(VECTOR, size, LAYERS, batch_first=True)
        else:
            size = 32
            self.up = nn.Linear(VECTOR, size)
            self.places = nn.Parameter(0.02 * torch.randn(HISTORY, size))
            layer = nn.TransformerEncoderLayer(size, 4, 2 * size, dropout=0.0, batch_first=True)
            self.body = nn.TransformerEncoder(layer, LAYERS)
        self.output = nn.Linear(size, known)

    def forward(self, contexts: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        """What comes after ``contexts``, int64 [batch, HISTORY] (with gaps, [batch, 2 * HISTORY]: events, then gaps).

        Returns:
            logits of the known events, float [batch, known]; with gaps those of the gap follow, GAPS more columns.
        """
        events, waits = contexts[:, :HISTORY], contexts[:, HISTORY:]
        rows = self.rows[events]
        if isinstance(self.vectors, nn.Embedding):
            inputs = self.vectors(rows)
        else:
            inputs = self.vectors(self.words[rows])
        if dropout:
            kept = (torch.rand(events.shape) >= dropout) | (events == self.pad)
            inputs = inputs * kept[:, :, None]
        if self.cell == "transformer":
            return self.output(self.body(self.up(inputs) + self.places)[:, -1])
        if not waits.shape[1]:
            return self.output(self.body(inputs)[0][:, -1])
        features = self.body(torch.cat([inputs, self.waits(waits)], 2))[0][:, -1]
        return torch.cat([self.output(features), self.wait_output(features)], 1)


def words_of(names: Sequence[str], texts: Dict[str, str]) -> np.ndarray:
    """Which words each event's text has, float32 [names, words], each row of length 1."""
    found = [sorted({w for w in re.split(r"[^a-z]+", texts[name].lower()) if w}) for name in names]
    index = {word: n for n, word in enumerate(sorted({w for words in found for w in words}))}
    table = np.zeros((len(names), len(index)), dtype=np.float32)
    for row, words in enumerate(found):
        table[row, [index[word] for word in words]] = 1.0
    return table / np.maximum(1e-9, np.linalg.norm(table, axis=1, keepdims=True))


def train(
    variant: Variant,
    cut: Windows,
    held_out: Windows,
    symbols: int,
    known: int,
    words: Optional[np.ndarray],
    steps: int,
    seed: int,
) -> Network:
    """The network at the validation (four of them) with the lowest loss."""
    torch.manual_seed(seed)
    network = Network(variant, symbols, known, words)
    optimizer = torch.optim.Adam(network.parameters(), lr=variant.learning_rate)
    how = TrainingParameters(learning_rate=variant.learning_rate)
    inside, validating = events_of(cut.targets) < known, events_of(held_out.targets) < known
    contexts, targets, counts = merged(cut.contexts[inside], cut.targets[inside])
    chances = counts**EXPONENT / (counts**EXPONENT).sum()
    validation = merged(held_out.contexts[validating], held_out.targets[validating])
    dice = np.random.default_rng(seed)
    best, lowest = copy.deepcopy(network.state_dict()), math.inf
    for step in range(steps):
        rows, times = np.unique(dice.choice(len(chances), size=BATCH, p=chances), return_counts=True)
        if variant.dropout:  # each copy loses other events
            rows, times = np.repeat(rows, times), np.ones(BATCH)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(how, step, steps)
        logits = network(torch.from_numpy(contexts[rows].astype(np.int64)), variant.dropout)
        losses = _losses(network, logits, targets[rows])
        loss = (losses * torch.from_numpy((times / BATCH).astype(np.float32))).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % max(1, steps // 4) == 0 or step + 1 == steps:
            now = float(-(np.log(chances_of(network, *validation[:2])) * validation[2]).mean())
            if now < lowest:
                best, lowest = copy.deepcopy(network.state_dict()), now
    network.load_state_dict(best)
    network.validation_loss = lowest * len(validation[2]) / max(1, validation[2].sum())
    return network


def joined(events: Windows, gaps: Windows) -> Windows:
    """Windows of events and of gaps as one: contexts beside each other, targets as one number."""
    return Windows(
        np.concatenate([events.contexts, gaps.contexts], 1),
        events.targets.astype(np.int64) * GAPS + gaps.targets + _JOINED,
        events.offsets,
    )


#: Added to a target that counts a gap too: no event has so great a number.
_JOINED = 1 << 24


def events_of(targets: np.ndarray) -> np.ndarray:
    """The events of targets, int64 [targets]."""
    return np.where(targets >= _JOINED, (targets - _JOINED) // GAPS, targets).astype(np.int64)


def _losses(network: Network, logits: torch.Tensor, targets: np.ndarray) -> torch.Tensor:
    events = torch.from_numpy(events_of(targets))
    losses = nn.functional.cross_entropy(logits[:, : network.known], events, reduction="none")
    if logits.shape[1] == network.known:
        return losses
    gaps = torch.from_numpy((targets - _JOINED) % GAPS)
    return losses + nn.functional.cross_entropy(logits[:, network.known :], gaps, reduction="none")


def chances_of(
    network: Network, contexts: np.ndarray, targets: np.ndarray, at_once: int = 8192
) -> np.ndarray:
    """The probability of each target after its context, float64 [targets]; 0 for an unknown event."""
    values = np.zeros(len(targets))
    known = np.flatnonzero(events_of(targets) < network.known)
    network.eval()
    with torch.no_grad():
        for start in range(0, len(known), at_once):
            part = known[start : start + at_once]
            logits = network(torch.from_numpy(contexts[part].astype(np.int64)))
            values[part] = torch.exp(-_losses(network, logits, targets[part])).clamp(min=1e-12).numpy()
    network.train()
    return values
