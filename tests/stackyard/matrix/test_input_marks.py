"""What tells whether a command's inputs are those that a matrix began with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard.matrix import input_marks


def test_a_mark_differs_where_a_content_or_a_name_does_and_not_where_times_do(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a").write_text("one")
    first = input_marks.mark(folder)
    os.utime(folder / "in" / "a", (1, 1))
    assert input_marks.mark(folder) == first
    (folder / "in" / "a").write_text("two")
    second = input_marks.mark(folder)
    assert second != first
    (folder / "in" / "a").rename(folder / "in" / "b")
    assert input_marks.mark(folder) not in (first, second)
    assert input_marks.mark(folder / "in" / "b").startswith("3 bytes, SHA-256 ")


def test_of_much_the_times_stand_for_the_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_marks, "MOST_BYTES", 10)
    file = tmp_path / "large"
    file.write_bytes(b"x" * 11)
    first = input_marks.mark(file)
    assert first.startswith("11 bytes, times ")
    os.utime(file, (1, 1))
    assert input_marks.mark(file) != first


def test_what_is_no_regular_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    first = input_marks.mark(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "gone").symlink_to("nowhere")
    assert input_marks.mark(tmp_path) == first


def test_a_pipe_is_not_waited_for_and_a_device_not_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert input_marks.mark(tmp_path / "pipe") == input_marks.mark(Path("/dev/zero"))
    assert input_marks.mark(tmp_path).startswith("0 bytes")
