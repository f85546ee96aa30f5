"""What is installed in an environment, told from the names of its folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stackyard_task import installed


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("numpy-2.4.6", "Typing_Extensions-4.1", "pip-23.0"):
        (folder / f"{name}.dist-info").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    return folder


def later(folder: Path) -> None:
    """Whatever the clock's grain, the folder's time is another."""
    os.utime(folder, ns=(0, folder.stat().st_mtime_ns + 1))


def test_a_marker_tells_what_is_there_and_that_nothing_was_installed_since(
    tmp_path: Path, packages: Path
) -> None:
    marker: dict[str, Any] = installed.noted(str(tmp_path))
    assert marker[installed.INSTALLED] == {"numpy": "2.4.6", "typing-extensions": "4.1", "pip": "23.0"}
    (packages / "__pycache__" / "six.cpython-311.pyc").write_bytes(b"compiled")
    assert installed.untouched(str(tmp_path), marker)
    assert installed.changes(str(tmp_path), marker) is None


def test_what_was_installed_in_place_of_added_and_removed_is_named(tmp_path: Path, packages: Path) -> None:
    marker = installed.noted(str(tmp_path))
    (packages / "numpy-2.4.6.dist-info").rename(packages / "numpy-2.3.1.dist-info")
    (packages / "Typing_Extensions-4.1.dist-info").rmdir()
    (packages / "six-1.16.0.dist-info").mkdir()
    later(packages)
    assert not installed.untouched(str(tmp_path), marker)
    said = "numpy 2.3.1 in place of 2.4.6, six 1.16.0 added, typing-extensions 4.1 removed"
    assert installed.changes(str(tmp_path), marker) == said


def test_another_time_alone_is_no_change_and_pip_may_renew_itself(tmp_path: Path, packages: Path) -> None:
    marker = installed.noted(str(tmp_path))
    (packages / "pip-23.0.dist-info").rename(packages / "pip-25.1.dist-info")
    later(packages)
    assert installed.untouched(str(tmp_path), marker) is False
    assert installed.changes(str(tmp_path), marker) is None


def test_what_an_interrupted_pip_leaves_is_a_change(tmp_path: Path, packages: Path) -> None:
    marker = installed.noted(str(tmp_path))
    (packages / "numpy-2.3.1.dist-info").mkdir()
    later(packages)
    assert installed.changes(str(tmp_path), marker) == "numpy 2.3.1 and 2.4.6 in place of 2.4.6"


@pytest.mark.parametrize("marker", [{}, {"digest": "d"}, {installed.CHANGED_AT: 3, installed.INSTALLED: {}}])
def test_an_old_marker_tells_nothing(tmp_path: Path, packages: Path, marker: dict[str, Any]) -> None:
    assert installed.untouched(str(tmp_path), marker) is None
    assert installed.changes(str(tmp_path), marker) is None


def test_an_environment_that_is_gone_is_no_longer_as_it_was(tmp_path: Path, packages: Path) -> None:
    marker = installed.noted(str(tmp_path))
    (tmp_path / "lib").rename(tmp_path / "gone")
    assert installed.untouched(str(tmp_path), marker) is False
    assert "cannot be read" in (installed.changes(str(tmp_path), marker) or "")


def test_of_many_some_are_named() -> None:
    said = installed.difference({}, {f"p{number:02}": "1" for number in range(12)})
    assert said is not None
    assert said.endswith("p07 1 added and 4 more")
