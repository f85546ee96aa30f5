"""Training: windows of benign sessions in, the network with the lowest validation loss out.

Seeded and, on a CPU, deterministic: the same data, parameters and seed give the same weights, also when a run
is interrupted and resumed from its checkpoint.

What makes it fast: logs repeat themselves, so the equal windows of a batch are computed once and weighted by
how often they occur (the same gradient, for less work); batches are small, because steps and not epochs buy
quality; and the learning rate goes up and down once, ten times higher than a constant one could be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ContextManager, Dict, Optional

import numpy as np
import torch
from torch import nn

from stackyard_detector.detector import checkpoint
from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.ends import as_network_reads
from stackyard_detector.detector.model import Model, best_device
from stackyard_detector.detector.windows import Sessions, Windows, merged, pack, windows
from stackyard_task.channel import BadInput, Channel

#: Steps that count as warm-up: the first calls allocate memory and choose kernels.
WARM_UP_STEPS = 2
SCHEDULES = ("one-cycle", "constant")


@dataclass(frozen=True)
class TrainingParameters:
    """Everything about training that is chosen before seeing data."""

    #: Passes over the training windows.
    epochs: int = 8
    #: Windows per step.
    batch_size: int = 256
    #: The greatest learning rate of the schedule.
    learning_rate: float = 0.01
    #: "one-cycle": up to the learning rate and down to nothing; "constant".
    schedule: str = "one-cycle"
    #: Steps between validations; ``None``: once per epoch.
    validate_every: Optional[int] = None
    #: Validations without a lower loss after which training stops; ``None``: never before ``epochs``.
    patience: Optional[int] = None
    #: Least time between checkpoints; 0: one after every validation.
    checkpoint_seconds: float = 10.0
    #: A distinct window is drawn in proportion to its count to this power: 1 = as often as it occurs; less
    #: gives rare windows more weight, so that rare benign events rank higher and fewer of them are misses.
    frequency_exponent: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule is {self.schedule!r}, expected one of {', '.join(SCHEDULES)}")

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
    resume_from: Optional[Path] = None,
) -> Model:
    """The network at the validation with the lowest loss, on the CPU, ready to score.

    Args:
        sessions: training sessions as symbols (``Vocabulary.encode``).
        validation: sessions of the same kind that only decide which weights were best and when to stop; may
            be empty, then the last weights are returned.
        config: the network.
        event_count: size of the vocabulary.
        parameters: how to train; ``None``: the defaults.
        channel: told phases, steps, progress (just before each validation) and losses (just after).
        output_folder: where checkpoints are kept while training goes on; ``None``: no checkpoints.
        resume_from: a folder with the checkpoint of an interrupted run to continue.

    Raises:
        BadInput: no session is long enough for one window, the loss is not a number any more, the dtype does
            not work on this stack, or the checkpoint is not of this training.
    """
    parameters = parameters or TrainingParameters()
    channel = channel or Channel()
    train_on = _known(_windows(sessions, config, event_count), event_count)
    if not len(train_on.targets):
        longest = int(pack(sessions).lengths.max(initial=0))
        raise BadInput(
            f"no training session is longer than the history of {config.history} events (longest: "
            f"{longest}); choose a smaller history, or start_padding = true"
        )
    held_out = _Validation(_known(_windows(validation, config, event_count), event_count))
    channel.phase("warmup")  # from here on it is PyTorch's: its first optimizer alone loads for a second
    torch.manual_seed(parameters.seed)
    device = best_device()
    model = Model(config, event_count).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=parameters.learning_rate)
    arithmetic = _Arithmetic(config.dtype, device)
    steps_per_epoch = math.ceil(len(train_on.targets) / parameters.batch_size)
    total = steps_per_epoch * parameters.epochs
    validate_every = parameters.validate_every or steps_per_epoch
    identity = {
        "config": config.to_json(),
        "parameters": parameters.to_json(),
        "windows": len(train_on.targets),
        "event_count": event_count,
    }
    best: Dict[str, torch.Tensor] = {}
    done = checkpoint.Progress()
    if resume_from is not None:
        done = checkpoint.restore(resume_from, identity, model, best, optimizer)
    batches = _Batches(train_on, parameters, device)
    first, running, saved_at = done.step, [], time.monotonic()
    for step in range(first, total):
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(parameters, step, total)
        loss = _step(model, optimizer, arithmetic, *batches.at(step))
        running.append(loss)
        if not math.isfinite(loss):
            raise BadInput(
                f"the training loss became {loss} at step {step + 1}; choose a learning_rate below "
                f"{parameters.learning_rate:g}"
            )
        if step - first + 1 == WARM_UP_STEPS:
            channel.phase("steady")
        elif step - first + 1 > WARM_UP_STEPS:
            channel.step(time.perf_counter() - began)
        if (step + 1) % validate_every and step + 1 < total:
            continue
        done.step = step + 1
        channel.progress(done.step, total)
        validation_loss = held_out.loss(model)
        channel.loss(done.step, float(np.mean(running)), validation_loss)
        running.clear()
        if validation_loss is None or validation_loss < done.best_loss:
            done.best_loss = math.inf if validation_loss is None else validation_loss
            done.stale = 0
            best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        else:
            done.stale += 1
            if parameters.patience is not None and done.stale >= parameters.patience:
                break
        if output_folder is not None and time.monotonic() - saved_at >= parameters.checkpoint_seconds:
            checkpoint.save(output_folder, identity, done, model, best, optimizer)
            saved_at = time.monotonic()
    if best:
        model.load_state_dict(best)
    if output_folder is not None:
        checkpoint.remove(output_folder)
    channel.results(
        steps=done.step,
        steps_planned=total,
        stopped_early=done.step < total,
        validation_loss=done.best_loss if math.isfinite(done.best_loss) else None,
        training_windows=len(train_on.targets),
    )
    return model.cpu().eval()


def learning_rate(parameters: TrainingParameters, step: int, total: int) -> float:
    """The learning rate at ``step`` (from 0) of ``total``.

    One cycle (Smith and Topin 2017, "Super-Convergence"): from a 25th of the greatest rate up over the first
    30 % of the steps and down to nearly nothing, along half cosines.
    """
    greatest = parameters.learning_rate
    if parameters.schedule == "constant":
        return greatest
    peak = max(1.0, 0.3 * total)
    if step < peak:
        low, high, share = greatest / 25, greatest, step / peak
    else:
        low, high, share = greatest, greatest * 1e-4, (step - peak) / max(1.0, total - peak)
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


def _windows(sessions: Sessions, config: DetectorConfig, event_count: int) -> Windows:
    return windows(as_network_reads(sessions, config, event_count), config, event_count)


def _known(cut: Windows, event_count: int) -> Windows:
    """The windows whose target the network can predict at all."""
    known = cut.targets < event_count
    return cut if known.all() else Windows(cut.contexts[known], cut.targets[known], cut.offsets)


def _shares(cut: Windows, exponent: float) -> Optional[np.ndarray]:
    """The chance of each window to be drawn, float64 [windows], or ``None`` where all have the same."""
    if exponent == 1:
        return None
    rows = np.column_stack([cut.contexts, cut.targets])
    _, kind, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    shares = counts[np.asarray(kind).ravel()] ** (exponent - 1.0)
    return shares / shares.sum()


class _Batches:
    """The batch of every step: a new seeded order of all windows per epoch, equal windows merged."""

    def __init__(self, cut: Windows, parameters: TrainingParameters, device: torch.device) -> None:
        self._cut, self._parameters, self._device = cut, parameters, device
        self._per_epoch = math.ceil(len(cut.targets) / parameters.batch_size)
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)
        self._shares = _shares(cut, parameters.frequency_exponent)

    def at(self, step: int) -> Any:
        """Contexts int64 [distinct, history], targets int64 [distinct], shares float32 [distinct], sum 1."""
        epoch, number = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            # Seeded by epoch, so that a resumed run needs no state of a generator.
            generator = np.random.default_rng([self._parameters.seed, epoch])
            if self._shares is None:
                order = generator.permutation(len(self._cut.targets))
            else:
                order = generator.choice(len(self._shares), size=len(self._shares), p=self._shares)
            self._epoch, self._order = epoch, order
        rows = self._order[number * self._parameters.batch_size :][: self._parameters.batch_size]
        contexts, targets, counts = merged(self._cut.contexts[rows], self._cut.targets[rows])
        shares = (counts / len(rows)).astype(np.float32)
        arrays = (contexts.astype(np.int64), targets.astype(np.int64), shares)
        return tuple(torch.from_numpy(array).to(self._device) for array in arrays)


class _Arithmetic:
    """The number format of forward passes while training."""

    def __init__(self, dtype: str, device: torch.device) -> None:
        self._dtype, self._device = dtype, device

    def context(self) -> ContextManager[Any]:
        """A context within which the network computes in that format."""
        if self._dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def refusal(self, error: Exception) -> BadInput:
        """The sentence for a format that this stack cannot do."""
        return BadInput(
            f"dtype {self._dtype} does not work with PyTorch {torch.__version__} on {self._device.type} "
            f'({str(error).splitlines()[0]}); use dtype = "float32"'
        )


def _step(
    model: Model,
    optimizer: torch.optim.Optimizer,
    arithmetic: _Arithmetic,
    contexts: torch.Tensor,
    targets: torch.Tensor,
    shares: torch.Tensor,
) -> float:
    """One step of gradient descent; the mean loss of the batch before it."""
    model.train()
    try:
        with arithmetic.context():
            logits = model(contexts)
    except RuntimeError as error:
        if arithmetic.context().__class__ is contextlib.nullcontext:
            raise
        raise arithmetic.refusal(error) from error
    loss = (nn.functional.cross_entropy(logits.float(), targets, reduction="none") * shares).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


class _Validation:
    """The mean loss over the validation windows, each distinct one computed once."""

    def __init__(self, cut: Windows) -> None:
        self._contexts, self._targets, self._counts = merged(cut.contexts, cut.targets)

    def loss(self, model: Model, batch_size: int = 4096) -> Optional[float]:
        """Mean cross entropy in nats; ``None`` without validation windows."""
        if not len(self._targets):
            return None
        device = next(model.parameters()).device
        total = 0.0
        model.eval()
        with torch.no_grad():
            for start in range(0, len(self._targets), batch_size):
                part = slice(start, start + batch_size)
                logits = model(torch.from_numpy(self._contexts[part].astype(np.int64)).to(device))
                labels = torch.from_numpy(self._targets[part].astype(np.int64)).to(device)
                losses = nn.functional.cross_entropy(logits, labels, reduction="none").cpu().numpy()
                total += float((losses.astype(np.float64) * self._counts[part]).sum())
        return total / float(self._counts.sum())
