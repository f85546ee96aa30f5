"""What the deployments of other people's schedulers share: ``slurm`` and ``kubernetes``."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from stackyard.launch.deployment import Deployment
from stackyard.launch.scheduled import Board, ScheduledLauncher, Scheduler


class ScheduledDeployment(Deployment):
    """Runs are submitted to a scheduler, which gives them a node of a cluster."""

    elsewhere = True
    #: Neither a user of a cluster nor a container has a cgroup that the supervisor may write to.
    measured_by_cgroup = False
    can_be_taken_up = True
    tried_again = True
    waits_in_queue = True

    @abstractmethod
    def scheduler(self, gpus: int) -> Scheduler:
        """What runs that need so many GPUs are submitted to.

        Raises:
            BadInputError: clusters.toml cannot be used.
        """

    @property
    @abstractmethod
    def poll_seconds(self) -> float:
        """How long an answer of the scheduler is good for."""

    def launcher(self, gpus: int) -> ScheduledLauncher:
        """What submits runs that need so many GPUs.

        Raises:
            BadInputError: clusters.toml cannot be used.
        """
        if gpus not in self._launchers:
            self._launchers[gpus] = ScheduledLauncher(self.scheduler(gpus), self._board)
        return self._launchers[gpus]

    def environment(self, gpus: int) -> Mapping[str, str]:
        """Which GPUs a run sees is the scheduler's to say; that it sees none is said here."""
        return {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}

    def warm(self, stack: str, code: Path) -> None:
        """Nothing: which node a run gets is not known before. A warm-up run of the scenario loads the stack once."""

    @functools.cached_property
    def _launchers(self) -> dict[int, ScheduledLauncher]:
        return {}

    @functools.cached_property
    def _board(self) -> Board:
        """One for all launchers: they ask the same scheduler."""
        return Board(self.scheduler(0), self.poll_seconds)
