"""What this machine offers a matrix: stacks, deployments, data sets, gathered behind plain functions.

So that planning and runner know neither settings nor how a stack is found, and tests can bring a site of
their own. May import data and launch; never planning, runner, reports or cli.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stackyard.launch import installed
from stackyard.launch.deployment import Deployment, Premises
from stackyard.machine import data
from stackyard.stacks import NONE
from stackyard_task.records import StackPin
from stackyard_task.workloads import Workload


@dataclass(frozen=True)
class Site:
    """What the runner asks of the machine it runs on."""

    #: Stack name -> its Python, or ``None`` where it is not built.
    python_of: Callable[[str], Path | None]
    #: Stack name -> what it promises; ``None``: it is no stack, and promises nothing.
    pin_of: Callable[[str], StackPin | None]
    #: Stack name -> (environment, tunables).
    environment_of: Callable[[str], tuple[Mapping[str, str], Mapping[str, str]]]
    #: Workload -> its declaration; ``None``: a function of the user's own.
    declared: Callable[[str], Workload | None]
    #: ``dataset:...`` -> file.
    dataset: Callable[[str], Path]
    #: Name -> the deployment as this machine offers it; the same object for the same name.
    deployment: Callable[[str], Deployment]
    #: The deployment of what no cell names: preparations, and the stacks loaded before the matrix.
    default_deployment: str = installed.DEFAULT


def here(premises: Premises, workloads: Mapping[str, Workload]) -> Site:
    """The site of this machine.

    Args:
        premises: what deployments find here.
        workloads: the workloads that are declared, by name.
    """
    defined = premises.stacks
    return Site(
        python_of=premises.python_of,
        pin_of=lambda name: None if defined[name] is NONE else defined[name].pin,
        environment_of=lambda name: (defined[name].environment, defined[name].tunables),
        declared=workloads.get,
        dataset=lambda reference: data.resolve(reference, premises.settings.data),
        deployment=functools.cache(lambda name: installed.named(name)(premises)),
    )
