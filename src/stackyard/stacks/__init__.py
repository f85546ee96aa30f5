"""Pinned stacks: read their definitions, build their environments, verify what got installed, remove them.

One noun per file: ``definition`` (stack.toml and the lock), ``pythons`` (interpreters on this machine),
``indexes`` (where a wheel comes from, and which build it is), ``installation`` (filling a folder),
``environment`` (the venv of a digest), ``contents`` (whether it still has what it was built with),
``verification`` (what the built environment really loads),
``process`` (commands of a build), ``locks`` (who builds alone). Of stacks on top of another: ``requirements`` and
``lockfiles`` (what a list asks for, ``wanted``; ``advice`` ends its sentences), ``core`` (what of a base stays),
``resolving`` (into a lock; ``complaints`` says why not), ``sharing`` (one environment's files in another), ``derived``
(their definitions). ``inside`` holds the two short scripts that run in the stack's own Python.
May import errors, settings, hardware and ``stackyard_task.records``; knows no scenario, launch or report.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stackyard.stacks.definition import DEFAULT, NONE, LockedPackage, StackSpec, packages, read_lock
from stackyard.stacks.derived import load
from stackyard.stacks.environment import build, can_be_built, location, python_of, remove, unused, why_not

if TYPE_CHECKING:
    from stackyard.stacks.verification import Verification

__all__ = [
    "DEFAULT",
    "NONE",
    "LockedPackage",
    "build",
    "can_be_built",
    "load",
    "location",
    "packages",
    "python_of",
    "read_lock",
    "remove",
    "unused",
    "verify",
    "why_not",
]


def verify(stack: StackSpec, python: Path) -> Verification:
    """What an environment's interpreter loads, compared with its stack; loaded when it is called."""
    from stackyard.stacks import verification

    return verification.verify(stack, python)
