"""Whether an environment has the packages that it was built with: what runs in it may call pip, and others share it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stackyard.stacks.definition import MARKER, StackSpec, canonical, packages, public_version
from stackyard_task import installed
from stackyard_task.records import RecordError, read_json

#: What every virtual environment has of its own.
TOOLS = {"pip", "setuptools", "wheel"}
#: In the marker: where the environment was when that was written. A copied home's scripts name another place.
_WHERE = "where"


def marker(folder: Path) -> dict[str, Any]:
    """What the marker of an environment says; empty: the environment is not complete."""
    try:
        return read_json(dict[str, Any], folder / MARKER)
    except RecordError:
        return {}


def noted(folder: Path) -> dict[str, Any]:
    """What the marker is to say of the packages that are there now.

    Raises:
        OSError: they cannot be read.
    """
    return {_WHERE: os.path.realpath(folder), **installed.noted(str(folder))}


def is_known(folder: Path, told: dict[str, Any]) -> bool:
    """Whether there is no need to look: nothing was installed since the marker was written, and it was written here."""
    return told.get(_WHERE) == os.path.realpath(folder) and installed.untouched(str(folder), told) is True


def tells(told: dict[str, Any]) -> bool:
    """Whether a marker says what was installed; those of older versions do not."""
    return isinstance(told.get(installed.INSTALLED), dict)


def agree(told: dict[str, Any], noted: dict[str, Any]) -> bool:
    """Whether two markers name the same packages; one that names none agrees with any."""
    if not tells(told):
        return True
    return installed.difference(told[installed.INSTALLED], noted[installed.INSTALLED]) is None


def changes(folder: Path) -> str | None:
    """What is installed otherwise than it was built with, ``None``: nothing, or an old marker does not tell."""
    return installed.changes(str(folder), marker(folder))


def differs(stack: StackSpec, folder: Path) -> str | None:
    """What is installed otherwise than when it was built; where an old marker does not tell that, than is pinned.

    Raises:
        BadInputError: the lock cannot be read.
    """
    told = marker(folder)
    if installed.untouched(str(folder), told) is not None:
        return installed.changes(str(folder), told)
    from importlib import metadata

    expected = {canonical(package.name): package.version for package in packages(stack)}
    found: dict[str, str] = {}
    for path in folder.glob("lib/python3*/site-packages"):
        for one in metadata.distributions(path=[str(path)]):
            name = canonical(one.metadata["Name"] or "")
            if name and (name in expected or name not in TOOLS):
                found[name] = one.version if "+" in expected.get(name, "") else public_version(one.version)
    return installed.difference(expected, found)
