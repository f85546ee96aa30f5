"""Deployment ``nice``: as ``bare``, but every run gives way to other work on the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from stackyard.launch.bare import BareDeployment, BareLauncher
from stackyard.machine.hardware_spec import HardwareSpec


class NiceDeployment(BareDeployment):
    """Runs are child processes of the runner, at low priority."""

    name = "nice"
    about = "runs are started directly, at low priority"

    def why_not(self, stack: str, hardware: HardwareSpec, workers: int) -> str | None:
        """That there is no program ``nice``, or what a bare run lacks; or ``None``."""
        if shutil.which("nice") is None:
            return "no program nice is on the PATH: install coreutils"
        return super().why_not(stack, hardware, workers)

    def launcher(self, gpus: int) -> BareLauncher:
        """One launcher for all."""
        return NiceLauncher()


class NiceLauncher(BareLauncher):
    """Starts supervisors, and with them their workloads, at low priority."""

    def command(self, python: Path, folder: Path) -> list[str]:
        """The supervisor's command behind ``nice``."""
        return ["nice", "-n", "10", *super().command(python, folder)]
