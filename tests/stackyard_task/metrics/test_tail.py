"""Figures of a run under way: only what is new is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard_task.metrics import tail
from stackyard_task.metrics.tail import Tail
from tests.stackyard_task.metrics.running import places

SOURCES = {
    "loss": r"line:loss=(?P<value>\S+)",
    "acc": "jsonl:log.jsonl#acc",
    "later": "json:metrics.json#a",
    "wild": "jsonl:**/log.jsonl#acc",
}


def test_the_latest_values_are_known_as_they_are_written(tmp_path: Path) -> None:
    where = places(tmp_path)
    watched = Tail(SOURCES, where)
    assert watched.read() == {}
    with where.log.open("ab", buffering=0) as log:
        log.write(b"loss=1\rloss=2\rlo")
        assert watched.read() == {"loss": 2}
        log.write(b"ss=3\nloss=4")
        assert watched.read() == {"loss": 3}  # the last line is not whole yet
        (where.working / "log.jsonl").write_text('{"acc": 0.5}\n{"acc": 0.')
        assert watched.read() == {"loss": 3, "acc": 0.5}
        with (where.working / "log.jsonl").open("a") as rows:
            rows.write("75}\n")
        assert watched.read() == {"loss": 3, "acc": 0.75}
    where.log.write_bytes(b"loss=5\n")  # begun anew
    assert watched.read() == {"loss": 5, "acc": 0.75}


def test_of_much_that_is_new_the_last_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "NEW_BYTES", 1000)
    where = places(tmp_path)
    watched = Tail(SOURCES, where)
    where.log.write_bytes(b"loss=1\n" + b"x" * 5000 + b"loss=2\n" + b"loss=3\n" * 100)
    assert watched.read() == {"loss": 3}
    assert watched._log["loss"].figure.count == 100


def test_a_pattern_that_would_never_end_is_given_up_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "SECONDS", 0.1)
    where = places(tmp_path, b"a" * 60 + b"!\nloss=1\n")
    watched = Tail({"bad": "line:(?P<value>(a+)+)$", **SOURCES}, where)
    assert watched.read() == {"loss": 1}
    where.log.write_bytes(where.log.read_bytes() + b"a" * 60 + b"!\nloss=2\n")
    assert watched.read() == {"loss": 2}
