"""What a base's pins rule out, told from locks alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.stacks import core, definition, refusals, requirements
from tests.stackyard.fake_stacks import define, define_plain
from tests.stackyard.stacks.conftest import Yard


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("pip==20.0", "3.11"),
        ("pip<23", "3.9"),
        ("pip<=22.9", "3.11"),
        ("pip==23.1", "3.12"),
        ("pip<23.1.2", "3.13"),
    ],
)
def test_a_pip_that_an_environment_cannot_do_with_is_refused(yard: Yard, line: str, python: str) -> None:
    base = replace(yard.base, python=python)
    asked = requirements.read(yard.requirements(f"top\n{line}\n"), python)
    first = "23.0" if python in ("3.9", "3.11") else "23.1.2"
    with pytest.raises(BadInputError) as caught:
        refusals.check(base, asked)
    assert str(caught.value).endswith(
        f"requirements.txt line 2 asks for {line}, but an environment with Python {python} needs pip {first} or newer "
        "and brings its own; leave the line away (`pip freeze --all` writes it)"
    )


@pytest.mark.parametrize(
    "line", ["pip", "pip==24.0", "pip<25", "pip==23.*", "setuptools==44.0.0", "wheel==0.30"]
)
def test_other_tools_of_an_environment_may_be_asked_for(yard: Yard, line: str) -> None:
    refusals.check(yard.base, requirements.read(yard.requirements(f"{line}\n"), yard.base.python))


def test_a_base_that_has_the_version_is_named(tmp_path: Path) -> None:
    base = definition.load()[definition.DEFAULT]
    (tmp_path / "requirements.txt").write_text("torch==1.10.*\n")
    asked = requirements.read(tmp_path / "requirements.txt", base.python, {"torch"})
    with pytest.raises(BadInputError, match=r"take a base with that torch: torch-1\.10\.2-cu102, or leave"):
        refusals.check(base, asked)


def test_a_stack_without_torch_gets_none_by_requirements(yard: Yard, tmp_path: Path) -> None:
    plain = definition.read(define_plain(tmp_path / "plain"))
    asked = requirements.read(yard.requirements("torch\n"), plain.python)
    with pytest.raises(BadInputError, match="which base plain does not have; derive from a stack with torch"):
        refusals.check(plain, asked)


def test_a_cuda_builds_local_tag_is_the_same_version(tmp_path: Path, yard: Yard) -> None:
    stack = define(tmp_path / "gpu", name="gpu", cuda="12.4")
    good = requirements.read(yard.requirements("torch==9.9.0+cu124\n"), stack.python)
    refusals.check(stack, good)
    other = requirements.read(yard.requirements("torch==9.9.0+cpu\n"), stack.python)
    with pytest.raises(BadInputError, match=r"asks for torch==9\.9\.0\+cpu, but base gpu pins torch 9\.9\.0"):
        refusals.check(stack, other)


def test_where_packages_may_be_replaced_only_the_core_is_looked_at(yard: Yard) -> None:
    asked = requirements.read_text("small==2\ntorch==9.9.0+cpu", python=yard.base.python)
    assert refusals.ruled_out(yard.base, asked)
    refusals.check(yard.base, asked, core.holds)
    asked = requirements.read_text("small==1\ntorch<9", python=yard.base.python)
    with pytest.raises(refusals.RuledOutError, match="asks for torch<9, but base"):
        refusals.check(yard.base, asked, core.holds)
