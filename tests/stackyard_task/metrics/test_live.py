"""What a program prints, seen while it runs: each value once, a flood and a bad pattern passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from stackyard_task.metrics.files import Places
from stackyard_task.metrics.live import LOOK_BYTES, Live


class Told:
    """A run's folder, and what was told of it."""

    def __init__(self, folder: Path, sources: Dict[str, str]) -> None:
        self.log, self.outputs, self.working = folder / "output.log", folder / "outputs", folder / "work"
        self.outputs.mkdir()
        self.working.mkdir()
        self.values: List[Tuple[str, float, Any]] = []
        places = Places(self.log, self.outputs, self.working)
        self.live = Live(sources, places, lambda *told: self.values.append(told))

    def look(self, **written: str) -> List[Tuple[str, float, Any]]:
        """What is told once these pieces are written to the log, or to a file of the outputs."""
        for name, text in written.items():
            path = self.log if name == "log" else self.outputs / f"{name}.jsonl"
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
        self.values.clear()
        self.live.look()
        return list(self.values)


def test_lines_are_told_as_they_come_each_once_and_whole(tmp_path: Path) -> None:
    told = Told(
        tmp_path, {"loss": r"line:loss=(?P<value>\S+) step=(?P<step>\d+)", "late": "line:z=(?P<value>.+)"}
    )
    assert told.look() == []
    assert told.look(log="loss=0.5 step=3\nloss=0.") == [("loss", 3, 0.5)]
    assert told.look(log="25 step=4\nand more\n") == [("loss", 4, 0.25)]
    assert told.look(log="loss=nan step=5\rloss=abc step=6\n") == [("loss", 5, "nan")]
    assert told.look() == []


def test_without_a_step_it_is_the_values_number(tmp_path: Path) -> None:
    told = Told(tmp_path, {"loss": r"line:loss=(?P<value>\S+)"})
    assert told.look(log="loss=3\nloss=2\n") == [("loss", 0, 3), ("loss", 1, 2)]
    assert told.look(log="loss=1\n") == [("loss", 2, 1)]


def test_lines_of_json_are_followed_wherever_the_file_appears(tmp_path: Path) -> None:
    told = Told(tmp_path, {"accuracy": "jsonl:found.jsonl#test.accuracy@epoch"})
    assert told.look() == []
    row = json.dumps({"epoch": 2, "test": {"accuracy": 0.75}})
    assert told.look(found=row + "\n" + row[:9]) == [("accuracy", 2, 0.75)]
    assert told.look(found=row[9:] + "\nno json\n") == [("accuracy", 2, 0.75)]


def test_a_flood_is_passed_over_but_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackyard_task.metrics.live.PATTERN_SECONDS", 60)  # a slow machine gives up nothing
    told = Told(tmp_path, {"loss": r"line:loss=(?P<value>\S+)"})
    found = told.look(log="loss=1\n" * LOOK_BYTES)
    assert 0 < len(found) <= LOOK_BYTES // 7
    assert told.look(log="loss=2\n")[-1][2] == 2


def test_a_pattern_that_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackyard_task.metrics.live.PATTERN_SECONDS", 0.05)
    told = Told(tmp_path, {"bad": r"line:(a+)+(?P<value>b)", "good": r"line:v=(?P<value>\d)"})
    assert told.look(log="a" * 60 + "\nv=1\n") == [("good", 0, 1)]
    assert told.look(log="a" * 60 + "\nv=2\n") == [("good", 1, 2)]
