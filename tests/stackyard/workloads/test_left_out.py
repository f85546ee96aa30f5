"""Which of what stays here a sentence names."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.workloads import left_out


def test_folders_come_first_and_what_is_larger_before_what_is_smaller(tmp_path: Path) -> None:
    for name, size in (("a.bin", 900), ("b.bin", 10), ("cache/x", 5), ("data/in/x", 500), ("gone.bin", 0)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    (tmp_path / "gone.bin").unlink()
    names = ["b.bin", "a.bin", "gone.bin", "cache/", "data/"]
    assert left_out.foremost(tmp_path, names) == ["data/", "cache/", "a.bin"]
    assert left_out.foremost(tmp_path, names, most=9) == ["data/", "cache/", "a.bin", "b.bin", "gone.bin"]


def test_looking_for_sizes_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_out, "MOST_SIZED", 3)
    (tmp_path / "data").mkdir()
    for number in range(9):
        (tmp_path / "data" / str(number)).write_bytes(b"x")
    (tmp_path / "data" / "self").symlink_to(tmp_path / "data")
    assert left_out.foremost(tmp_path, ["z", "data/"]) == ["data/", "z"]
