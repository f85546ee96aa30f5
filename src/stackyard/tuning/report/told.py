"""What a study's file says of what is searched, checked: people edit files, and a page shows those of others. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stackyard.errors import BadInputError
from stackyard.tuning import space
from stackyard.tuning.folder import STUDY_FILE, StudyFile
from stackyard_task import records


@dataclass
class Search:
    """How the next trial is chosen, as ``study.Search``."""

    sampler: str | None = None
    pruner: str | None = None
    seed: int | None = None
    pruner_settings: dict[str, float] = field(default_factory=dict)
    skip: bool | None = None
    check_share: float = 0.0


@dataclass
class Packing:
    """Of ``study.Packing`` what a report says."""

    at_once: int | None = None
    cores: float | None = None
    memory_bytes: int | None = None
    total_cores: float | None = None


@dataclass
class Dimension:
    """A dimension of the space, of either kind."""

    name: str
    #: Of a choice; ``None``: it is a range.
    values: list[Any] | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False
    log: bool = False
    step: float | None = None

    @property
    def dimension(self) -> space.Dimension:
        """As a tuner has it."""
        if self.values is not None:
            return space.Choice(self.name, tuple(self.values))
        low, high = self.low or 0.0, self.high or 0.0
        return space.Range(self.name, low, high, self.whole, self.log, self.step)


@dataclass
class Told:
    """As ``study.plain`` writes it; what it does not say is empty."""

    space: list[Dimension] = field(default_factory=list)
    #: Name -> "maximise" or "minimise".
    objectives: dict[str, str] = field(default_factory=dict)
    #: Objectives of which a trial has the best value of its course.
    best_of_course: list[str] = field(default_factory=list)
    limits: dict[str, float | None] = field(default_factory=dict)
    #: "trials", "cpu_seconds", "wall_seconds".
    budget: dict[str, float | None] = field(default_factory=dict)
    search: Search = field(default_factory=Search)
    packing: Packing = field(default_factory=Packing)

    @property
    def more_is_better(self) -> dict[str, bool]:
        """Objective -> whether more of it is better."""
        return {name: word == "maximise" for name, word in self.objectives.items()}


def read(study: StudyFile) -> Told:
    """What a study's file says of what is searched.

    Raises:
        BadInputError: a value in it is none that a tuner writes.
    """
    try:
        return records.from_json(Told, study.study, f"{STUDY_FILE}: study")
    except records.RecordError as error:
        raise BadInputError(f"{error}; the study's file was damaged") from error
