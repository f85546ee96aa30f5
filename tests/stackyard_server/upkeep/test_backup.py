"""A backup appears whole or not at all, and what a killed one left goes with the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard_server import admin
from stackyard_server.store import Store
from stackyard_server.upkeep import backup, drafts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store(tmp_path / "data").close()
    return tmp_path / "data"


@pytest.mark.promise("a-broken-off-backup-goes")
def test_what_a_killed_backup_left_goes_with_the_next_to_that_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds password hashes and the signing key, under a name that nobody sees."""
    place = tmp_path / "place"
    child = os.fork()
    if child == 0:
        try:
            monkeypatch.setattr(backup, "_manifest", lambda *_: os._exit(9))
            admin.backup(folder, place / "monday")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (left,) = place.iterdir()
    assert (left / "server.sqlite").stat().st_size > 0
    (place / f".tuesday.{left.suffix[1:]}").mkdir()
    (place / ".monday.mine").mkdir()
    with drafts.held(left):  # as a backup has it that runs
        admin.backup(folder, place / "tuesday")
        assert {path.name for path in place.iterdir()} == {"tuesday", ".monday.mine", left.name}
    admin.backup(folder, place / "monday")
    assert {path.name for path in place.iterdir()} == {"tuesday", ".monday.mine", "monday"}


def test_a_backup_that_runs_is_left_alone(folder: Path, tmp_path: Path) -> None:
    running = tmp_path / "place" / f".monday.{'0' * 32}"
    running.mkdir(parents=True)
    with drafts.held(running):
        admin.backup(folder, tmp_path / "place" / "monday")
        assert running.is_dir()
