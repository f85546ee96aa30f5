"""What fails again and again beside the answers is said once a minute."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from pathlib import Path

import pytest

from stackyard_server import app
from stackyard_server.failures import AGAIN_SECONDS, Failures
from stackyard_server.settings import ServerSettings
from stackyard_server.store import metrics

FULL = sqlite3.OperationalError("database or disk is full")


def test_a_full_disk_is_one_line_for_all_that_waits(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    failures = Failures(lambda: now[0])
    for _ in range(20):
        failures.note("removing points or lines", FULL)
        failures.note("folding the log", OSError(errno.ENOSPC, "No space left on device"))
    (line,) = caplog.records
    assert line.getMessage() == "The disk is full: removing points or lines waits until there is room."
    assert line.exc_info is None
    now[0] = AGAIN_SECONDS
    failures.note("folding the log", FULL)
    failures.note("folding the log", FULL)
    assert [r.getMessage() for r in caplog.records[1:]] == [
        "The disk is full: folding the log waits until there is room."
    ]


def test_anything_else_is_told_with_its_traceback_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    failures = Failures(lambda: now[0])
    for _ in range(5):
        failures.note("folding the log", ValueError("one"))
        failures.note("folding the log", ValueError("two"))
        failures.note("removing freed files", ValueError("one"))
    assert [(r.getMessage(), str(r.exc_info[1])) for r in caplog.records if r.exc_info] == [
        ("folding the log failed", "one"),
        ("folding the log failed", "two"),
        ("removing freed files failed", "one"),
    ]
    now[0] = AGAIN_SECONDS
    failures.note("folding the log", ValueError("one"))
    assert len(caplog.records) == 4


def test_the_servers_work_on_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All that runs beside the answers, for many passes."""
    passes = 0
    monkeypatch.setattr(app, "CLEAR_SECONDS", 0)
    monkeypatch.setattr(app, "FOLD_SECONDS", 0)
    monkeypatch.setattr(app, "TIDY_SECONDS", 0)

    def full(*_: object) -> None:
        nonlocal passes
        passes += 1
        raise FULL

    monkeypatch.setattr(metrics, "has_gone", full)
    server = app.Server(ServerSettings(tmp_path / "data", web_port=0, api_port=0, files_port=0))
    monkeypatch.setattr(server.store, "fold", full)
    monkeypatch.setattr(server._freeing, "step", full)

    async def main() -> None:
        serving = asyncio.ensure_future(server.serve())
        while passes < 100:
            await asyncio.sleep(0)
        server.stop()
        await serving

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert len([r for r in caplog.records if "disk is full" in r.getMessage()]) == 1
    assert not [r for r in caplog.records if r.exc_info]
