"""What becomes of lost tasks and of those beyond their time, in words and bounds."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.services.loss import Verdict, abandoned, ended_with_agent, over_time, verdict
from stackyard.services.site import QueueRule
from stackyard.services.watch import Task, Worker, epoch

RULE = QueueRule("cpu", time_limit_seconds=90.0, retries=2)
WHY = "the agent was killed by signal 9"


def task(**changes: Any) -> Task:
    given: dict[str, Any] = {
        "id": "t",
        "name": "a task",
        "status": "in_progress",
        "worker": "host:cpu-0",
        "queue": "q",
        "started": 100.0,
        "changed": 100.0,
        "message": "",
        "reason": "",
        "runtime": {},
    }
    return Task(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "status", "words", "wait"),
    [
        (
            {},
            "queued",
            "infrastructure: the agent was killed by signal 9; queued again (1 of 2), in 10 s",
            10,
        ),
        ({"runtime": {"stackyard_retries": 1}}, "queued", "queued again (2 of 2), in 20 s", 20),
        ({"runtime": {"stackyard_retries": 2}}, "failed", "tried again 2 of 2 times", 0),
        ({"runtime": {"stackyard_retries": "x"}}, "queued", "(1 of 2)", 10),
        ({"queue": None}, "failed", "no queue to try it again from", 0),
        ({"message": "stopping"}, "stopped", "while the task was asked to stop", 0),
        ({"message": "stopping", "reason": "time_limit: ran 5 s"}, "failed", "time_limit: ran 5 s", 0),
    ],
)
def test_verdicts(changes: dict[str, Any], status: str, words: str, wait: int) -> None:
    found = verdict(task(**changes), RULE, WHY)
    assert (found.status, found.wait_seconds) == (status, wait)
    assert words in found.reason


def test_a_queue_without_a_rule_has_the_servers_bound() -> None:
    assert verdict(task(runtime={"stackyard_retries": 2}), None, WHY).status == "failed"
    assert verdict(task(), QueueRule("cpu", retries=0), WHY) == Verdict(
        "failed", f"infrastructure: {WHY}; tried again 0 of 0 times"
    )


def test_time_limits() -> None:
    assert over_time(task(), RULE, 90.0) is None
    assert over_time(task(), RULE, 95.4) == "time_limit: ran 1 min 35 s, queue cpu's limit is 1 min 30 s"
    assert over_time(task(), QueueRule("cpu"), 1e9) is None
    assert over_time(task(), None, 1e9) is None


def test_only_an_agents_own_abort_counts_as_its_end() -> None:
    stopped = {"status": "stopped", "changed": 200.0}
    assert ended_with_agent(task(), 0.0)
    assert ended_with_agent(task(**stopped), 199.0)
    assert ended_with_agent(task(**stopped, reason="user abort"), 199.0)
    assert not ended_with_agent(task(**stopped), 201.0), "it was stopped before"
    assert not ended_with_agent(task(**stopped, reason="task was stopped by tasks.stop"), 199.0)
    assert not ended_with_agent(task(status="completed"), 0.0)


def test_instants_are_read_with_and_without_a_zone() -> None:
    assert epoch("1970-01-01T00:01:00+00:00") == epoch("1970-01-01T00:01:00") == 60.0
    assert epoch(None) is None
    assert epoch("soon") is None


@pytest.mark.parametrize(
    ("worker", "changes", "found"),
    [
        (Worker(200.0, "t"), {}, False),
        (Worker(200.0, None), {}, True),
        (Worker(200.0, "another"), {}, True),
        (Worker(104.0, None), {}, False),  # sent while the task was taken, perhaps
        (Worker(None, None), {}, False),
        (None, {}, False),
        (Worker(200.0, None), {"claimed": 50.0}, False),  # run again by hand: the claim is of another run
        (Worker(200.0, None), {"claimed": None}, False),
        (Worker(200.0, None), {"claimed": 50.0, "message": "stopping"}, True),
    ],
)
def test_a_task_is_abandoned_where_its_agent_reports_something_else(
    worker: Worker | None, changes: dict[str, Any], found: bool
) -> None:
    assert abandoned(task(**{"claimed": 101.0, **changes}), worker) is found
