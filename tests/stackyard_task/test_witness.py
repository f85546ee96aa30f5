"""The second witness: what it saw beside what was measured, and a run that nobody answers."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stackyard_task import witness
from stackyard_task.records import Measurement, RunRecord, Witness
from stackyard_task.witness import NOBODY, Outside


def record(**measured: Any) -> RunRecord:
    found = RunRecord("one", "work", "completed", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00")
    found.measurement = Measurement(**measured)
    return found


def test_what_is_known_to_be_the_supervisors_is_no_difference() -> None:
    seen = Witness("somebody", cpu_seconds=2.13, peak_bytes=120 << 20, charged_peak_bytes=130 << 20)
    measured = Measurement(cpu_seconds=2.0, peak_rss_bytes=200 << 20, peak_mapped_files_bytes=96 << 20)
    found = witness.compared(seen, measured, 0.1, 14 << 20)
    assert found.cpu_differs_percent == pytest.approx(1.5)
    assert found.peak_differs_percent == pytest.approx(1.0), "2 of the peak's 200 MiB"
    assert (found.supervisor_cpu_seconds, found.supervisor_bytes) == (0.1, 14 << 20)


@pytest.mark.parametrize(
    ("seen", "measured"),
    [
        (Witness("m"), Measurement(cpu_seconds=1.0, peak_rss_bytes=5, peak_mapped_files_bytes=1)),
        (Witness("m", 1.0, 5), Measurement()),
        (Witness("m", 1.0, 5), Measurement(cpu_seconds=0.0, peak_rss_bytes=5)),
        (
            Witness("m", None, 1 << 24),
            Measurement(
                peak_rss_bytes=1, peak_rss_low_bytes=1, peak_rss_high_bytes=1 << 24, peak_mapped_files_bytes=0
            ),
        ),
    ],
    ids=["nothing seen", "nothing measured", "no files known", "a peak that was hardly seen"],
)
def test_what_was_not_counted_differs_by_nothing_that_could_be_told(
    seen: Witness, measured: Measurement
) -> None:
    found = witness.compared(seen, measured, 0.1, 1)
    assert (found.cpu_differs_percent, found.peak_differs_percent) == (None, None)


@contextmanager
def listening(path: Path, *answers: bytes, descriptor: int | None = None) -> Iterator[list[bytes]]:
    """A witness that gives these answers, and what it was told."""
    told: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)

        def serve() -> None:
            inside, _ = server.accept()
            with inside:
                for answer in (*answers, b""):
                    told.append(inside.recv(100))
                    if answer:
                        socket.send_fds(inside, [answer], [] if descriptor is None else [descriptor])

        thread = threading.Thread(target=serve)
        thread.start()
        yield told
        thread.join(20)


def test_a_witness_is_asked_at_both_ends_and_told_when_all_is_left(tmp_path: Path) -> None:
    said = Witness("cgroup", cpu_seconds=1.0, peak_bytes=50 << 20)
    with listening(tmp_path / "w", b"{}\n", json.dumps(vars(said)).encode() + b"\n") as told:
        outside = Outside(str(tmp_path / "w"))
        outside.begin()
        found = record(cpu_seconds=1.0, peak_rss_bytes=50 << 20)
        outside.end(found)
        outside.over()
    assert told == [b"begin\n", b"end\n", b"over\n"]
    assert found.witness is not None
    assert (found.witness.method, found.notes) == ("cgroup", [])
    assert found.witness.cpu_differs_percent is not None


@pytest.mark.parametrize("answer", [b"no json\n", b"[1]\n", b'{"cpu_seconds": "many"}\n', b""])
def test_a_witness_that_says_nothing_of_use_is_done_without(tmp_path: Path, answer: bytes) -> None:
    with listening(tmp_path / "w", b"{}\n", answer):
        outside = Outside(str(tmp_path / "w"))
        outside.begin()
        found = record(cpu_seconds=1.0)
        if not answer:  # it goes
            outside._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        outside.end(found)
        outside.over()
    assert (found.witness, found.notes) == (None, [NOBODY])


def test_where_nobody_listens_that_is_noted_and_where_nobody_should_nothing_is(tmp_path: Path) -> None:
    for path, notes in ((str(tmp_path / "w"), [NOBODY]), (None, [])):
        outside, found = Outside(path), record()
        outside.begin()
        outside.end(found)
        outside.over()
        assert (found.witness, found.notes) == (None, notes)


def test_the_end_of_the_console_is_read_from_the_file_that_the_witness_hands_over(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_bytes(b"x" * 100_000 + b"Traceback: the end\n")
    number = os.open(console, os.O_RDONLY)
    with listening(tmp_path / "w", b"{}\n", descriptor=number):
        outside = Outside(str(tmp_path / "w"))
        assert outside.console is None
        outside.begin()
        assert outside.console is not None
        assert outside.console().endswith(b"xTraceback: the end\n")
        assert len(outside.console()) == 32 << 10
        outside.over()
        assert outside.console is None
    os.close(number)


def test_a_witness_that_contradicts_the_figures_is_spoken_of() -> None:
    large, small = (Measurement(cpu_seconds=9.0, peak_rss_bytes=size) for size in (100 << 20, 10 << 20))
    contradicts = Witness("host", cpu_differs_percent=0.2, peak_differs_percent=18.8)
    assert witness.said_of(Witness("host", cpu_differs_percent=-1.0), large) == []
    assert witness.said_of(contradicts, small) == [], "2 MB"
    assert witness.said_of(contradicts, large) == [
        "the host counted 19 % more peak memory in the container than was measured inside, so that figure may be as "
        "far off"
    ]
