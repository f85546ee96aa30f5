"""What a tuner tells of its study while it goes on: JSON lines, for whoever shows it on a task's pages. Shapes only.

Our side writes them, ``clearml_tuning`` reads them. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

#: The configuration object of a task that holds the study file's text.
STUDY = "Study"


@dataclass
class Scalar:
    """A value of a chart."""

    title: str
    series: str
    iteration: int
    value: float


@dataclass
class TrialTold:
    """What became of a trial."""

    #: As folders and tables call it: t0001.
    name: str
    state: str
    parameters: Dict[str, Any] = field(default_factory=dict)
    values: Dict[str, float] = field(default_factory=dict)
    #: Id of its task; ``None``: it has none, for it was skipped or ran without a server.
    task: Optional[str] = None
    #: Why it ended before its end, in a sentence.
    reason: Optional[str] = None


@dataclass
class StudyLine:
    """One line: what has changed since the line before."""

    #: The study's name.
    study: str = ""
    #: How much of the nearest bound of the study is used; ``None``: as before.
    percent: Optional[int] = None
    scalars: List[Scalar] = field(default_factory=list)
    #: The trial that is over now.
    trial: Optional[TrialTold] = None
    #: Names of the best trials so far: one, or with several objectives those of the front; ``None``: as before.
    best: Optional[List[str]] = None
