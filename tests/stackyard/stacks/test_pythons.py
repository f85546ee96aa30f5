"""Finding interpreters: a candidate counts only after it has been run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stackyard.errors import NotRunnableError
from stackyard.stacks import pythons

#: A version this test does not run on, so that only what the test puts there can be found.
WANTED = "3.42"


def program(path: Path, *lines: str, status: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    said = "".join(f"echo '{line}'\n" for line in lines)
    path.write_text(f"#!/bin/sh\n{said}exit {status}\n")
    path.chmod(0o755)
    return path


def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PYENV_ROOT": str(tmp_path / "pyenv")}


def test_our_own_version_is_found_without_looking_further() -> None:
    minor = "{}.{}".format(*sys.version_info[:2])
    found = pythons.find(minor)
    assert found.is_file()


def test_a_shim_that_does_not_run_is_passed_over_for_what_pyenv_has(tmp_path: Path) -> None:
    program(tmp_path / "bin" / f"python{WANTED}", status=127)
    for patch in ("2", "18"):
        path = tmp_path / "pyenv" / "versions" / f"{WANTED}.{patch}" / "bin" / "python"
        program(path, WANTED, str(path), "venv")
    found = pythons.find(WANTED, environment(tmp_path))
    assert found == tmp_path / "pyenv" / "versions" / f"{WANTED}.18" / "bin" / "python"


def test_a_python_of_another_version_under_the_wanted_name_does_not_count(tmp_path: Path) -> None:
    program(tmp_path / "bin" / f"python{WANTED}", "3.8", "/nowhere/python", "venv")
    with pytest.raises(NotRunnableError):
        pythons.find(WANTED, environment(tmp_path))


def test_uv_is_asked_last(tmp_path: Path) -> None:
    python = program(tmp_path / "uv-python", WANTED, str(tmp_path / "uv-python"), "venv")
    program(tmp_path / "bin" / "uv", str(python))
    assert pythons.find(WANTED, environment(tmp_path)) == python


def test_none_is_one_sentence_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotRunnableError, match=f"uv python install {WANTED}"):
        pythons.find(WANTED, environment(tmp_path))


def test_a_python_without_venv_says_which_package_to_install(tmp_path: Path) -> None:
    program(tmp_path / "bin" / f"python{WANTED}", WANTED, "/nowhere/python", "No module named ensurepip")
    with pytest.raises(NotRunnableError, match=f"apt install python{WANTED}-venv"):
        pythons.find(WANTED, environment(tmp_path))
