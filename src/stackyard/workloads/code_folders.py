"""Where a command's names lie: its folder of code and its inputs, seen from the folder of the file that declares it.

The one place that answers it, for scenarios, pipelines, templates and runs by hand. Names are kept as their file has
them: a plan says the same wherever the file lies. Only those of a package are absolute (``absolute``), for what names
the package's workload lies elsewhere. Reads files, writes none.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stackyard.errors import BadInputError
from stackyard.workloads import declarations, folder
from stackyard.workloads.folder import Folder
from stackyard_task.commands import Command
from stackyard_task.records import Code
from stackyard_task.workloads import Workload

#: How an input begins that is no path.
_REFERENCE = re.compile(r"(data|prepared|dataset|step|model|clearml-[a-z]+):")


def is_path(text: str) -> bool:
    """Whether an input is a path of this machine, and no reference."""
    return _REFERENCE.match(text) is None


def absolute(workload: Workload, beside: Path) -> Workload:
    """A workload whose command's names are seen from anywhere; one that is a function as it is."""
    command = workload.command
    if command is None:
        return workload

    def placed(name: str | None) -> str | None:
        return None if name is None else str(beside / name)

    return dataclasses.replace(
        workload,
        command=dataclasses.replace(
            command,
            code=placed(command.code),
            folder=placed(command.folder),
            requirements=placed(command.requirements),
            inputs={
                name: str(beside / text) if is_path(text) else text for name, text in command.inputs.items()
            },
        ),
    )


def in_place(workload: Workload, beside: Path) -> Workload:
    """A workload whose command, where it works in a folder of this machine, names it as a run can find it."""
    command = workload.command
    if command is None or command.folder is None:
        return workload
    place = str((beside / command.folder).resolve())
    return dataclasses.replace(workload, command=dataclasses.replace(command, folder=place))


def why_not(command: Command, beside: Path) -> str | None:
    """Why a command cannot be run for want of a folder or file that it names, or ``None``; not for an input."""
    for key, name in (("code", command.code), ("folder", command.folder)):
        if name is not None and not os.path.isdir(beside / name):  # which raises nothing, whatever the name
            return f"its {key} is {name!r}: there is no folder {beside / name}"
    if command.requirements is not None and not os.path.isfile(beside / command.requirements):
        return (
            f"its requirements is {command.requirements!r}: there is no file {beside / command.requirements}"
        )
    return None


def why_not_elsewhere(command: Command | None) -> str | None:
    """Why a command cannot be run through a queue, or ``None``."""
    if command is None or command.folder is None:
        return None
    return "its command works in a folder of this machine; name the folder as code, and a copy travels"


def looked_at(
    command: Command, beside: Path, inputs: Mapping[str, str], key: str, leave_out: Iterable[Path] = ()
) -> Folder | None:
    """What travels with a command; ``None``: it has no folder of code.

    Args:
        command: whose code.
        beside: the folder that its names are seen from.
        inputs: what it reads, by name: of these, paths travel by themselves.
        key: of the table that has it, for messages.
        leave_out: what else does not travel although it lies inside, such as the run folder.

    Raises:
        BadInputError: the folder is not there, or something in it cannot travel.
    """
    if command.code is None:
        return None
    place = beside / command.code
    if not os.path.isdir(place):
        raise BadInputError(f"{key}.code is {command.code!r}: there is no folder {place}")
    # what declares it is no part of it: a word there changes no run
    apart = {
        *leave_out,
        beside / declarations.FILE,
        *(beside / text for text in inputs.values() if is_path(text)),
    }
    return folder.looked_at(place, leave_out=frozenset(apart))


def code_with(code: Code, own: Folder | None) -> Code:
    """Which code runs: the harness', and the folder that travels with a command."""
    if own is None:
        return code
    return dataclasses.replace(code, own_digest=own.digest, own_version=own.commit, own_dirty=own.dirty)
