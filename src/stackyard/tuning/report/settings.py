"""What a study's file says of what is searched, checked: people edit files, and a page shows those of others. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stackyard.errors import BadInputError
from stackyard.tuning import space
from stackyard.tuning.folder import StudyFile
from stackyard.tuning.study import MAXIMISE, Budget, Packing, Search, combinations
from stackyard_task import records
from stackyard_task.studies import STUDY_FILE


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
class StudySettings:
    """As ``study.plain`` writes it; what it does not say is empty."""

    space: list[Dimension] = field(default_factory=list)
    #: Name -> "maximise" or "minimise".
    objectives: dict[str, str] = field(default_factory=dict)
    #: Objectives of which a trial has the best value of its course.
    best_of_course: list[str] = field(default_factory=list)
    #: Quantity -> the greatest that a trial may use, by [limits] alone, and by its hardware and time limit, too.
    limits: dict[str, float | None] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    search: Search = field(default_factory=Search)
    packing: Packing = field(default_factory=Packing)

    @property
    def directions(self) -> dict[str, bool]:
        """Objective -> whether more of it is better."""
        return {name: word == MAXIMISE for name, word in self.objectives.items()}

    @property
    def of_a_trial(self) -> dict[str, float]:
        """What ends a trial: quantity -> limit."""
        return self.bounds or {name: limit for name, limit in self.limits.items() if limit is not None}

    @property
    def combinations(self) -> int | None:
        """As ``study.Study.combinations``; ``None`` too where the file says what no grid may have."""
        try:
            found = combinations(space.Space(tuple(one.dimension for one in self.space)), self.search)
        except (ArithmeticError, ValueError):
            return None
        return found if found is not None and 0 < found <= space.MOST_COMBINATIONS else None


def read(study: StudyFile) -> StudySettings:
    """What a study's file says of what is searched.

    Raises:
        BadInputError: a value in it is none that a tuner writes.
    """
    try:
        return records.from_json(StudySettings, study.study, f"{STUDY_FILE}: study")
    except records.RecordError as error:
        raise BadInputError(f"{error}; the study's file was damaged") from error
