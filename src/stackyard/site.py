"""What this machine offers a matrix: stacks, launchers, data sets, GPUs, gathered behind plain functions.

So that planning and runner know neither settings nor how a stack is found, and tests can bring a site of
their own. May import stacks, hardware, data and launch; never planning, runner, reports or cli.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackyard import data, hardware, stacks
from stackyard.launch import Launcher, snapshot
from stackyard.launch.bare import BareLauncher
from stackyard.scenarios.matrix import CellSettings
from stackyard.settings import Settings
from stackyard.specs import StackSpec
from stackyard_task.records import StackPin


@dataclass(frozen=True)
class Site:
    """What the runner asks of the machine it runs on."""

    #: Stack name -> its Python, or ``None`` where it is not built.
    python_of: Callable[[str], Path | None]
    pin_of: Callable[[str], StackPin]
    #: Stack name -> (environment, tunables).
    environment_of: Callable[[str], tuple[Mapping[str, str], Mapping[str, str]]]
    #: Why a cell cannot run here, or ``None``.
    why_not: Callable[[CellSettings], str | None]
    #: ``dataset:...`` -> file.
    dataset: Callable[[str], Path]
    launchers: Mapping[str, Launcher]
    #: GPUs of this machine, as CUDA_VISIBLE_DEVICES names them.
    gpus: Sequence[str] = ()
    #: Called once per stack before the matrix: loads it, so that no measured run pays for a cold disk.
    warm: Callable[[str, Path], None] = lambda stack, code: None


def here(settings: Settings, defined: Mapping[str, StackSpec]) -> Site:
    """The site of this machine.

    Args:
        settings: where stacks and data are kept.
        defined: the stacks that are defined, by name.
    """
    machine = hardware.this_machine()

    def why_not(cell: CellSettings) -> str | None:
        stack = defined[cell.stack]
        obstacle = hardware.why_not(cell.hardware, machine)
        return obstacle or stacks.why_not(stack, settings, machine, cell.hardware.gpus)

    def warm(name: str, code: Path) -> None:
        python = stacks.python_of(defined[name], settings)
        if python is not None:
            snapshot.warm(code, python, dict(defined[name].environment), ("numpy", "torch"))

    return Site(
        python_of=lambda name: stacks.python_of(defined[name], settings),
        pin_of=lambda name: stacks.pin(defined[name]),
        environment_of=lambda name: (defined[name].environment, defined[name].tunables),
        why_not=why_not,
        dataset=lambda reference: data.resolve(reference, settings),
        launchers={"bare": BareLauncher()},
        gpus=[str(gpu.index) for gpu in machine.gpus],
        warm=warm,
    )
