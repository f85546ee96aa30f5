"""A trial of a study, as its file holds it and as samplers, pruners and reports read it. Shapes only.

Units are in the names; not known is ``None``. JSON by ``stackyard_task.records``' functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stackyard_task import criteria, records

#: Came to its end; ended by us; never begun; ended by itself without a result: nothing more happens to such a trial.
FINAL = ("completed", "stopped", "skipped", "failed")
#: And under way; decided and not begun. In this order they are told.
STATES = (*FINAL, "running", "planned")
#: What a trial may be limited in, as limits, costs, predictions and reasons call it; the units are those of records.
QUANTITIES = criteria.QUANTITIES


@dataclass
class Interval:
    """A predicted value, and the bounds that hold it in 90 % of cases."""

    value: float
    low: float
    high: float


@dataclass
class Point:
    """A value that a trial told while it ran."""

    #: CPU used by then, and time since the start; ``None``: nobody looked.
    cpu_seconds: float | None
    wall_seconds: float | None
    step: float
    value: float


@dataclass
class Reading:
    """What a trial had done and used at a moment while it ran."""

    #: Of its whole work, from 0 to 1; ``None``: it did not tell.
    share: float | None
    steps: int | None
    #: Quantity -> what it had used by then: sums, the greatest memory so far, the mean of its recent steps.
    used: dict[str, float]


@dataclass
class Reason:
    """Why a trial was stopped, skipped, or failed."""

    #: "limit" (it broke one), "pruner", "predicted" (it would break one), "budget", "request", a kind of failure,
    #: "objective" (of one it told no number), or "unreported" (it told no value of one).
    kind: str
    #: One sentence.
    message: str
    #: Of QUANTITIES, or "slowing": what the limit is on.
    quantity: str | None = None
    limit: float | None = None
    #: What was seen, or predicted.
    seen: float | None = None


@dataclass
class Trial:
    """One trial: what it was given, what it found, and what it used."""

    number: int
    parameters: dict[str, Any]
    state: str = "planned"
    #: Objective -> value at the end; of a stopped trial the last that it told.
    values: dict[str, float] = field(default_factory=dict)
    #: Of the first objective: what was told on the way.
    course: list[Point] = field(default_factory=list)
    #: Quantity -> what it used; of a stopped trial a lower bound of what it would have used.
    used: dict[str, float] = field(default_factory=dict)
    #: A few moments while it ran, early ones closer together: ``prediction.readings`` keeps them few.
    readings: list[Reading] = field(default_factory=list)
    #: Quantity -> what was predicted before the start.
    predicted: dict[str, Interval] = field(default_factory=dict)
    #: Quantity -> what was predicted while it ran, after its first steps, and at what share of it, where it told that.
    predicted_early: dict[str, Interval] = field(default_factory=dict)
    early_share: float | None = None
    #: Why it ended before its end, or never began; ``None``: it came to its end.
    reason: Reason | None = None
    #: Predicted to break a limit, and run all the same, to see whether the prediction is right.
    checks_prediction: bool = False
    #: Starts that were lost by the infrastructure.
    retries: int = 0
    #: CPU of starts that came to nothing: interrupted, lost, or failed and begun again.
    lost_cpu_seconds: float = 0.0
    started_at: str | None = None
    finished_at: str | None = None
    #: The tuner's own time: what it took to choose the trial and to predict what it will use, to begin it, to look at
    #: it while it ran, and to take in its end. Neither its run nor a queue counts.
    overhead_seconds: float | None = None
    #: Folder of its run below the study's; ``None``: it never began.
    folder: str | None = None
    api_version: int = records.API_VERSION

    @property
    def spent_cpu_seconds(self) -> float:
        """CPU of all its starts, as it counts against a budget."""
        return self.used.get("cpu_seconds", 0.0) + self.lost_cpu_seconds

    @property
    def over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINAL

    @property
    def kept_limits(self) -> bool | None:
        """Whether it came to its end inside its limits; ``None``: not known."""
        if self.state == "completed":
            return True
        return False if self.reason is not None and self.reason.kind == "limit" else None


def best(trials: Iterable[Trial], objective: str, maximise: bool) -> Trial | None:
    """The completed trial with the best value, the first of equals; ``None``: there is none."""
    found: Trial | None = None
    for trial in trials:
        value = trial.values.get(objective)
        if trial.state != "completed" or value is None:
            continue
        if found is None or (
            value > found.values[objective] if maximise else value < found.values[objective]
        ):
            found = trial
    return found
