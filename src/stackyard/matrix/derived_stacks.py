"""The stacks that a scenario adds to others: resolved and built before it runs, or as far as they are known.

May import scenarios, stacks and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from stackyard import stacks
from stackyard.scenarios import Scenario
from stackyard.settings import Settings
from stackyard.stacks import definition, derived
from stackyard.stacks.definition import StackSpec

#: Stands for the digest of a stack that nobody has resolved yet.
UNRESOLVED = "unresolved"


def foreseen(
    scenario: Scenario, beside: Path, settings: Settings, defined: Mapping[str, StackSpec]
) -> tuple[dict[str, StackSpec], dict[str, str]]:
    """All stacks that a scenario may name as far as they are known, and what ``built`` would have to make.

    Starts and writes nothing.

    Args:
        scenario: whose stacks.
        beside: the folder of its file.
        settings: where locks and environments are.
        defined: the stacks there are.

    Returns:
        The stacks by name, and of those that are not there yet, though their bases are, what is to be done in words.

    Raises:
        BadInputError: a file of requirements cannot be used.
    """
    known = _with(
        scenario,
        defined,
        lambda base, file: (
            derived.foreseen(base, beside / file, settings)
            or replace(base, name=f"{base.name}+{file}", digest=UNRESOLVED, base=base)
        ),
    )
    due = {}
    for name, table in scenario.stacks.items():
        below: StackSpec | None = known[name]
        while below is not None and stacks.python_of(below, settings) is None:
            below = below.base
        if below is not None and below is not known[name]:
            work = "resolve and build" if known[name].digest == UNRESOLVED else "build"
            due[name] = f"{work} {table.requirements} on {table.base}"
            due[known[name].name] = due[name]
    return known, due


def built(
    scenario: Scenario,
    beside: Path,
    settings: Settings,
    defined: Mapping[str, StackSpec],
    say: Callable[[str], None],
) -> dict[str, StackSpec]:
    """The same, each one that is added resolved and built, unless its base is not built here.

    Raises:
        BadInputError: a file of requirements cannot be used, or asks for what its base rules out.
        StackyardError: a package cannot be had.
    """

    def made(base: StackSpec, file: str) -> StackSpec:
        if stacks.python_of(base, settings) is None:  # planning says so of its cells
            return replace(base, name=f"{base.name}+{file}", digest=UNRESOLVED, base=base)
        spec = derived.defined(base, beside / file, settings, progress=say)
        stacks.build(spec, settings, progress=say)
        return spec

    return _with(scenario, defined, made)


def added(scenario: Scenario, known: Mapping[str, StackSpec]) -> dict[str, dict[str, str]]:
    """The packages that each stack of a scenario adds to its base, by version; without those that are not resolved.

    Args:
        scenario: whose stacks.
        known: the stacks by name, as ``foreseen`` and ``built`` have them.
    """
    specs = {name: known[name] for name in scenario.stacks if known[name].digest != UNRESOLVED}
    return {
        name: {package.name: package.version for package in definition.added(spec)}
        for name, spec in specs.items()
    }


def _with(
    scenario: Scenario,
    defined: Mapping[str, StackSpec],
    made: Callable[[StackSpec, str], StackSpec],
) -> dict[str, StackSpec]:
    """``defined`` with what the scenario adds, under the scenario's names and under each stack's own."""
    found = {**defined, stacks.NONE.name: stacks.NONE}
    left = dict(scenario.stacks)
    while left:
        ready = [name for name, table in left.items() if table.base in found]
        for name in ready:
            table = left.pop(name)
            spec = made(found[table.base], table.requirements)
            found[name] = found[spec.name] = spec
        if not ready:  # the reading has checked every base
            raise AssertionError(f"stacks without a base: {', '.join(left)}")
    return found
