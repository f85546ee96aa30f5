"""That a task which is ended on its server is told so, and its agent waits for what it leaves."""

from __future__ import annotations

import signal
import threading
from typing import Any, Dict, List, Tuple

import pytest

from stackyard_task import aborts
from stackyard_task.api import Refused, Unreachable
from tests.waiting import PATIENCE_SECONDS, until


class Server:
    """Stands for a server that is away at first, and then says what it is told to."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.told: List[Tuple[str, Dict[str, Any]]] = []
        self.refusals: List[Exception] = []

    def another(self, patience_seconds: float) -> Server:
        assert patience_seconds == 0.0  # the next look is soon enough
        return self

    def call(self, method: str, **_: Any) -> Dict[str, Any]:
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return {"tasks": said}

    def edit_runtime(self, task_id: str, values: Dict[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.told.append((task_id, values))

    def close(self) -> None: ...


def test_an_abort_ends_this_process_as_sigterm_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aborts, "WATCH_SECONDS", 0.0)
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    runs = {"status": "in_progress", "status_message": ""}
    stopping = {"status": "in_progress", "status_message": "stopping"}
    watch = aborts.Watch(Server(Unreachable("away"), [runs], [stopping]), "t")  # type: ignore[arg-type]
    try:
        watch.start()
        assert came.wait(PATIENCE_SECONDS)
    finally:
        watch.stop()
        signal.signal(signal.SIGTERM, before)
    assert watch.why == "the task was aborted"


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (None, "the task was deleted"),
        ({"status": "stopped"}, "the task was aborted"),
        ({"status": "created"}, "the task was reset"),
        ({"status": "queued"}, "the task was set to queued"),
        ({"status": "in_progress", "status_message": None}, None),
    ],
)
def test_why_a_task_is_over_is_a_sentence(task: Any, why: Any) -> None:
    assert aborts.why_over(task) == why


def test_the_agent_waits_until_it_is_told_not_to() -> None:
    server: Any = Server()
    aborts.expect(server, "t", 30.0)
    aborts.is_over(server, "t")
    (_, first), (_, last) = server.told
    assert float(first["_abort_callback_timeout"]) == 30.0
    assert (first["_abort_callback_completed"], last["_abort_callback_completed"]) == ("", "1")


def test_what_is_to_be_noted_is_noted_soon_and_a_server_that_is_away_is_asked_again() -> None:
    server = Server(*[[{"status": "in_progress"}]] * 1000)
    server.refusals = [Unreachable("away"), Refused("not that")]
    watch = aborts.Watch(server, "t")  # type: ignore[arg-type]
    watch.start()
    watch.note({"a": 1})
    until(lambda: len(server.refusals) < 2, "the first try")
    watch.note({})
    watch.note({"b": 2})
    until(lambda: server.told, "the second note")
    watch.stop()
    assert server.told == [("t", {"b": 2})], "what is refused is left"
