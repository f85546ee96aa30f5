"""How a run is started: one file per deployment, one contract.

A launcher takes a task and an empty run folder and starts a supervisor there; what comes back is data in
that folder. It knows nothing of matrices, resuming or reports. May import specs, errors and the records of
the seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stackyard_task.records import TaskSpec

#: What the supervisor itself printed; absent when it printed nothing.
SUPERVISOR_LOG = "supervisor.log"


class LaunchError(Exception):
    """A run could not be started; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """What a launcher needs to know besides the task."""

    #: The run folder: exists, holds nothing yet.
    folder: Path
    #: The stack's Python.
    python: Path
    #: Folder that holds the package ``stackyard_task`` to run.
    code: Path
    #: Descriptors the supervisor keeps open (the run folder's lock).
    inherited: Sequence[int] = ()


class Started(Protocol):
    """A run under way."""

    def wait(self, seconds: float) -> int | None:
        """The supervisor's exit status, or ``None`` if it is still at work after ``seconds``."""

    def interrupt(self) -> None:
        """Ask the supervisor to end the run and write its record."""

    def kill(self) -> None:
        """End everything of the run at once; a record may be missing afterwards."""


class Launcher(Protocol):
    """Starts runs in one deployment."""

    def start(self, task: TaskSpec, place: Place) -> Started:
        """Write ``task.json`` and start the run.

        Raises:
            LaunchError: it cannot be started (the stack's Python is gone...).
            OSError: the folder cannot be written.
        """
