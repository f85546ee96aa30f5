"""How a run is started: one contract, one file per deployment (``bare``, ``agent``, ``container``, ``slurm``...).

A launcher takes a task and an empty run folder; what comes back is data in that folder, the same whatever the
deployment: ``task.json``, ``record.json``, ``timeline.json``, ``output.log``, ``outputs/``. It knows nothing of
matrices, resuming or reports. May import stacks, machine, errors, the client of the server and the records of the seam.

A ``Deployment`` (``deployment.py``) says of itself what others must know of it, and gives its launcher. Nobody asks it
for its name: ``installed`` finds deployments by Python entry point, ours and those of guest packages alike.

The contract, by the words of ``Launcher`` and ``Started``:

* submit: ``start`` writes ``task.json`` and starts the run, or raises LaunchError and leaves nothing running.
* take up: ``again`` finds the run that an earlier runner started and left behind, in deployments that can take one up.
* wait: ``wait`` tells the end of the run, not before all it left lies in the run folder.
* cancel: ``interrupt`` ends it in order (a record of kind "interrupted" follows), ``kill`` at once.
* collect: done by the ``wait`` that tells the end. A run that ended without a record although nobody killed it gets
  one of kind "infrastructure" where its launcher knows more than an exit status; a bare
  one leaves the supervisor's words in SUPERVISOR_LOG.

Whether a failure is worth another start, and when, is told by ``retries``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stackyard_task.records import TaskSpec


class LaunchError(Exception):
    """A run could not be started; the message says why and what to do."""


class InDoubtError(LaunchError):
    """A run may be under way, but nobody answers who knows: its folder stays, and nothing is started in its place."""


@dataclass(frozen=True)
class Place:
    """What a launcher needs to know besides the task."""

    #: The run folder: exists, holds nothing yet.
    folder: Path
    #: The stack's Python on this machine, ``None``: it is not built here. A deployment elsewhere finds its own.
    python: Path | None
    #: Folder that holds the package ``stackyard_task`` to run.
    code: Path
    #: Descriptors a supervisor that is started here keeps open (the run folder's lock).
    inherited: Sequence[int] = ()


class Started(Protocol):
    """A run under way."""

    def wait(self, seconds: float) -> int | None:
        """The run's exit status, or ``None`` if it is not over after ``seconds``.

        0: completed. Whatever it left is in the run folder then, ``record.json`` last. Meanwhile the folder may hold
        ``progress.json``: what the run does, or what it waits for.

        Raises:
            InDoubtError: nobody answers any more who knows; ``Launcher.again`` may find it later.
        """

    def interrupt(self) -> None:
        """Ask for the end of the run, with a record; returns at once."""

    def kill(self) -> None:
        """End everything of the run at once; a record may be missing afterwards."""


class Launcher(Protocol):
    """Starts runs in one deployment."""

    def start(self, task: TaskSpec, place: Place) -> Started:
        """Write ``task.json`` and start the run.

        Raises:
            LaunchError: it cannot be started (the stack's Python is gone, the server does not answer...).
            InDoubtError: it may have been started all the same.
            OSError: the folder cannot be written, or a file the task names cannot be read.
        """

    def again(self, task: TaskSpec, place: Place) -> Started | None:
        """The run that an earlier runner left in ``place``, running or over; ``None``: there is none to take up.

        Always ``None`` in a deployment whose runs cannot be taken up. One that was started for another task is ended.

        Raises:
            LaunchError: whether there is one cannot be told (the server does not answer); the folder is to stay.
        """
