"""The status machine, as the measured table says it."""

from __future__ import annotations

import pytest

from stackyard_server.rules import task_status

#: Every step that goes through without force, besides staying where one is.
TABLE = {
    "created": "queued in_progress",
    "queued": "created in_progress stopped",
    "in_progress": "stopped failed created completed",
    "stopped": "closed created failed queued in_progress published publishing completed",
    "closed": "created failed published publishing stopped",
    "failed": "created stopped published queued",
    "completed": "published in_progress created",
    "publishing": "published",
    "published": "",
}


@pytest.mark.parametrize("current", TABLE)
def test_the_steps_are_those_of_the_table_and_no_others(current: str) -> None:
    allowed = {new for new in task_status.STATUSES if new != current and task_status.may_change(current, new)}
    assert allowed == set(TABLE[current].split())


def test_staying_is_a_step_but_publishing_twice_is_not() -> None:
    staying = {s for s in TABLE if task_status.may_change(s, s)}
    assert staying == set(TABLE) - {"published"}


@pytest.mark.parametrize(
    ("enqueued_from", "after"), [("stopped", "stopped"), (None, "created"), ("queued", "created")]
)
def test_a_task_that_leaves_its_queue_is_what_it_was_before(enqueued_from: str | None, after: str) -> None:
    assert task_status.status_after_queue(enqueued_from) == after


def test_a_worker_runs_its_task_until_it_was_silent_for_ten_minutes() -> None:
    assert task_status.is_run_by_worker("w", 1_000, 600_999)
    assert not task_status.is_run_by_worker("w", 1_000, 601_000)
    assert not task_status.is_run_by_worker(None, 1_000, 1_000)
    assert not task_status.is_run_by_worker("w", None, 1_000)
