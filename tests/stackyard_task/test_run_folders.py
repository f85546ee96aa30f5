"""Run folders below an agent's: whose they are, and those that are nobody's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard_task import run_folders
from stackyard_task.records import RECORD_FILE, WAY_FILE, Dispatch, RunRecord, read_json

WAY, RECORD = Dispatch(task_id="t1"), RunRecord("t1", "w", "failed", "", "")


def test_a_folders_owner_is_in_its_name() -> None:
    assert run_folders.owner(Path("runs") / run_folders.name("a-b", 12, "345")) == (12, 345)
    for name in ("something", "t1-12", "t1-x.1", ".new-t1-12.345"):
        assert run_folders.owner(Path(name)) is None, name


def test_one_that_nobody_works_in_is_there_whole_and_once(tmp_path: Path) -> None:
    for _ in range(2):
        place = run_folders.laid(tmp_path / "runs", "t1", WAY, RECORD)
        assert run_folders.owner(place) == (0, 0)
        assert read_json(Dispatch, place / WAY_FILE) == WAY
        assert read_json(RunRecord, place / RECORD_FILE) == RECORD
        assert list((tmp_path / "runs").iterdir()) == [place]


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(old: str, new: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space"):
        run_folders.laid(tmp_path / "runs", "t1", WAY, RECORD)
    assert not list((tmp_path / "runs").iterdir())
