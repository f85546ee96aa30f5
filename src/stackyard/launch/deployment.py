"""What a deployment says of itself: how its runs are started, and what this machine offers for them.

The base class of ours and of every guest's. The class says what holds everywhere, in its attributes; an instance says
what ``Premises`` offer. A runner, a plan or a report asks these and never a name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from stackyard import stacks
from stackyard.launch import Launcher
from stackyard.machine import hardware
from stackyard.machine.hardware import Machine
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.settings import Settings
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import snapshot

#: What every workload of ours loads: read once before a matrix, so that no measured run pays for a cold disk.
_LOADED = ("numpy", "torch")


@dataclass(frozen=True)
class Premises:
    """What a deployment finds on this machine."""

    settings: Settings
    #: The stacks that are defined, by name.
    stacks: Mapping[str, StackSpec]
    machine: Machine
    #: Stacks that are built before anything runs on them: what their bases have, they will have.
    promised: Collection[str] = ()
    #: What several deployments look up once and share, by a key of their own.
    shared: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def here(
        cls, settings: Settings, stacks: Mapping[str, StackSpec], promised: Collection[str] = ()
    ) -> Premises:
        """This machine, with the stacks that are defined."""
        return cls(settings, stacks, hardware.this_machine(), promised)

    def built(self, stack: str) -> StackSpec:
        """A stack as it is built here, or, of one that is promised, what it will be built on."""
        spec = self.stacks[stack]
        while stack in self.promised and spec.base is not None and not stacks.python_of(spec, self.settings):
            spec = spec.base
        return spec

    def python_of(self, stack: str) -> Path | None:
        """The Python of a stack that is built here, or will be; ``None``: it is not."""
        return stacks.python_of(self.built(stack), self.settings)


class Deployment(ABC):
    """One way to start runs.

    Args:
        premises: what this machine offers.
    """

    #: As a scenario file names it; its entry point has the same name.
    name: ClassVar[str]
    #: How its runs are started, in a few words.
    about: ClassVar[str]
    #: A run is a task on a ClearML server: its record says which, and when it was queued, pulled and begun.
    needs_server: ClassVar[bool] = False
    #: A run happens where agents or a scheduler put it, and not beside the runner.
    elsewhere: ClassVar[bool] = False
    #: A run happens in a container of its stack's image, not on the stack as it is built on a machine.
    in_container: ClassVar[bool] = False
    #: A supervisor may give the workload a cgroup to measure it by. Where one cell has none, all are measured without.
    measured_by_cgroup: ClassVar[bool] = True
    #: A run goes on elsewhere when its runner dies, and the launcher's ``again`` finds it.
    can_be_taken_up: ClassVar[bool] = False
    #: A run that the infrastructure lost is started again, a bounded number of times.
    tried_again: ClassVar[bool] = False
    #: A run may wait for its turn: its time limit is held where it runs, and the runner holds no clock against it.
    waits_in_queue: ClassVar[bool] = False
    #: A run that was asked to stop gets so long to hand in its record, then it is killed.
    stop_seconds: ClassVar[float] = 20.0

    def __init__(self, premises: Premises) -> None:
        self.premises = premises

    @abstractmethod
    def why_not(self, stack: str, hardware: HardwareSpec, workers: int) -> str | None:
        """Why a cell cannot run here, in words that say what to do, or ``None``.

        Args:
            stack: the stack's name.
            hardware: what each of its runs is to have.
            workers: how many runs are to share its work at the same time.
        """

    @abstractmethod
    def launcher(self, gpus: int) -> Launcher:
        """What starts runs that need so many GPUs; the same object for the same number.

        Raises:
            StackyardError: there is none; ``why_not`` says so before.
        """

    def queue(self, gpus: int) -> str | None:
        """The queue that runs with so many GPUs wait in; ``None``: they are started at once."""
        return None

    def environment(self, gpus: int) -> Mapping[str, str]:
        """Which GPUs a run sees: without GPUs asked for none, so that a CPU cell stays one on any machine."""
        mine = [str(gpu.index) for gpu in self.premises.machine.gpus]
        return {"CUDA_VISIBLE_DEVICES": ",".join(mine[:gpus])}

    def warm(self, stack: str, code: Path) -> None:
        """Load a stack once, so that no measured run pays for a cold disk.

        Args:
            stack: the stack's name.
            code: the snapshot's folder.
        """
        python = self.premises.python_of(stack)
        if python is not None:
            snapshot.warm(code, python, dict(self.premises.stacks[stack].environment), _LOADED)
