"""Figures that a program prints."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from stackyard_task.metrics import files, read
from tests.stackyard_task.metrics.running import places

LOSS = r"line:loss[ =]+(?P<value>[-+.0-9eEnaif]+)"


def test_the_last_value_is_the_result_and_all_are_the_course(tmp_path: Path) -> None:
    found = read({"loss": LOSS}, places(tmp_path, b"start\nloss = 0.5\nother\nloss=2.5e-1 \xff\nloss 0.125"))
    assert found.values == {"loss": 0.125}
    assert found.series == {"loss": [[0, 0.5], [1, 0.25], [2, 0.125]]}
    assert found.notes == []


def test_a_step_is_taken_where_the_pattern_has_one(tmp_path: Path) -> None:
    pattern = r"line:(epoch (?P<step>\d+) )?acc=(?P<value>\S+)"
    found = read({"acc": pattern}, places(tmp_path, b"epoch 10 acc=1\nepoch 20 acc=2\nacc=3\n"))
    assert found.series == {"acc": [[10, 1], [20, 2], [2, 3]]}


def test_progress_bars_and_colours_are_lines_like_others(tmp_path: Path) -> None:
    bar = b"\r10%|#  | loss=\x1b[31m0.9\x1b[0m\r20%|## | loss=\x1b[1;32m0.8\x1b[0m\r\n\x1b]0;title\x07^loss=0.7\r\n"
    found = read({"loss": LOSS, "whole": r"line:^\^loss=(?P<value>.*)$"}, places(tmp_path, bar))
    assert [value for _, value in found.series["loss"]] == [0.9, 0.8, 0.7]
    assert found.values["whole"] == 0.7


def test_what_is_no_number_is_text_and_has_no_course(tmp_path: Path) -> None:
    log = b"loss=nan\nloss=inf\nverdict: not so good\nloss=-inf"
    found = read({"loss": LOSS, "verdict": "line:verdict: (?P<value>.*)"}, places(tmp_path, log))
    assert found.values == {"loss": "-inf", "verdict": "not so good"}
    assert found.series == {"loss": [[0, "nan"], [1, "inf"], [2, "-inf"]]}


def test_a_pattern_that_never_matches_is_said(tmp_path: Path) -> None:
    found = read({"loss": LOSS}, places(tmp_path, b"binary \x00\x01\x02\n" * 100))
    assert (found.values, found.series) == ({}, {})
    assert found.notes == ["metric 'loss': no line of output.log matches loss[ =]+(?P<value>[-+.0-9eEnaif]+)"]


def test_a_pattern_that_would_never_end_is_ended_and_the_others_are_read(tmp_path: Path) -> None:
    handler, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    found = read(
        {"bad": "line:(?P<value>(a+)+)$", "loss": LOSS},
        places(tmp_path, b"a" * 60 + b"!\nloss=1\n"),
        seconds=0.4,
    )
    assert time.monotonic() - began < 60  # by itself it takes longer than a life
    assert found.values == {"loss": 1}
    assert found.notes == ["metric 'bad': its pattern took longer than 0.2 s on output.log"]
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_of_a_long_log_the_beginning_and_the_end_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FILE_BYTES", 2 << 20)
    log = b"loss=1\n" + b"loss=2 in the middle\n" * 200_000 + b"loss=3\n"
    found = read({"loss": LOSS}, places(tmp_path, log))
    assert found.values == {"loss": 3}
    assert found.series["loss"][0] == [0, 1]
    assert len(found.series["loss"]) <= 10_000
    assert found.notes == ["output.log is 4 MiB long; its first and last 1 MiB were read"]


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    log = b"loss=1\n" + b"x" * (3 << 20) + b"loss=9\nloss=2\n" + b"y" * 100_000 + b"loss=8\n" + b"loss=3"
    found = read({"loss": LOSS}, places(tmp_path, log))
    assert [value for _, value in found.series["loss"]] == [1, 2, 3]
    assert found.notes == ["2 lines of output.log are longer than 64 KiB and were cut"]


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    where = places(tmp_path)
    where.log.unlink()
    found = read({"loss": LOSS}, where)
    assert found.values == {}
    assert found.notes[0] == "output.log cannot be read (No such file or directory)"
