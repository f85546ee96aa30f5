"""Lost tasks and time limits beside an official server, which knows neither: decided here, by the server's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stackyard.clearml.client import ServerError
from stackyard.services.files import QueueRule
from stackyard.services.loss import Loss
from stackyard.services.official_fate import AGAIN_SECONDS, Limits, requeue, settle
from stackyard.services.watch import Task, decides_fate, task_of
from stackyard_server.rules import fate
from stackyard_server.rules.fate import End

RULE = QueueRule("cpu", time_limit_seconds=90.0, retries=2)


class Official:
    """One task on a server that does what is asked and decides nothing."""

    def __init__(self, **task: Any) -> None:
        self.task: dict[str, Any] = {
            **{"id": "t", "status": "in_progress", "last_worker": "host:cpu-0", "execution": {"queue": "q"}},
            **{"runtime": {}, "started": "1970-01-01T00:01:40"},
            **task,
        }
        self.asked: list[str] = []
        self.first = False

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        self.asked.append(method)
        name = method.partition(".")[2]
        if name == "info":
            return {"version": "2.3.0"}
        if name == "move_task_to_front":
            self.first = True
        elif name == "edit":
            self.task["runtime"] = fields["runtime"]
        elif name == "enqueue" and self.task["status"] == "in_progress":
            raise ServerError("Invalid status change", 400, 110)
        elif name == "stop":
            self.task |= {"status_message": "stopping", "status_reason": fields["status_reason"]}
        elif name in ("stopped", "failed", "enqueue"):
            status = "queued" if name == "enqueue" else name
            self.task |= {"status": status, "status_reason": fields["status_reason"], "status_message": ""}
        return {"task": self.task, "tasks": [self.task]}

    def seen(self) -> Task:
        return task_of(self.task)

    def lose(
        self,
        end: End,
        number: int | None = None,
        rule: QueueRule | None = RULE,
        asked_at: float | None = None,
    ) -> fate.Fate:
        seen = Loss(self.seen(), end, 0.0, asked_at, number)
        return settle(self, seen, rule)  # type: ignore[arg-type]

    def wait_is_over(self, found: fate.Fate) -> None:
        requeue(self, self.seen(), found)  # type: ignore[arg-type]


def test_an_official_server_does_not_say_that_it_decides() -> None:
    assert not decides_fate(Official())  # type: ignore[arg-type]


def test_a_lost_task_waits_stopped_and_then_in_its_queue_as_often_as_that_allows() -> None:
    server = Official()
    waits = []
    for count in (1, 2):
        server.task["status"] = "in_progress"
        found = server.lose(End.AGENT_KILLED, 9)
        assert server.task["status"] == "stopped"
        assert server.task["status_reason"].startswith(
            "infrastructure: the agent was killed by signal 9; queued"
        )
        waits.append(found.wait_seconds)
        server.wait_is_over(found)
        assert (server.task["status"], server.task["runtime"]["stackyard_retries"]) == ("queued", count)
        assert not server.first
    assert waits == [10, 20]
    server.task["status"] = "in_progress"
    server.wait_is_over(server.lose(End.AGENT_KILLED, 9))
    assert server.task["status"] == "failed"
    assert server.task["status_reason"].endswith("tried again 2 of 2 times")


def test_an_archived_one_is_not_tried_again() -> None:
    server = Official(system_tags=["archived"])
    found = server.lose(End.AGENT_KILLED, 9)
    server.wait_is_over(found)
    assert server.task["status"] == "stopped"
    assert server.task["status_reason"].endswith("; archived, so not tried again")


def test_one_that_somebody_archived_meanwhile_is_left_alone() -> None:
    server = Official()
    found = server.lose(End.AGENT_KILLED, 9)
    server.task["system_tags"] = ["archived"]
    server.wait_is_over(found)
    assert server.task["status"] == "stopped"


def test_one_that_had_run_by_then_was_not_only_just_taken() -> None:
    server = Official()
    found = server.lose(End.JUST_TAKEN, asked_at=161.0)
    assert (found.tries, found.first) == (1, False)


def test_one_that_somebody_took_up_meanwhile_is_left_alone() -> None:
    server = Official()
    found = server.lose(End.AGENT_EXITED, 1)
    server.task["status_reason"] = "stopped by somebody"
    server.wait_is_over(found)
    assert server.task["status"] == "stopped"


def test_one_that_was_only_just_taken_goes_to_the_head_and_is_not_counted() -> None:
    server = Official()
    server.wait_is_over(server.lose(End.JUST_TAKEN, asked_at=101.0))
    assert (server.task["status"], server.task["runtime"], server.first) == ("queued", {}, True)


def test_a_queue_of_nobodys_rule_has_the_usual_bound() -> None:
    server = Official(runtime={"stackyard_retries": fate.USUAL_RETRIES})
    assert server.lose(End.AGENT_LEFT, rule=None).status == "failed"


@pytest.fixture
def limits() -> tuple[Official, Callable[[float], dict[str, Any]]]:
    """A task that began at second 100, and what holding the limit at a later second makes of it."""
    server = Official()
    held = Limits(lambda: server, lambda job: job())  # type: ignore[arg-type, return-value]

    def at(second: float) -> dict[str, Any]:
        running = [server.seen()] if server.task["status"] == "in_progress" else []
        held.hold(running, {"q": RULE}, 100.0 + second)
        return server.task

    return server, at


def test_a_task_beyond_its_queues_limit_is_asked_and_then_failed(
    limits: tuple[Official, Callable[[float], dict[str, Any]]],
) -> None:
    server, at = limits
    assert "status_message" not in at(90.0)
    assert at(95.4)["status_reason"] == "time_limit: ran 1 min 35 s, queue cpu's limit is 1 min 30 s"
    assert at(95.4 + fate.USUAL_GRACE_SECONDS)["status"] == "in_progress"
    assert server.asked == ["tasks.stop"], "asked once, and it heard"
    after = at(95.4 + fate.USUAL_GRACE_SECONDS + 1)
    assert after["status"] == "failed"
    assert after["status_reason"].endswith("it did not stop when asked")


def test_one_whose_agent_writes_over_that_it_was_asked_is_asked_again(
    limits: tuple[Official, Callable[[float], dict[str, Any]]],
) -> None:
    server, at = limits
    at(91.0)
    server.task |= {"status_message": "pulled by agent", "status_reason": ""}
    at(91.0 + AGAIN_SECONDS)
    assert server.asked == ["tasks.stop"]
    assert at(91.0 + AGAIN_SECONDS + 1)["status_message"] == "stopping"


def test_without_a_limit_or_a_rule_a_task_runs_on() -> None:
    server = Official()
    held = Limits(lambda: server, lambda job: job())  # type: ignore[arg-type, return-value]
    held.hold([server.seen()], {"q": QueueRule("cpu")}, 1e9)
    held.hold([server.seen()], {}, 1e9)
    assert server.asked == []
