"""What a tuner tells of its study while it goes on: JSON lines, for whoever shows it on a task's pages. Shapes only.

Our side writes them, ``clearml_tuning`` reads them. And what both call a study's file, and the projects and the tags of
its tasks on a server. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

#: What a study's folder is known by: the file that says what is searched, and how it ended last.
STUDY_FILE = "study.json"
#: The configuration object of a task that holds the study file's text.
STUDY = "Study"
#: ClearML projects: of templates, of single tasks, and the one that has one below it for each study.
TEMPLATES_PROJECT, RUNS_PROJECT, STUDIES_PROJECT = (
    "Stackyard/templates",
    "Stackyard/runs",
    "Stackyard/studies",
)
#: Tags: of a template; of a trial's task; what comes before the queue that a template is meant for, and before the name
#: of the study that a task is of.
TEMPLATE_TAG, TRIAL_TAG, QUEUE_TAG, STUDY_TAG = "template", "trial", "queue: ", "study: "


def project_of(study: str) -> str:
    """The project where a study's task lies, and those of its trials."""
    return f"{STUDIES_PROJECT}/{study}"


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
