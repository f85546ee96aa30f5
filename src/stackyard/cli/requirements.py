"""The stack that a command's requirements make, for what runs one outside a matrix: steps, templates, runs by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stackyard import stacks
from stackyard.cli.building import sparsely
from stackyard.settings import Settings
from stackyard.stacks import derived
from stackyard.stacks.definition import StackSpec
from stackyard_task.commands import Command


def stack_for(
    command: Command | None, base: StackSpec, beside: Path, settings: Settings, say: Callable[[str], None]
) -> StackSpec:
    """What a command runs on where ``base`` is asked for: with its requirements on top, resolved and built here.

    Args:
        command: whose requirements; ``None``: a function, which has none.
        base: the stack below.
        beside: the folder that the command's names are seen from.
        settings: where locks and environments are.
        say: told one line at a time, where something takes long.

    Raises:
        BadInputError: the file of requirements cannot be used, or asks for what the base rules out.
        NotRunnableError: the base cannot be built, or a package cannot be had.
        StackyardError: the building failed.
    """
    if command is None or command.requirements is None:
        return base
    return stack_with(base, beside / command.requirements, settings, say)


def stack_with(base: StackSpec, file: Path, settings: Settings, say: Callable[[str], None]) -> StackSpec:
    """A stack with the packages of a file on top, resolved and built here.

    Raises:
        BadInputError: the file cannot be used, or asks for what the base rules out.
        NotRunnableError: the base cannot be built, or a package cannot be had.
        StackyardError: the building failed.
    """
    say = sparsely(say)
    found = derived.defined(base, file, settings, progress=say)
    stacks.build(found, settings, progress=say)
    return found
