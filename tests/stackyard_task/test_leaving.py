"""What a run leaves with its task at its end, and where a record goes that nothing takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stackyard_task import leaving
from stackyard_task.records import RECORD_FILE, WAY_FILE, Dispatch, RunRecord


def test_a_record_is_kept_elsewhere_where_its_folder_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(leaving, "_SPARE", (str(tmp_path / "nowhere"), str(spare)))
    record = RunRecord("t1", "w", "failed", "now", "now", dispatch=Dispatch(task_id="t1"))
    blocked = tmp_path / "a file"
    blocked.touch()
    place = leaving._kept(record, blocked)
    assert place.parent == spare
    assert sorted(os.listdir(place)) == [RECORD_FILE, WAY_FILE]
    assert leaving._kept(record, tmp_path / "removed") == tmp_path / "removed"
    monkeypatch.setattr(leaving, "_SPARE", (str(tmp_path / "nowhere"),))
    with pytest.raises(OSError, match="a file"):
        leaving._kept(record, blocked)


def test_a_run_leaves_nothing_with_a_task_that_was_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server: Any = None
    handed: list[str] = []
    monkeypatch.setattr(leaving.handing_in, "document", lambda server, id: {"id": id, "started": "later"})
    monkeypatch.setattr(leaving.handing_in, "hand_in", lambda *_: handed.append("in"))
    record = RunRecord("t1", "w", "failed", "now", "now", dispatch=Dispatch(task_id="t1"))
    assert not leaving.delivered(server, {"id": "t1", "started": "then"}, record, tmp_path)
    assert handed == []
    assert "the task has been started anew since" in capsys.readouterr().err
