"""The stack that a command's requirements make, asked for by what runs a command outside a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from stackyard.cli.requirements import stack_for
from stackyard.settings import Settings
from stackyard.stacks import derived
from stackyard_task.commands import Command


def test_only_a_command_with_requirements_gets_a_stack_of_its_own_which_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, settings, built = stacks.load()[stacks.DEFAULT], Settings(home=tmp_path), []
    for command in (None, Command(("ls",))):
        assert stack_for(command, base, tmp_path, settings, print) is base

    def defined(below: Any, file: Path, *asked: Any, **options: Any) -> str:
        assert (below, file) == (base, tmp_path / "r.txt")
        return "derived"

    monkeypatch.setattr(derived, "defined", defined)
    monkeypatch.setattr(stacks, "build", lambda spec, *asked, **options: built.append(spec))
    assert stack_for(Command(("ls",), requirements="r.txt"), base, tmp_path, settings, print) == "derived"
    assert built == ["derived"]
