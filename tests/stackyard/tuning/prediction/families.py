"""Simulated studies: trials whose use is known from their parameters, but for noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from stackyard.tuning.prediction import readings
from stackyard.tuning.space import Choice, Range, Space
from stackyard.tuning.trial import Reading, Reason, Trial

SPACE = Space(
    (
        Range("lr", 1e-4, 1e-1, log=True),
        Range("units", 16, 512, whole=True, log=True),
        Choice("solver", ("adam", "sgd")),
    )
)
#: When a trial tells what it has done.
SHARES = (0.0, 0.01, 0.03, 0.05, 0.06, 0.1, 0.3, 1.0)


def parameters(rng: np.random.Generator) -> dict[str, Any]:
    """A point of the space."""
    lr, units, solver = SPACE.dimensions
    assert isinstance(lr, Range)
    assert isinstance(units, Range)
    assert isinstance(solver, Choice)
    return {"lr": lr.at(rng.random()), "units": units.at(rng.random()), "solver": solver.at(rng.random())}


def use(given: dict[str, Any], rng: np.random.Generator, noise: float) -> dict[str, float]:
    """What a trial with these parameters uses."""
    start = 2 * rng.lognormal(0, 0.05)
    work = (given["units"] ** 1.3 / 20 + 3 * (given["solver"] == "adam")) * rng.lognormal(0, noise)
    return {
        "ram_bytes": (80e6 + 1000 * given["units"] ** 2) * rng.lognormal(0, noise / 5),
        "cpu_seconds": start + work,
        "wall_seconds": 1.1 * (start + work),
        "step_seconds": work / 1000,
        "start": start,
    }


def told(used: dict[str, float], share: float, rng: np.random.Generator) -> Reading:
    """What a trial had used at a share: a start-up, then a rate that falls off a little; memory grows at first."""
    start, whole = used["start"], used["cpu_seconds"]
    cpu = start + (whole - start) * share**0.97
    return Reading(
        share,
        int(share * 1000),
        {
            "ram_bytes": used["ram_bytes"] * (0.8 + 0.2 * min(1.0, share * 15)),
            "cpu_seconds": cpu,
            "wall_seconds": 1.1 * cpu,
            "step_seconds": used["step_seconds"] * rng.lognormal(0, 0.05),
        },
    )


def ended(number: int, given: dict[str, Any], used: dict[str, float], limit: float | None = None) -> Trial:
    """A trial at its end: completed, or stopped at a limit of memory, which it had reached after 6 % of its work."""
    if limit is None or used["ram_bytes"] <= limit:
        kept = {name: value for name, value in used.items() if name != "start"}
        return Trial(number, given, "completed", used=kept)
    trial = Trial(
        number, given, "stopped", used={"ram_bytes": 1.01 * limit, "cpu_seconds": 0.06 * used["cpu_seconds"]}
    )
    trial.reason = Reason("limit", "stopped at its limit of RAM", "ram_bytes", limit, 1.01 * limit)
    return trial


def study(count: int, seed: int, noise: float = 0.05, limit: float | None = None) -> list[Trial]:
    """Trials at their ends, without predictions."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        given = parameters(rng)
        used = use(given, rng, noise)
        trial = ended(number, given, used, limit)
        for share in SHARES:
            readings.keep(trial.readings, told(used, share, rng))
        found.append(trial)
    return found
