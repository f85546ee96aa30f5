"""Compiled copies of travelling code: made by the first task, put beside the sources of later ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from stackyard_task import byte_code
from stackyard_task.byte_code import Compiling

WHEEL = "a" * 64


def code_in(folder: Path) -> Path:
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "module.py").write_text("print('run')\n")
    return folder


def compiled(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*.pyc"))


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An interpreter in an environment that says its version."""
    (tmp_path / "env" / "bin").mkdir(parents=True)
    version = ".".join(map(str, sys.version_info[:3]))
    (tmp_path / "env" / "pyvenv.cfg").write_text(f"home = /usr\nversion = {version}\n")
    (tmp_path / "env" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "env" / "bin" / "python").chmod(0o755)
    return str(tmp_path / "env" / "bin" / "python")


def test_only_the_first_task_compiles_and_later_ones_run_what_it_kept(tmp_path: Path, python: str) -> None:
    variables = {"STACKYARD_CACHE": str(tmp_path / "cache")}
    first, later = code_in(tmp_path / "first"), code_in(tmp_path / "later")
    Compiling(python, first, [first], WHEEL, variables).wait()
    (made,) = compiled(first)
    shutil.rmtree(str(tmp_path / "env" / "bin"))  # no Python any more that could compile
    Compiling(python, later, [later], WHEEL, variables).wait()
    (found,) = compiled(later)
    assert found.read_bytes() == made.read_bytes()
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import package.module"],
        env={**os.environ, "PYTHONPATH": str(later), "PYTHONVERBOSE": "1"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"run\n"
    assert str(found).encode() in done.stderr  # it was loaded from there


@pytest.mark.parametrize(
    ("wheel", "more"),
    [(None, {}), (WHEEL, {"CLEARML_DOCKER_IMAGE": "i"})],
    ids=["a clone", "in a container, whose tasks can change each other's cache"],
)
def test_what_nobody_vouches_for_is_not_kept(
    tmp_path: Path, python: str, wheel: str, more: Dict[str, str]
) -> None:
    code = code_in(tmp_path / "code")
    variables = {"STACKYARD_CACHE": str(tmp_path / "cache"), **more}
    Compiling(python, code, [code], wheel, variables).wait()
    assert len(compiled(code)) == 1
    assert not (tmp_path / "cache").exists()


def test_a_damaged_copy_is_made_again(tmp_path: Path, python: str) -> None:
    variables = {"STACKYARD_CACHE": str(tmp_path / "cache")}
    first, later = code_in(tmp_path / "first"), code_in(tmp_path / "later")
    Compiling(python, first, [first], WHEEL, variables).wait()
    (kept,) = (tmp_path / "cache" / "code").iterdir()
    kept.write_bytes(kept.read_bytes()[:-30])
    Compiling(python, later, [later], WHEEL, variables).wait()
    assert len(compiled(later)) == 1
    assert byte_code.unpacked(kept, tmp_path / "again")


def test_a_python_whose_version_is_not_told_compiles_each_time(tmp_path: Path) -> None:
    code = code_in(tmp_path / "code")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    python = str(tmp_path / "bin" / "python")
    assert byte_code.tag_of(python) is None
    Compiling(python, code, [code], WHEEL, {"STACKYARD_CACHE": str(tmp_path / "cache")}).wait()
    assert len(compiled(code)) == 1
    assert not (tmp_path / "cache").exists()
