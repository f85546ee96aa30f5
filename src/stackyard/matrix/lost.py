"""Runs that an earlier runner started and lost: taken up where their deployment still has them."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.launch import Launcher, Place, Started
from stackyard.matrix import shards
from stackyard_task.records import TaskSpec


def taken_up(launcher: Launcher, parts: Sequence[tuple[TaskSpec, Place]]) -> Started | None:
    """The run whose tasks go on since an earlier runner went away; ``None``: it is to be made again.

    Of several parts all are found again, or those that are there are ended.

    Raises:
        LaunchError: of one part it cannot be told; all are left as they are.
    """
    found = [launcher.again(part, place) for part, place in parts]
    there = [run for run in found if run is not None]
    if len(there) == len(found):
        return shards.together(there)
    for run in there:
        run.kill()
    return None
