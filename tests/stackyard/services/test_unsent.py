"""Records whose supervisor was killed: which folders are looked at, how often, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.agents import lineage
from stackyard.clearml.connection import Connection
from stackyard.services import unsent
from stackyard.services.unsent import Unsent, left_in

NOBODY = Connection("http://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9", "key", "secret")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Looks:
    def __init__(self, top: Path) -> None:
        self.runs = top / "runs"
        self.runs.mkdir()
        self.clock = Clock()
        self.jobs: list[Callable[[], None]] = []
        self.tried: list[Path] = []
        self.unsent = Unsent(lambda: NOBODY, self.clock, self.jobs.append)
        hand_in = self.unsent._hand_in

        def noted(folder: Path) -> None:
            self.tried.append(folder)
            hand_in(folder)

        self.unsent._hand_in = noted  # type: ignore[method-assign]

    def look(self, seconds: float = unsent.LOOK_SECONDS) -> int:
        """The number of folders that one look has handed in, at once."""
        self.clock.now += seconds
        before = len(self.tried)
        self.unsent.look([str(self.runs.parent)])
        jobs, self.jobs[:] = list(self.jobs), []
        for job in jobs:
            job()
        return len(self.tried) - before

    def folder(self, pid: int, started: int | None = 1) -> Path:
        made = self.runs / f"task-{pid}.{started}"
        made.mkdir()
        return made


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    return Looks(tmp_path)


def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_folders_of_processes_that_are_gone_are_left(looks: Looks) -> None:
    gone = looks.folder(dead())
    looks.folder(os.getpid(), lineage.started_at(os.getpid()))
    another = looks.folder(os.getpid(), 1)  # the number is another process' by now
    (looks.runs / "something").mkdir()
    (looks.runs / ".new-draft-0.1").mkdir()  # is being written
    assert left_in(looks.runs) == sorted([gone, another])
    assert left_in(looks.runs / "none") == []


def test_what_nobody_can_know_of_goes_and_is_not_asked_for_twice(looks: Looks) -> None:
    folder = looks.folder(dead())  # no task.json: its process was killed before it wrote one
    assert looks.look() == 1
    assert not folder.exists()
    assert looks.look(unsent.AGAIN_SECONDS) == 0


@pytest.mark.long
def test_a_server_that_is_away_is_asked_again_later(looks: Looks) -> None:
    folder = looks.folder(dead())
    (folder / "way.json").write_text('{"task_id": "one"}')
    (folder / "task.json").write_text('{"run_id": "one", "workload": "work.py"}')
    assert looks.look() == 1
    assert looks.look() == 0, "not at once"
    assert looks.look(unsent.AGAIN_SECONDS) == 1
    assert folder.exists(), "nothing is lost"


def test_a_look_takes_no_more_than_it_can(looks: Looks) -> None:
    pid = dead()
    for number in range(unsent.MOST_FOLDERS + 2):
        (looks.runs / f"task{number}-{pid}.1").mkdir()
    assert looks.look() == unsent.MOST_FOLDERS
    assert looks.look() == 2


def test_what_cannot_be_handed_in_keeps_nothing_else_waiting(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "import sys; sys.exit(75)"
    monkeypatch.setattr(unsent, "_PROGRAM", failing)
    pid = dead()
    for number in range(unsent.MOST_FOLDERS + 2):
        (looks.runs / f"task{number}-{pid}.1").mkdir()
    for _ in range(3):
        looks.look(unsent.AGAIN_SECONDS)
    assert len(set(looks.tried)) == unsent.MOST_FOLDERS + 2, "each has been tried"


def test_a_look_returns_while_another_hands_in(looks: Looks) -> None:
    looks.folder(dead())
    looks.clock.now += unsent.LOOK_SECONDS
    looks.unsent.look([str(looks.runs.parent)])
    looks.folder(dead(), 2)
    looks.clock.now += unsent.LOOK_SECONDS
    looks.unsent.look([str(looks.runs.parent)])
    assert (len(looks.jobs), looks.tried) == (1, []), "one at a time, and nothing waits for it"
