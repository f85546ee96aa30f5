"""Records to and from JSON, and written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackyard_task.records import (
    API_VERSION,
    Failure,
    GpuUse,
    Measurement,
    RecordError,
    RunRecord,
    StackPin,
    StepTimes,
    TaskSpec,
    from_json,
    read_json,
    to_json,
    write_json,
)


def record() -> RunRecord:
    measurement = Measurement(wall_seconds=1.5, gpus=[GpuUse(0, "g")], steps=StepTimes(2, 0.1, 0.1, 0.2))
    return RunRecord("r", "w", "failed", "a", "b", failure=Failure("code", "m", 1), measurement=measurement)


def test_a_record_survives_the_way_through_a_file(tmp_path: Path) -> None:
    write_json(record(), tmp_path / "record.json")
    assert read_json(RunRecord, tmp_path / "record.json") == record()
    assert json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["api_version"] == API_VERSION
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_task_survives_too() -> None:
    task = TaskSpec("r", "w", {"k": 9}, stack=StackPin("s", cuda="cpu"), environment={"A": "1"})
    assert from_json(TaskSpec, to_json(task)) == task


def test_keys_of_a_newer_minor_version_are_ignored_and_a_newer_api_is_refused() -> None:
    value = {**to_json(record()), "new_key": 1}
    assert from_json(RunRecord, value) == record()
    with pytest.raises(RecordError, match="newer than"):
        from_json(RunRecord, {**value, "api_version": API_VERSION + 1})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "JSON object"),
        ({"workload": "w"}, "'run_id' is missing"),
        ({"run_id": "r", "workload": "w", "limits": 3}, "limits"),
    ],
)
def test_what_is_no_record_is_named(value: Any, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        from_json(TaskSpec, value)


def test_a_value_json_has_no_word_for_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json({"a": 1}, path)
    with pytest.raises(ValueError, match="JSON"):
        write_json({"a": float("nan")}, path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        write_json({"a": 1}, tmp_path / "absent" / "record.json")
