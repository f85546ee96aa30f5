"""What this machine offers a matrix: stacks, launchers, data sets, GPUs, gathered behind plain functions.

So that planning and runner know neither settings nor how a stack is found, and tests can bring a site of
their own. What a ClearML server offers is ``dispatching``'s, which is loaded when a matrix needs it. May import
stacks, hardware, data and launch; never planning, runner, reports or cli.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard import stacks
from stackyard.launch import Launcher
from stackyard.launch.bare import BareLauncher
from stackyard.machine import data, hardware
from stackyard.scenarios.matrix import CellSettings
from stackyard.settings import Settings
from stackyard.specs import BARE, CONTAINER, DISPATCHED, StackSpec
from stackyard.workloads import snapshot
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
    #: (deployment, number of GPUs) -> the launcher that starts such runs.
    launcher: Callable[[str, int], Launcher]
    #: GPUs of this machine, as CUDA_VISIBLE_DEVICES names them.
    gpus: Sequence[str] = ()
    #: (deployment, stack, code): called once for each before the matrix: loads the stack, so that no measured run
    #: pays for a cold disk.
    warm: Callable[[str, str, Path], None] = lambda deployment, stack, code: None


def here(settings: Settings, defined: Mapping[str, StackSpec]) -> Site:
    """The site of this machine.

    Args:
        settings: where stacks and data are kept.
        defined: the stacks that are defined, by name.
    """
    machine = hardware.this_machine()
    bare = BareLauncher()

    @functools.cache
    def dispatching() -> Any:
        # Loaded by name: the client's libraries cost a third of a second, which a bare matrix does not pay.
        return importlib.import_module("stackyard.launch.offer").Dispatching(settings, defined)

    def why_not(cell: CellSettings) -> str | None:
        workers = cell.workers or 1
        if cell.deployment in DISPATCHED:
            offered, reason = dispatching(), None
            if offered.is_local():  # and so are its agents
                reason = hardware.why_not(cell.hardware, machine, workers)
            return reason or offered.why_not(cell.deployment, cell.stack, cell.hardware.gpus, workers)
        obstacle = hardware.why_not(cell.hardware, machine, workers)
        return obstacle or stacks.why_not(defined[cell.stack], settings, machine, cell.hardware.gpus)

    def launcher(deployment: str, gpus: int) -> Launcher:
        found: Launcher = bare if deployment == BARE else dispatching().launcher(deployment, gpus)
        return found

    def warm(deployment: str, name: str, code: Path) -> None:
        if deployment == CONTAINER:
            dispatching().warm(name)
            return
        python = stacks.python_of(defined[name], settings)
        if python is not None:
            snapshot.warm(code, python, dict(defined[name].environment), ("numpy", "torch"))

    return Site(
        python_of=lambda name: stacks.python_of(defined[name], settings),
        pin_of=lambda name: stacks.pin(defined[name]),
        environment_of=lambda name: (defined[name].environment, defined[name].tunables),
        why_not=why_not,
        dataset=lambda reference: data.resolve(reference, settings),
        launcher=functools.cache(launcher),
        gpus=[str(gpu.index) for gpu in machine.gpus],
        warm=warm,
    )
