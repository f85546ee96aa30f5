"""Runs of an earlier runner: all parts are found again, or those that are there end and the run is made again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stackyard.launch import Place, Started
from stackyard.matrix import lost
from stackyard_task.records import TaskSpec


@dataclass
class Run:
    killed: bool = False

    def wait(self, seconds: float) -> int | None:
        return 0

    def interrupt(self) -> None: ...

    def kill(self) -> None:
        self.killed = True


@dataclass
class Server:
    """Stands for a launcher that knows some runs."""

    runs: dict[str, Run] = field(default_factory=dict)

    def start(self, task: TaskSpec, place: Place) -> Started:
        raise AssertionError("nothing is to be started")

    def again(self, task: TaskSpec, place: Place) -> Started | None:
        return self.runs.get(task.run_id)


def parts(*names: str) -> list[tuple[TaskSpec, Place]]:
    return [(TaskSpec(name, "w"), Place(Path(name), None, Path())) for name in names]


def test_a_run_that_is_there_is_taken_up() -> None:
    run = Run()
    assert lost.taken_up(Server({"a": run}), parts("a")) is run
    assert not run.killed


def test_all_parts_of_a_run_are_taken_up_as_one() -> None:
    together = lost.taken_up(Server({"a": Run(), "b": Run()}), parts("a", "b"))
    assert together is not None
    assert together.wait(1) == 0


def test_a_run_of_which_a_part_is_gone_is_ended_and_made_again() -> None:
    left = Run()
    assert lost.taken_up(Server({"a": left}), parts("a", "b")) is None
    assert left.killed


def test_a_run_that_is_gone_is_made_again() -> None:
    assert lost.taken_up(Server(), parts("a")) is None
