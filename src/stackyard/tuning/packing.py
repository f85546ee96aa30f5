"""Which trials run side by side on one machine: never more than its cores and memory bear, as predicted. Pure.

What a trial will need lies a little beyond the upper bound of its prediction, or is what it has used already where that
is more. Of what nothing is known the limit is reserved, as a trial ends there; without a limit the whole machine, so
that it runs alone. Trials start in their order, and a small one may pass one that does not fit yet; but none is passed
for ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackyard.tuning.trial import Trial

#: Of a machine's memory, what is left to the system: this share, and at least so much.
SYSTEM_SHARE, SYSTEM_BYTES = 0.05, 500_000_000
#: One in twenty lies above the upper bound: memory is reserved so many times as far from the value.
CAUTION = 1.75
#: Starts of others by which a waiting trial may be passed; then nothing starts before it.
MOST_PASSED = 8
#: Sums of cores are compared to within this.
_TINY = 1e-9


@dataclass(frozen=True)
class Machine:
    """What trials may use together, the system's part already taken off."""

    cores: float
    memory_bytes: float
    #: One a GPU; none where trials use no GPU.
    gpu_memory_bytes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Need:
    """What is reserved for a trial."""

    cores: float
    memory_bytes: float
    #: On one GPU; 0: it uses none.
    gpu_memory_bytes: float = 0.0
    #: Which GPU it has, once it runs.
    gpu: int | None = None


@dataclass(frozen=True)
class Waiting:
    """A trial that is planned."""

    need: Need
    #: Trials behind it that were started before it.
    passed: int = 0


def machine(
    cores: float,
    memory_bytes: float,
    gpu_memory_bytes: Sequence[float] = (),
) -> Machine:
    """A machine without what the system takes.

    Args:
        cores: that trials may use.
        memory_bytes: of the machine, or what is free of it.
        gpu_memory_bytes: one a GPU.
    """
    system = max(SYSTEM_SHARE * memory_bytes, SYSTEM_BYTES)
    return Machine(cores, max(0.0, memory_bytes - system), tuple(gpu_memory_bytes))


def need(trial: Trial, limits: Mapping[str, float], cores: float, of: Machine, shared: bool = False) -> Need:
    """What to reserve for a trial, planned or under way.

    Args:
        trial: with its predictions, and what it has used so far.
        limits: of the study: at these a trial is stopped.
        cores: that it takes.
        of: the machine. A trial of which nothing is known gets all of it; one that needs more than there is, too:
            it runs alone.
        shared: whether its data lie in shared memory, counted once for all: then RAM without shared pages counts.
    """
    memory = _bytes(trial, limits, "ram_minus_shared_bytes" if shared else "ram_bytes", of.memory_bytes)
    gpu = 0.0
    if of.gpu_memory_bytes:
        most = max(of.gpu_memory_bytes)
        gpu = min(_bytes(trial, limits, "gpu_memory_bytes", most), most)
    return Need(min(cores, of.cores), min(memory, of.memory_bytes), gpu)


def fits(of: Machine, one: Need, running: Sequence[Need]) -> bool:
    """Whether a trial may start beside those that run.

    Args:
        of: the machine.
        one: what it needs.
        running: what is reserved for those under way.
    """
    if one.cores > of.cores + _TINY or one.memory_bytes > of.memory_bytes:
        return False
    cores = math.fsum(other.cores for other in running)
    memory = math.fsum(other.memory_bytes for other in running)
    if cores + one.cores > of.cores + _TINY or memory + one.memory_bytes > of.memory_bytes:
        return False
    return one.gpu_memory_bytes <= 0 or gpu_for(of, one, running) is not None


def gpu_for(of: Machine, one: Need, running: Sequence[Need]) -> int | None:
    """The GPU with the most memory left on which a trial fits; ``None``: it fits on none, or needs none."""
    if one.gpu_memory_bytes <= 0:
        return None
    best: tuple[float, int] | None = None
    for index, whole in enumerate(of.gpu_memory_bytes):
        left = whole - math.fsum(other.gpu_memory_bytes for other in running if other.gpu == index)
        if one.gpu_memory_bytes <= left and (best is None or left > best[0]):
            best = (left, index)
    return None if best is None else best[1]


def next_to_start(of: Machine, waiting: Sequence[Waiting], running: Sequence[Need]) -> int | None:
    """Which waiting trial starts now: the first that fits, unless one before it was passed MOST_PASSED times.

    Args:
        of: the machine.
        waiting: in the order in which they were planned.
        running: what is reserved for those under way.

    Returns:
        Its place; ``None``: none starts now.
    """
    for place, one in enumerate(waiting):
        if fits(of, one.need, running):
            return place
        if one.passed >= MOST_PASSED:
            return None
    return None


def _bytes(trial: Trial, limits: Mapping[str, float], quantity: str, whole: float) -> float:
    """Memory to reserve for a trial."""
    told = trial.predicted_early.get(quantity) or trial.predicted.get(quantity)
    used, limit = trial.used.get(quantity, 0.0), limits.get(quantity)
    if told is None:
        return max(used, whole if limit is None else limit)
    high = told.value * (told.high / told.value) ** CAUTION if told.value > 0 else told.high
    return max(used, high if limit is None else min(high, limit))
