"""What tasks took that ended: which are counted and shown, and that it is bounded. The server is simulated."""

from __future__ import annotations

import datetime
import json
from typing import Any, cast

import pytest

from stackyard.clearml.client import Client, UnreachableError
from stackyard.services import ended
from stackyard.services.ended import Ended, Kind

BEGAN = 1_700_000_000.0
QUEUES = {"here:cpu": "cpu"}


def instant(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()


def a_task(id: str, ended_at: float, figures: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    values = {n: {"metric": "Summary", "variant": n, "value": v} for n, v in (figures or {}).items()}
    return {
        "id": id,
        "name": f"task {id}",
        "status": "completed",
        "status_changed": instant(ended_at),
        "started": instant(ended_at - 20),
        "last_worker": "here:cpu",
        "script": {"entry_point": "work/train.py"},
        "runtime": {"stackyard_stack": "torch"},
        "last_metrics": {"summary": values} if values else {},
        **more,
    }


class SimulatedServer:
    """Holds tasks; answers as a server does, without a network."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.silent = False
        self.calls = 0

    def call(self, _method: str, **asked: Any) -> dict[str, Any]:
        self.calls += 1
        if self.silent:
            raise UnreachableError("nobody there")
        if "id" in asked:
            return {"tasks": [task for task in self.tasks if task["id"] in asked["id"]]}
        newest = sorted(self.tasks, key=lambda task: str(task["status_changed"]), reverse=True)
        return {"tasks": newest[: asked["page_size"]]}


class Yard:
    """The tasks of one machine, and the time."""

    def __init__(self) -> None:
        self.server, self.now = SimulatedServer(), BEGAN
        client = cast(Client, self.server)
        self.ended = Ended(lambda: client, lambda job: job(), lambda: self.now, lambda: self.now)

    def look(self, later: float = ended.LOOK_SECONDS) -> None:
        self.now += later
        self.ended.look(QUEUES)


@pytest.fixture
def yard() -> Yard:
    return Yard()


def test_a_measured_task_is_counted_once_and_shown_with_what_it_took(yard: Yard) -> None:
    figures = {
        "CPU time (s)": 12.5,
        "peak RAM (MB)": 300.0,
        "GPU 0 peak memory (MB)": 8.0,
        "GPU 1 peak memory (MB)": 4.0,
    }
    yard.server.tasks.append(a_task("a", BEGAN + 1, figures))
    yard.look()
    yard.look()
    (took,) = yard.ended.shown()
    assert (took.id, took.name, took.run_seconds, took.cpu_seconds) == ("a", "task a", 20.0, 12.5)
    assert (took.peak_rss_bytes, took.peak_gpu_bytes) == (300e6, 12e6)
    (sums,) = yard.ended.sums().items()
    assert sums[0] == Kind("cpu", "torch", "train.py", "completed")
    assert (sums[1].tasks, sums[1].run_seconds, sums[1].cpu_seconds) == (1, 20.0, 12.5)
    assert sums[1].buckets == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "20 s is more than 15 and less than 60"


def test_what_was_not_measured_is_not_known_and_is_counted_when_no_record_can_come(yard: Yard) -> None:
    yard.server.tasks.append(a_task("a", BEGAN + 1))
    yard.look()
    assert yard.ended.shown() == [], "its record may be under way"
    yard.look(ended.PATIENCE_SECONDS)
    (took,) = yard.ended.shown()
    assert (took.run_seconds, took.cpu_seconds, took.peak_rss_bytes, took.peak_gpu_bytes) == (
        20.0,
        None,
        None,
        None,
    )
    assert [sums.cpu_seconds for sums in yard.ended.sums().values()] == [None]


def test_tasks_of_before_and_of_other_machines_are_not_counted(yard: Yard) -> None:
    known = {"CPU time (s)": 1.0}
    yard.server.tasks += [
        a_task("before", BEGAN - 500, known),
        a_task("elsewhere", BEGAN + 1, known, last_worker="there:cpu"),
    ]
    yard.look()
    assert [took.id for took in yard.ended.shown()] == ["before"]
    assert yard.ended.sums() == {}


def test_what_stackyard_sent_is_named_after_its_workload(yard: Yard) -> None:
    spec = {"Stackyard": {"value": json.dumps({"workload": "cnn-digits"})}}
    yard.server.tasks.append(a_task("a", BEGAN + 1, {"CPU time (s)": 1.0}, configuration=spec))
    yard.look()
    assert [kind.stage for kind in yard.ended.sums()] == ["cnn-digits"]


def test_however_many_names_there_are_the_kinds_and_the_tasks_shown_are_bounded(yard: Yard) -> None:
    for number in range(2 * ended.PAGE):
        script = {"entry_point": f"a{number}.py"}
        yard.server.tasks.append(
            a_task(f"t{number}", BEGAN + 1 + number, {"CPU time (s)": 1.0}, script=script)
        )
        if number % ended.PAGE == ended.PAGE - 1:
            yard.look()
    sums = yard.ended.sums()
    assert len(sums) == ended.MOST_KINDS + 1
    assert sums[Kind(ended.OTHER, ended.OTHER, ended.OTHER, "completed")].tasks == ended.PAGE
    assert len(yard.ended.shown()) == ended.MOST_SHOWN
    assert yard.ended.shown()[0].id == f"t{2 * ended.PAGE - 1}", "the newest first"


def test_a_server_that_does_not_answer_is_asked_again_and_not_too_often(yard: Yard) -> None:
    yard.server.tasks.append(a_task("a", BEGAN + 1, {"CPU time (s)": 1.0}))
    yard.server.silent = True
    yard.look()
    yard.look(1.0)
    assert yard.server.calls == 1
    yard.server.silent = False
    yard.look()
    assert [took.id for took in yard.ended.shown()] == ["a"]


@pytest.mark.parametrize("value", [-1e9, float("nan"), float("inf"), 10**400, True, "7"])
def test_what_no_measurement_can_be_is_none(value: object) -> None:
    told = {"metric": "Summary", "variant": "CPU time (s)", "value": value}
    found = ended.single_values({"last_metrics": {"a": {"b": told}}})
    assert found in ({}, {"CPU time (s)": 1.0})


def test_odd_documents_and_names_do_no_harm(yard: Yard) -> None:
    odd = a_task("a", BEGAN + 1, name="x\n\x00" * 500, configuration=7, last_metrics={"a": 3}, script=None)
    yard.server.tasks.append({**odd, "hyperparams": None})
    yard.look(ended.PATIENCE_SECONDS * 2)
    (took,) = yard.ended.shown()
    assert took.name.isprintable()
    assert len(took.name) <= 80
    assert took.cpu_seconds is None
