"""The value that a study's report is: everything that its files say. Shapes only; ``analysis`` fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackyard.reports.report import EnvironmentRow
from stackyard.tuning.folder import StudyFile
from stackyard.tuning.prediction.accuracy import Accuracy, Skipped
from stackyard.tuning.report.settings import Dimension, StudySettings
from stackyard.tuning.trial import Trial

API_VERSION = 1


@dataclass(frozen=True)
class Found:
    """What lies in a study's folder."""

    study: StudyFile
    settings: StudySettings
    trials: Sequence[Trial]
    #: Axis -> its level, the same in all trials: deployment, stack, hardware, workload.
    axes: Mapping[str, str] = field(default_factory=dict)
    methods: Sequence[EnvironmentRow] = ()
    environment: Sequence[EnvironmentRow] = ()
    #: Records of runs that those were read from, and runs that there are.
    records_read: int = 0
    runs: int = 0
    #: Quantities that are measured by simulated counters.
    simulated: Sequence[str] = ()
    #: What the records read note, and in how many of them.
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """What one criterion stopped, or kept from starting."""

    #: Of QUANTITIES, "slowing", or the kind of a reason.
    criterion: str
    #: "stopped" or "skipped".
    state: str
    #: Of the reasons: "limit" (it was broken), "predicted" (it would have been), "pruner", "budget", "request".
    kind: str
    limit: float | None
    trials: int
    #: What those trials used until then, together.
    cpu_seconds: float
    #: Of those for which it was predicted how much they would have used: what they would have used beyond that, an
    #: estimate. ``None``: nobody predicted it of any.
    saved_cpu_seconds: float | None
    #: Trials that the estimate is made of.
    predicted: int


@dataclass(frozen=True)
class Overhead:
    """The tuner's own time for a trial, in seconds."""

    trials: int
    median_seconds: float
    p90_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class StudyReport:
    """Everything that the files of a study's report say."""

    found: Found
    #: Objective -> whether more is better, the first first.
    objectives: Mapping[str, bool]
    #: State -> trials.
    counts: Mapping[str, int]
    #: Over all trials, those that were stopped or failed included.
    cpu_seconds: float
    #: The best trial, or with several objectives those that no other beats in all of them.
    front: Sequence[Trial]
    #: Ended trial by trial in the order of their ends: CPU seconds of all so far, and the best of the first objective.
    best_so_far: Sequence[tuple[float, float]]
    ended: Sequence[Ended]
    #: Predictions before the start, and after the first steps.
    ahead: Sequence[Accuracy]
    early: Sequence[Accuracy]
    skipped: Skipped
    overhead: Overhead | None
    api_version: int = API_VERSION

    @property
    def study(self) -> StudyFile:
        """As study.json has it."""
        return self.found.study

    @property
    def trials(self) -> Sequence[Trial]:
        """All, in the order of their numbers."""
        return self.found.trials

    @property
    def first(self) -> str:
        """The first objective."""
        return next(iter(self.objectives), "")

    @property
    def dimensions(self) -> Sequence[Dimension]:
        """Of the space."""
        return self.found.settings.space

    @property
    def limits(self) -> dict[str, float]:
        """Those of one trial."""
        return self.found.settings.of_a_trial
