"""Limits at which a run is stopped rather than failed: what they are, and whether a run has broken one. Pure.

A limit of the hardware (``records.Limits``) holds a run back, and what does not fit fails. A criterion says that a run
is not worth its cost beyond some point: it ends there as *stopped*, with its record whole. Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Dict, List, Mapping, Optional, Tuple

#: An interpreter that does nothing has about so much memory; a lower limit would stop every run at its start.
IDLE_BYTES = 10_000_000


@dataclass
class Criteria:
    """Where a run is stopped. ``None``: no such limit."""

    #: Resident memory of the whole tree, each shared page once, as ``Measurement.peak_rss_bytes``.
    ram_bytes: Optional[int] = None
    #: RSS minus shared pages, summed over the tree, as ``Measurement.peak_rss_minus_shared_bytes``.
    ram_minus_shared_bytes: Optional[int] = None
    #: On any one GPU, as ``GpuUse.peak_memory_bytes``.
    gpu_memory_bytes: Optional[int] = None
    #: Mean of the last steps, not of the first ones; also of one that does not end.
    step_seconds: Optional[float] = None
    cpu_seconds: Optional[float] = None
    wall_seconds: Optional[float] = None
    #: Processor packages, and the GPUs that the run uses, as far as they have counters.
    energy_joules: Optional[float] = None
    #: The step time has grown by this factor against its earlier level, while the loss does not fall faster per CPU
    #: second; above 1.
    slowing: Optional[float] = None


@dataclass
class Stopped:
    """Why a run was stopped: the criterion that it broke."""

    #: Field of Criteria.
    criterion: str
    limit: float
    #: What was seen when it was broken: above the limit.
    seen: float
    #: "bytes", "seconds", "joules" or "times".
    unit: str
    #: Since the start of the run: when it was seen.
    at_seconds: float
    #: One sentence.
    message: str
    #: From then until the last process of the run had ended; ``None``: not known yet.
    ended_seconds: Optional[float] = None


@dataclass
class Use:
    """What a run has used so far, and does now. ``None``: not known, or not yet."""

    elapsed_seconds: float = 0.0
    #: Greatest so far.
    rss_bytes: Optional[int] = None
    rss_minus_shared_bytes: Optional[int] = None
    gpu_memory_bytes: Optional[int] = None
    #: Mean of the last steps.
    step_seconds: Optional[float] = None
    #: How long no step has been told since the last one, while the run is at its steps.
    silent_seconds: Optional[float] = None
    cpu_seconds: Optional[float] = None
    energy_joules: Optional[float] = None
    #: By how much the step time has grown, where the loss does not fall faster.
    slowing: Optional[float] = None


#: Steps of which the last mean is made. One that lasts longer than so many times the limit breaks it alone.
STEPS_SEEN = 10
#: Steps are told in batches, so much later at most.
_TOLD_LATE_SECONDS = 0.5

#: Criterion -> (field of Use, unit, what is limited).
_JUDGED: Dict[str, Tuple[str, str, str]] = {
    "ram_bytes": ("rss_bytes", "bytes", "peak RAM"),
    "ram_minus_shared_bytes": ("rss_minus_shared_bytes", "bytes", "RAM without shared pages"),
    "gpu_memory_bytes": ("gpu_memory_bytes", "bytes", "GPU memory"),
    "step_seconds": ("step_seconds", "seconds", "step time"),
    "cpu_seconds": ("cpu_seconds", "seconds", "CPU time"),
    "wall_seconds": ("elapsed_seconds", "seconds", "wall time"),
    "energy_joules": ("energy_joules", "joules", "energy"),
    "slowing": ("slowing", "times", "slowing"),
}
NAMES = tuple(_JUDGED)
#: Criterion -> what people call what it limits, and its unit: "bytes", "seconds", "joules" or "times".
WORDS = {name: what for name, (_, _, what) in _JUDGED.items()}
UNITS = {name: unit for name, (_, unit, _) in _JUDGED.items()}
#: Those that limit what a run uses.
QUANTITIES = tuple(name for name, unit in UNITS.items() if unit != "times")


def given(criteria: Criteria) -> Dict[str, float]:
    """The criteria that are set: name -> limit."""
    found = ((name, getattr(criteria, name)) for name in NAMES)
    return {name: limit for name, limit in found if limit is not None}


def problem(criteria: Criteria) -> Optional[str]:
    """Why a run cannot be held to them, in one sentence without its end; ``None``: it can."""
    for name, limit in given(criteria).items():
        if not math.isfinite(limit) or limit <= 0:
            return f"{name} is {limit!r}, expected a number above 0"
        if name.startswith("ram_") and limit < IDLE_BYTES:
            return (
                f"{name} is {amount(limit, 'bytes')}, less than the {amount(IDLE_BYTES, 'bytes')} that an idle "
                "interpreter needs"
            )
        if name == "slowing" and limit <= 1:
            return f"slowing is {limit!r}, expected a factor above 1"
    return None


def broken(criteria: Criteria, use: Use) -> Optional[Stopped]:
    """The first criterion that a run has broken; ``None``: none, as far as is known.

    Args:
        criteria: the limits.
        use: what the run has used.
    """
    for name, limit in given(criteria).items():
        about, unit, what = _JUDGED[name]
        seen = getattr(use, about)
        if seen is not None and seen > limit:
            where = f" in the mean of its last {STEPS_SEEN} steps" if name == "step_seconds" else ""
            said = f"stopped at its limit of {what}: {beyond(seen, limit, name)}{where}"
            return Stopped(name, limit, seen, unit, use.elapsed_seconds, said)
        silent = use.silent_seconds
        if name == "step_seconds" and silent is not None and silent > STEPS_SEEN * limit + _TOLD_LATE_SECONDS:
            said = (
                f"stopped at its limit of {what}: a step has not ended after {amount(silent, unit)}, "
                f"{amount(limit, unit)} allowed in the mean of {STEPS_SEEN}"
            )
            return Stopped(name, limit, silent, unit, use.elapsed_seconds, said)
    return None


def not_judged(criteria: Criteria, why: Mapping[str, str]) -> List[str]:
    """A sentence for each criterion that could not be judged.

    Args:
        criteria: the limits.
        why: criterion -> what was missing; of others nothing was.
    """
    return [
        f"the limit of {_JUDGED[name][2]} held nothing: {why[name]}"
        for name in given(criteria)
        if name in why
    ]


def amount_of(value: float, name: str) -> str:
    """As ``amount``, of what a criterion limits."""
    return amount(value, _JUDGED[name][1])


def beyond(seen: float, limit: float, name: str) -> str:
    """What was seen of a criterion, and allowed: with as many digits as tell the two apart."""
    unit = _JUDGED[name][1]
    for digits in (3, 4, 6, 9):
        found, allowed = amount(seen, unit, digits), amount(limit, unit, digits)
        if found != allowed:
            break
    return f"{found} seen, {allowed} allowed"


def amount(value: float, unit: str, digits: int = 3) -> str:
    """A quantity as people read it, to so many significant digits."""
    if unit == "bytes":
        return f"{value / 1e9:.{digits}g} GB" if value >= 1e9 else f"{value / 1e6:.{digits}g} MB"
    if unit == "joules":
        return f"{value:.{digits}g} J"
    if unit == "times":
        return f"{value:.{digits}g} times"
    if value < 0.1:
        return f"{value * 1e3:.{digits}g} ms"
    return f"{value:.{digits}g} s" if value < 1000 else f"{value:.0f} s"


assert set(NAMES) == {field.name for field in fields(Criteria)}
