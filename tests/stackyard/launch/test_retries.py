"""Which failures are tried again, how often and when."""

from __future__ import annotations

import pytest

from stackyard.launch.retries import NEVER, RetryPolicy
from stackyard.reports.deployments import INFRASTRUCTURE_KINDS
from stackyard_server.rules.fate import INFRASTRUCTURE, KILLED, TIME_LIMIT, Pauses, is_infrastructure
from stackyard_task.records import FAILURE_KINDS, Failure


def test_only_what_is_not_the_tasks_fault_is_tried_again() -> None:
    assert {kind for kind in FAILURE_KINDS if is_infrastructure(kind)} == {"infrastructure", "killed"}
    assert not is_infrastructure("a kind of a newer version")
    assert {INFRASTRUCTURE, KILLED, TIME_LIMIT} <= set(FAILURE_KINDS), (
        "both sides of the seam use the same words"
    )
    assert set(INFRASTRUCTURE_KINDS) == {INFRASTRUCTURE, KILLED, "interrupted"}, "a report tells them apart"


def test_tries_are_bounded_and_further_apart_each_time() -> None:
    policy = RetryPolicy(retries=4, pauses=Pauses(first_seconds=5, growth=4, longest_seconds=60))
    lost = Failure("infrastructure", "the agent is gone")
    assert [policy.pause_seconds(lost, tries) for tries in range(6)] == [5, 20, 60, 60, None, None]


@pytest.mark.parametrize(
    "failure", [None, Failure("code", "x"), Failure("time_limit", "x"), Failure("interrupted", "x")]
)
def test_what_would_only_repeat_itself_is_final(failure: Failure | None) -> None:
    assert RetryPolicy().pause_seconds(failure, 0) is None


def test_never_is_never() -> None:
    assert NEVER.pause_seconds(Failure("infrastructure", "x"), 0) is None
