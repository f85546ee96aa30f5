"""What is shown of a run under way: nothing of it may wait for the server."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any, Dict, List

import pytest

from stackyard_task import clearml_live
from stackyard_task.api import Unreachable
from stackyard_task.clearml_live import OUTPUT_BYTES, Live, Reports, line
from stackyard_task.progress import Moment
from stackyard_task.records import Point
from tests.waiting import PATIENCE_SECONDS, until


class Server:
    """Stands for a server: calls wait until it is let go, as with one that is down."""

    def __init__(self) -> None:
        self.events: List[Dict[str, Any]] = []
        self.runtime: List[Dict[str, Any]] = []
        self.fails: List[Exception] = []
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.answers.set()

    def another(self, patience_seconds: float) -> Server:
        return self

    def call_lines(self, method: str, lines: List[Dict[str, Any]]) -> None:
        assert method == "events.add_batch"
        self._answer()
        self.events += lines

    def edit_runtime(self, task_id: str, values: Dict[str, Any]) -> None:
        self._answer()
        self.runtime.append(values)

    def _answer(self) -> None:
        self.asked.set()
        assert self.answers.wait(PATIENCE_SECONDS)
        if self.fails:
            raise self.fails.pop()

    def close(self) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(clearml_live, "REPORT_SECONDS", 0.01)
    return Server()


def reports_to(server: Any) -> Reports:
    return Reports(server, "t" * 32)


def test_a_server_that_does_not_answer_holds_nothing_up(server: Server, tmp_path: Path) -> None:
    server.answers.clear()
    reports = reports_to(server)
    live = Live(reports, tmp_path / "output.log", io.StringIO())
    for done in range(1, 100):
        live.moment(Moment(float(done), "steady", done=done, total=100, rss_bytes=1))  # returns at once
    assert server.asked.wait(PATIENCE_SECONDS)
    assert server.runtime == []
    server.answers.set()
    live.end(completed=True)
    left = reports.end()
    assert server.runtime[-1] == {"progress": "100"}
    assert len(server.runtime) <= 3  # what was overtaken meanwhile was not sent
    assert [event["iter"] for event in server.events + left] == list(range(1, 100))
    assert reports.end() == []


def test_what_a_server_that_is_away_was_not_told_it_is_told_later(server: Server, tmp_path: Path) -> None:
    server.fails = [Unreachable("away")]
    reports = reports_to(server)
    reports.scalar("Loss", "loss", 0.5, 3)
    until(lambda: bool(server.events), "the scalar")
    (event,) = server.events + reports.end()
    assert (event["metric"], event["variant"], event["value"], event["iter"]) == ("Loss", "loss", 0.5, 3)


def test_only_so_much_waits_for_a_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearml_live, "MOST_WAITING", 5)
    monkeypatch.setattr(clearml_live, "REPORT_SECONDS", PATIENCE_SECONDS)
    reports = reports_to(server)
    for step in range(9):
        reports.scalar("Loss", "loss", 1.0, step)
    assert [event["iter"] for event in reports.end()] == [4, 5, 6, 7, 8]


def test_scalars_have_units_and_sensible_iterations(server: Server, tmp_path: Path) -> None:
    reports = reports_to(server)
    live = Live(reports, tmp_path / "output.log", io.StringIO())
    moment = Moment(7.9, "steady", 30, 60, "steps", 0.5, 0.002, 28, 150.0, 2_000_000, {1: (3_000_000, 40.0)})
    live.moment(moment)
    live.moment(moment)  # loss and step time stand still: told once
    live.end(completed=False)
    left = reports.end()
    scalars = [(e["metric"], e["variant"], e["value"], e["iter"]) for e in server.events + left]
    assert sorted(set(scalars)) == [
        ("CPU (% of a core)", "run", 150.0, 7),
        ("GPU memory (MB)", "GPU 1", 3.0, 7),
        ("GPU utilisation (%)", "GPU 1", 40.0, 7),
        ("Loss", "loss", 0.5, 30),
        ("RAM (MB)", "run", 2.0, 7),
        ("Step time (ms)", "mean", 2.0, 28),
    ]
    assert len([scalar for scalar in scalars if scalar[0] in ("Loss", "Step time (ms)")]) == 2
    assert server.runtime[-1] == {"progress": "50"}


def test_output_is_printed_as_it_comes_and_a_flood_is_cut(server: Server, tmp_path: Path) -> None:
    log, out = tmp_path / "output.log", io.StringIO()
    live = Live(reports_to(server), log, out)
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


def test_metrics_are_scalars_by_their_own_steps_each_point_once(server: Server, tmp_path: Path) -> None:
    reports = reports_to(server)
    live = Live(reports, tmp_path / "output.log", io.StringIO())
    first = {"loss/training": Point(3, 1.0, 0.5, 0.25), "reward": Point(3, 1.0, 0.5, None)}
    for metrics in (
        first,
        first,
        {"loss/training": Point(4, 2.0, 1.0, 0.125), "reward": Point(4, 2.0, 1.0, 7)},
    ):
        live.moment(Moment(1.0, "steady", metrics=metrics))
    live.metric("reward", 4, 7)
    live.end(completed=True)
    left = reports.end()
    assert sorted((e["metric"], e["variant"], e["iter"], e["value"]) for e in server.events + left) == [
        ("loss", "training", 3, 0.25),
        ("loss", "training", 4, 0.125),
        ("reward", "reward", 4, 7),
    ]
