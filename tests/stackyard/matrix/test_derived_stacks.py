"""The stacks that a scenario adds: what a dry run says of them, and what a run makes."""

from __future__ import annotations

import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackyard.launch.deployment import Premises
from stackyard.matrix import derived_stacks
from stackyard.scenarios.shape import DerivedStack
from stackyard.stacks.definition import StackSpec
from tests.stackyard.stacks.conftest import Yard, yard

__all__ = ["yard"]


@pytest.mark.slow
def test_what_is_to_be_resolved_and_built_is_said_and_counts_as_there(yard: Yard) -> None:
    yard.requirements("small\n")
    stacks = {
        "mine": DerivedStack(yard.base.name, "requirements.txt"),
        "more": DerivedStack("mine", "requirements.txt"),
    }
    scenario: Any = types.SimpleNamespace(stacks=stacks)
    defined = {yard.base.name: yard.base}
    known, due = derived_stacks.foreseen(scenario, yard.folder, yard.settings, defined)
    assert derived_stacks.added(scenario, known) == {}
    assert due["mine"] == f"resolve and build requirements.txt on {yard.base.name}"
    assert Premises.here(yard.settings, known).python_of("mine") is None
    promised = Premises.here(yard.settings, known, due)
    assert promised.python_of("mine") == promised.python_of("more") == promised.python_of(yard.base.name)

    made = derived_stacks.built(scenario, yard.folder, yard.settings, defined, lambda line: None)
    known, due = derived_stacks.foreseen(scenario, yard.folder, yard.settings, defined)
    assert due == {}
    assert known == made
    assert derived_stacks.added(scenario, known) == {"mine": {}, "more": {}}  # the base has it
    own = Premises.here(yard.settings, known).python_of("mine")
    assert own not in (None, promised.python_of(yard.base.name))


def test_what_a_stack_adds_is_read_of_its_own_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    base = StackSpec("base", "3.11", None, None, "1", tmp_path / "nowhere")
    scenario: Any = types.SimpleNamespace(stacks={"mine": None, "later": None})
    known = {
        "mine": replace(base, name="base+2", digest="2", folder=tmp_path, base=base),
        "later": replace(base, name="base+r", digest=derived_stacks.UNRESOLVED, base=base),
    }
    assert derived_stacks.added(scenario, known) == {"mine": {"six": "1.17.0"}}
