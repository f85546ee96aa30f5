"""What becomes of a task that runs longer than it may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackyard_server.rules.time_limits import Running, verdict

SECOND = 1000
TASK = Running(
    "t", started=0, status_message="", status_changed=0, own_limit_seconds=None, queue_limit_seconds=600,
    queue_name="gpu",
)  # fmt: skip
GRACE = 60.0


def at(seconds: int, task: Running = TASK) -> str | None:
    found = verdict(task, seconds * SECOND, GRACE)
    return found.action if found else None


def test_without_a_limit_it_may_run_for_ever() -> None:
    assert at(10**9, replace(TASK, queue_limit_seconds=None)) is None


def test_it_is_asked_a_grace_after_its_limit_and_failed_a_grace_after_that() -> None:
    assert at(660) is None
    assert at(661) == "ask"
    asked = replace(TASK, status_message="stopping", status_changed=661 * SECOND)
    assert at(721, asked) is None
    assert at(722, asked) == "fail"


def test_one_found_late_is_asked_first() -> None:
    assert at(100_000) == "ask"


def test_one_whose_user_asked_it_to_stop_in_vain_fails_at_once() -> None:
    assert at(661, replace(TASK, status_message="stopping", status_changed=5 * SECOND)) == "fail"


@pytest.mark.parametrize(
    ("own", "whose"), [(30.0, "its own limit is 30 s"), (9000.0, "queue gpu's limit is 10 min")]
)
def test_the_tighter_limit_counts_and_is_named(own: float, whose: str) -> None:
    found = verdict(replace(TASK, own_limit_seconds=own), 700 * SECOND, GRACE)
    assert found is not None
    assert found.reason == f"time_limit: ran 11 min 40 s, {whose}"
