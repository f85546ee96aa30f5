"""Compiled copies of travelling code: made by the first task, put beside the sources of later ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict

import pytest

from stackyard_task import byte_code
from stackyard_task.byte_code import Compiling

WHEEL = "a" * 64


def code_in(folder: Path) -> Path:
    (folder / "stackyard_task").mkdir(parents=True)
    (folder / "stackyard_task" / "__init__.py").write_text("")
    (folder / "stackyard_task" / "module.py").write_text("print('run')\n")
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


def test_only_the_first_task_compiles_and_keeps_it_beside_what_others_compiled(
    tmp_path: Path, python: str
) -> None:
    variables = {"STACKYARD_CACHE": str(tmp_path / "cache")}
    first, later = code_in(tmp_path / "first"), code_in(tmp_path / "later")
    (first / "stackyard_task" / "__pycache__").mkdir()
    (first / "stackyard_task" / "__pycache__" / "__init__.cpython-30.pyc").write_bytes(b"another Python's")
    Compiling(python, first, [first], WHEEL, variables).wait()
    with zipfile.ZipFile(tmp_path / "cache" / "code" / f"{WHEEL}.pyc.zip") as kept:
        kept.extractall(later)
    assert [(path.relative_to(later), path.read_bytes()) for path in compiled(later)] == [
        (path.relative_to(first), path.read_bytes()) for path in compiled(first)
    ]
    assert len(compiled(later)) == 3
    shutil.rmtree(str(tmp_path / "env" / "bin"))  # no Python any more that could compile
    Compiling(python, later, [later], WHEEL, variables).wait()
    done = subprocess.run(
        [sys.executable, "-B", "-v", "-c", "import stackyard_task.module"],
        env={**os.environ, "PYTHONPATH": str(later)},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"run\n"
    assert f"code object from '{compiled(later)[-1]}'".encode() in done.stderr  # by content, not by time


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
    assert len(compiled(code)) == 2
    assert not (tmp_path / "cache").exists()


def test_a_python_whose_version_is_not_told_compiles_each_time(tmp_path: Path) -> None:
    code = code_in(tmp_path / "code")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    python = str(tmp_path / "bin" / "python")
    assert byte_code.tag_of(python) is None
    Compiling(python, code, [code], WHEEL, {"STACKYARD_CACHE": str(tmp_path / "cache")}).wait()
    assert len(compiled(code)) == 2
    assert not (tmp_path / "cache").exists()
