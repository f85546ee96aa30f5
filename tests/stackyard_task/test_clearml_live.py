"""What is shown of a run under way: nothing of it may wait for the server."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any, List, Tuple

import pytest

pytest.importorskip("clearml", reason="the ClearML SDK is in the agent's Python only, never in a stack's")

from stackyard_task.clearml_live import OUTPUT_BYTES, Live, line
from stackyard_task.progress import Moment
from tests.waiting import PATIENCE_SECONDS


class Task:
    """Stands for the SDK's task: its progress call waits until it is let go, as with a server that is down."""

    def __init__(self) -> None:
        self.scalars: List[Tuple[str, str, float, int]] = []
        self.progress: List[int] = []
        self.answered = threading.Event()

    def get_logger(self) -> Any:
        return self

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        self.scalars.append((title, series, value, iteration))

    def set_progress(self, percent: int) -> None:
        assert self.answered.wait(PATIENCE_SECONDS)
        self.progress.append(percent)


@pytest.fixture
def task() -> Task:
    return Task()


def test_a_server_that_does_not_answer_holds_nothing_up(task: Task, tmp_path: Path) -> None:
    live = Live(task, tmp_path / "output.log", io.StringIO())
    for done in range(1, 100):
        live.moment(Moment(float(done), "steady", done=done, total=100))  # returns, though no call has
    assert task.progress == []
    task.answered.set()
    live.end(completed=True)
    assert task.progress[-1] == 100
    assert len(task.progress) <= 3  # what was overtaken meanwhile was not sent


def test_scalars_have_units_and_sensible_iterations(task: Task, tmp_path: Path) -> None:
    task.answered.set()
    live = Live(task, tmp_path / "output.log", io.StringIO())
    moment = Moment(7.9, "steady", 30, 60, "steps", 0.5, 0.002, 28, 150.0, 2_000_000, {1: (3_000_000, 40.0)})
    live.moment(moment)
    live.moment(moment)  # loss and step time stand still: told once
    assert sorted(set(task.scalars)) == [
        ("CPU (% of a core)", "run", 150.0, 7),
        ("GPU memory (MB)", "GPU 1", 3.0, 7),
        ("GPU utilisation (%)", "GPU 1", 40.0, 7),
        ("Loss", "loss", 0.5, 30),
        ("RAM (MB)", "run", 2.0, 7),
        ("Step time (ms)", "mean", 2.0, 28),
    ]
    assert len([scalar for scalar in task.scalars if scalar[0] in ("Loss", "Step time (ms)")]) == 2
    live.end(completed=False)


def test_output_is_printed_as_it_comes_and_a_flood_is_cut(task: Task, tmp_path: Path) -> None:
    task.answered.set()
    log, out = tmp_path / "output.log", io.StringIO()
    live = Live(task, log, out)
    live.moment(Moment(0.0, "startup"))  # no file yet
    log.write_text("first\n")
    live.moment(Moment(1.0, "data"))
    with log.open("a") as stream:
        stream.write("x" * (3 * OUTPUT_BYTES))
    live.moment(Moment(2.0, "data"))
    with log.open("a") as stream:
        stream.write("\nlast\n")
    live.end(completed=True)
    said = out.getvalue()
    assert said.count("first\n") == 1
    assert f"[{2 * OUTPUT_BYTES} bytes are left out here" in said
    assert said.endswith("last\n")
    assert len(said) < 2 * OUTPUT_BYTES


def test_one_line_says_where_a_run_is() -> None:
    assert line(Moment(0.0, "startup", rss_bytes=197_000)) == "[0 s] startup, RAM 197 kB"
    assert line(Moment(0.0, "startup")) == "[0 s] startup"
    assert line(Moment(12.3, "steady", 3, 8, "epochs", 0.25, 0.0012, 9, 99.6, 800_000_000)) == (
        "[12 s] steady, 3 of 8 epochs, loss 0.25, 1.2 ms a step, CPU 100 %, RAM 800 MB"
    )
