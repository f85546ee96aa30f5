"""What the trials of a study share: the machine they run on, as far as it is free, and its part that they may have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psutil

from stackyard.errors import NotRunnableError
from stackyard.launch.deployment import Deployment
from stackyard.tuning import packing, shared
from stackyard.tuning.packing import Machine
from stackyard.tuning.room import Room
from stackyard.tuning.study import Study


def room_of(study: Study, deployment: Deployment, common: Path | None) -> Room:
    """The room of a study's trials.

    Args:
        study: with what its packing asks for.
        deployment: how its trials are started. Where that is through a server, agents have the machines.
        common: the folder in memory that trials share; ``None``: there is none.

    Raises:
        NotRunnableError: a trial takes more cores than there are.
    """
    wanted, bounds = study.packing, study.bounds()
    if deployment.elsewhere:
        return Room(wanted.at_once, None, bounds, wanted.cores)

    def held() -> int:
        return 0 if common is None else shared.size(common)

    return Room(wanted.at_once, _machine(study, deployment), bounds, wanted.cores, held)


def _machine(study: Study, deployment: Deployment) -> Machine:
    """What of this machine the trials have together."""
    wanted, hardware, here = study.packing, study.hardware, deployment.premises.machine
    cores = min(wanted.total_cores or here.usable_cores, here.usable_cores)
    if wanted.cores > cores:
        raise NotRunnableError(
            f"{study.name}: a trial takes {wanted.cores:g} cores and there are {cores:g}; give fewer cores in "
            "[packing] or [hardware.NAME]"
        )
    free = psutil.virtual_memory().available
    gpus = [gpu.memory_bytes or 0 for gpu in here.gpus] if hardware is not None and hardware.gpus else []
    found = packing.machine(cores, min(free, here.ram_limit_bytes or free), gpus)
    if wanted.memory_bytes is None:
        return found
    return dataclasses.replace(found, memory_bytes=min(float(wanted.memory_bytes), found.memory_bytes))
