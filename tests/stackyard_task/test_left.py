"""What a killed supervisor left of an ordinary task, as a record."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from stackyard_task import handing_in, left, records, run_folders
from stackyard_task.api import ApiError, Refused
from stackyard_task.records import Dispatch, Failure, Progress, RunRecord, TaskSpec

TASK = {
    "id": "t1",
    "name": "work",
    "status": "failed",
    "started": "then",
    "script": {"entry_point": "train.py"},
}


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[RunRecord]:
    found: list[RunRecord] = []
    monkeypatch.setattr(handing_in, "document", lambda server, id: dict(TASK))
    monkeypatch.setattr(handing_in, "hand_in", lambda server, task, record, folder: found.append(record))
    return found


def settled(folder: Path) -> bool:
    server: Any = None
    return left.handed_in(server, folder)


def test_a_supervisor_that_was_killed_while_an_environment_was_made_leaves_a_record(
    tmp_path: Path, handed: list[RunRecord]
) -> None:
    records.write_json(Dispatch(task_id="t1", pulled_at="then"), tmp_path / records.WAY_FILE)
    assert settled(tmp_path)
    (record,) = handed
    assert (record.run_id, record.workload, record.status) == ("t1", "train.py", "failed")
    assert record.failure is not None
    assert record.failure.kind == "interrupted"
    assert record.measurement.wall_seconds is None


def test_an_aborted_task_says_so(
    tmp_path: Path, handed: list[RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_in, "document", lambda server, id: {**TASK, "status": "stopped"})
    records.write_json(Dispatch(task_id="t1", pulled_at="then"), tmp_path / records.WAY_FILE)
    assert settled(tmp_path)
    assert handed[0].failure is not None
    assert handed[0].failure.message.startswith("the task was aborted; its supervisor was killed")


def test_what_was_seen_of_a_run_stands_in_its_record(tmp_path: Path, handed: list[RunRecord]) -> None:
    records.write_json(Dispatch(task_id="t1", pulled_at="then"), tmp_path / records.WAY_FILE)
    records.write_json(TaskSpec("t1", "w"), tmp_path / records.TASK_FILE)
    seen = Progress(elapsed_seconds=9.0, cpu_seconds=4.0, most_rss_bytes=100_000_000)
    records.write_json(seen, tmp_path / records.PROGRESS_FILE)
    assert settled(tmp_path)
    assert handed[0].notes == [
        "seen last 9.0 s after its start, it had used 4.0 s of CPU and at least 100 MB"
    ]


def test_a_record_that_is_there_is_handed_in_as_it_is(tmp_path: Path, handed: list[RunRecord]) -> None:
    records.write_json(Dispatch(task_id="t1", pulled_at="then"), tmp_path / records.WAY_FILE)
    record = RunRecord("t1", "w", "failed", "a", "b", failure=Failure("bad_input", "no such commit"))
    records.write_json(record, tmp_path / records.RECORD_FILE)
    assert settled(tmp_path)
    assert handed[0].failure == record.failure


def test_a_later_run_of_the_task_gets_nothing_of_an_earlier_one(
    tmp_path: Path, handed: list[RunRecord]
) -> None:
    records.write_json(Dispatch(task_id="t1", pulled_at="before"), tmp_path / records.WAY_FILE)
    assert settled(tmp_path)
    assert handed == []


def test_a_folder_that_says_nothing_is_settled(tmp_path: Path, handed: list[RunRecord]) -> None:
    assert settled(tmp_path)
    records.write_json(Dispatch(), tmp_path / records.WAY_FILE)
    assert settled(tmp_path)
    assert handed == []


@pytest.mark.parametrize(
    ("error", "is_settled"),
    [
        (handing_in.NoTask("the server knows no task t1"), True),
        (Refused("500", 500), False),
        (ApiError("away"), False),
    ],
    ids=["deleted", "refused", "away"],
)
def test_only_of_a_task_that_is_gone_a_record_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: ApiError, is_settled: bool
) -> None:
    def document(server: Any, id: str) -> Any:
        raise error

    monkeypatch.setattr(handing_in, "document", document)
    for name, value in {"HOST": "http://127.0.0.1:9", "ACCESS_KEY": "k", "SECRET_KEY": "s"}.items():
        monkeypatch.setenv(f"CLEARML_API_{name}", value)
    folder = run_folders.laid(
        tmp_path / "runs",
        "t1",
        Dispatch(task_id="t1", pulled_at="then"),
        RunRecord("t1", "w", "failed", "", ""),
    )
    assert left.main([str(folder)]) == (0 if is_settled else 75)
    assert folder.exists() is not is_settled


def test_a_record_waits_a_week_however_often_it_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folders.laid(
        tmp_path / "runs",
        "t1",
        Dispatch(task_id="t1", pulled_at="then"),
        RunRecord("t1", "w", "failed", "", ""),
    )
    old = time.time() - left.OLD_SECONDS - 60
    os.utime(folder / records.WAY_FILE, (old, old))
    for name, value in {"HOST": "http://127.0.0.1:9", "ACCESS_KEY": "k", "SECRET_KEY": "s"}.items():
        monkeypatch.setenv(f"CLEARML_API_{name}", value)

    def document(server: Any, id: str) -> Any:
        raise ApiError("away")

    monkeypatch.setattr(handing_in, "document", document)
    assert left.main([str(folder)]) == 0
    assert not folder.exists()


def test_a_link_in_the_place_of_a_run_folder_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "t1-1.1"
    link.symlink_to(elsewhere)
    assert left.main([str(link)]) == 0
    assert (link.is_symlink(), elsewhere.is_dir()) == (False, True)
