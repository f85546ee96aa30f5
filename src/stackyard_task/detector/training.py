"""Training: windows of benign sessions in, the network with the lowest validation loss out.

Seeded and, on a CPU, deterministic: the same data, parameters and seed give the same weights, also when a run
is interrupted and resumed from its checkpoint. Checkpoints are safetensors + JSON (``checkpoint``).
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
import torch
from torch import nn

from stackyard_task.channel import BadInput, Channel
from stackyard_task.detector.config import DetectorConfig
from stackyard_task.detector.model import Model, best_device
from stackyard_task.detector.windows import Sessions, merged, windows

#: Steps that count as warm-up: the first calls allocate memory and choose kernels.
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class TrainingParameters:
    """Everything about training that is chosen before seeing data."""

    #: Passes over the training windows.
    epochs: int = 20
    #: Windows per step.
    batch_size: int = 256
    #: The greatest learning rate of the schedule.
    learning_rate: float = 0.01
    #: "one-cycle": up to the learning rate and down to nothing; "constant".
    schedule: str = "one-cycle"
    #: Epochs without a lower validation loss after which training stops; ``None``: never before ``epochs``.
    patience: Optional[int] = None
    #: A distinct window is drawn in proportion to its count to this power: 1 = as often as it occurs; less
    #: gives rare windows more weight, so that rare benign events rank higher and fewer of them are misses.
    frequency_exponent: float = 1.0
    seed: int = 1

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)


def train(
    sessions: Sessions,
    validation: Sessions,
    config: DetectorConfig,
    event_count: int,
    parameters: Optional[TrainingParameters] = None,
    channel: Optional[Channel] = None,
    output_folder: Optional[Path] = None,
) -> Model:
    """The network after the epoch with the lowest validation loss, on the CPU, ready to score.

    Args:
        sessions: training sessions as symbols (``Vocabulary.encode``).
        validation: sessions of the same kind that only decide which epoch was best and when to stop.
        config: the network.
        event_count: size of the vocabulary.
        parameters: how to train; ``None``: the defaults.
        channel: told phases, steps, progress and losses.
        output_folder: where checkpoints are kept; ``None``: no checkpoints.

    Raises:
        BadInput: no session is long enough for one window, or the loss is not a number any more.
    """
    parameters = parameters or TrainingParameters()
    channel = channel or Channel()
    cut = windows(sessions, config, event_count)
    known = cut.targets < event_count
    contexts, targets = cut.contexts[known], cut.targets[known]
    if not len(targets):
        longest = max((len(s) for s in sessions), default=0) if not hasattr(sessions, "lengths") else 0
        raise BadInput(
            f"no training session is longer than the history of {config.history} events (longest: "
            f"{longest}); choose a smaller history, or start_padding = true"
        )
    shares = _shares(contexts, targets, parameters.frequency_exponent)
    held_out = _Evaluation(validation, config, event_count)
    torch.manual_seed(parameters.seed)
    device, _ = best_device()
    model = Model(config, event_count).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=parameters.learning_rate)
    steps_per_epoch = math.ceil(len(targets) / parameters.batch_size)
    total = steps_per_epoch * parameters.epochs
    best: Dict[str, torch.Tensor] = {}
    best_loss, stale, step = math.inf, 0, 0
    channel.phase("warmup")
    for epoch in range(parameters.epochs):
        generator = np.random.default_rng([parameters.seed, epoch])
        if shares is None:
            order = generator.permutation(len(targets))
        else:
            order = generator.choice(len(targets), size=len(targets), p=shares)
        model.train()
        running = 0.0
        for start in range(0, len(order), parameters.batch_size):
            began = time.perf_counter()
            rows = order[start : start + parameters.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(parameters, step, total)
            loss = _step(model, optimizer, contexts[rows], targets[rows], device)
            if not math.isfinite(loss):
                raise BadInput(
                    f"the training loss became {loss} at step {step + 1} (learning rate "
                    f"{parameters.learning_rate:g}); choose a smaller learning_rate"
                )
            running += loss * len(rows)
            step += 1
            if step == WARM_UP_STEPS:
                channel.phase("steady")
            elif step > WARM_UP_STEPS:
                channel.step(time.perf_counter() - began)
        validation_loss = held_out.loss(model, device)
        channel.loss(step, running / len(order), validation_loss)
        channel.progress(step, total)
        if validation_loss is None or validation_loss < best_loss:
            best_loss = math.inf if validation_loss is None else validation_loss
            best = {name: value.detach().clone() for name, value in model.state_dict().items()}
            stale = 0
        else:
            stale += 1
            if parameters.patience is not None and stale >= parameters.patience:
                break
    model.load_state_dict(best)
    return model.cpu().eval()


def learning_rate(parameters: TrainingParameters, step: int, total: int) -> float:
    """The learning rate at ``step`` (from 0) of ``total``.

    One cycle (Smith and Topin 2017, "Super-convergence"): from a 25th of the greatest rate up over the first
    30 % of the steps and down to nearly nothing, along half cosines.
    """
    if parameters.schedule == "constant":
        return parameters.learning_rate
    peak = max(1.0, 0.3 * total)
    if step < peak:
        share, low, high = step / peak, parameters.learning_rate / 25, parameters.learning_rate
        return low + (high - low) * (1 - math.cos(math.pi * share)) / 2
    share = (step - peak) / max(1.0, total - peak)
    return parameters.learning_rate * (1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * share)) / 2)


def _step(model: Model, optimizer: torch.optim.Optimizer, contexts, targets, device) -> float:
    """One step of gradient descent; the mean loss of the batch before it."""
    distinct, wanted, counts = merged(contexts, targets)
    inputs = torch.from_numpy(distinct.astype(np.int64)).to(device)
    labels = torch.from_numpy(wanted.astype(np.int64)).to(device)
    weights = torch.from_numpy((counts / counts.sum()).astype(np.float32)).to(device)
    loss = (nn.functional.cross_entropy(model(inputs), labels, reduction="none") * weights).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _shares(contexts: np.ndarray, targets: np.ndarray, exponent: float) -> Optional[np.ndarray]:
    """The chance of each window to be drawn, float64 [windows], or ``None`` where all have the same."""
    if exponent == 1:
        return None
    rows = np.column_stack([contexts, targets])
    _, kind, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    shares = counts[np.asarray(kind).ravel()] ** (exponent - 1.0)
    return shares / shares.sum()


class _Evaluation:
    """The mean loss over the windows of the validation sessions, each distinct window computed once."""

    def __init__(self, sessions: Sessions, config: DetectorConfig, event_count: int) -> None:
        cut = windows(sessions, config, event_count)
        known = cut.targets < event_count
        self._contexts, self._targets, self._counts = merged(cut.contexts[known], cut.targets[known])

    def loss(self, model: Model, device: torch.device) -> Optional[float]:
        """Mean cross entropy in nats; ``None`` without validation windows."""
        if not len(self._targets):
            return None
        total = 0.0
        model.eval()
        with torch.no_grad():
            for start in range(0, len(self._targets), 4096):
                part = slice(start, start + 4096)
                logits = model(torch.from_numpy(self._contexts[part].astype(np.int64)).to(device))
                labels = torch.from_numpy(self._targets[part].astype(np.int64)).to(device)
                losses = nn.functional.cross_entropy(logits, labels, reduction="none").cpu().numpy()
                total += float((losses.astype(np.float64) * self._counts[part]).sum())
        return total / float(self._counts.sum())
