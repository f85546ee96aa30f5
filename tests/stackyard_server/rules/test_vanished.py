"""What becomes of a running task that gives no sign of life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackyard_server.rules.vanished import (
    REASON,
    Silent,
    Verdict,
    check_seconds,
    shown,
    verdict,
    wait_seconds,
)

MINUTE = 60_000
SILENT = Silent(
    "t",
    last_sign=0,
    worker="w:0",
    status_message="",
    has_queue=True,
    losses=0,
    allowed=10 * MINUTE,
    retries=0,
)


def at(minutes: int, task: Silent = SILENT, retries: int = 0, listening_since: int = 0) -> Verdict | None:
    return verdict(replace(task, retries=retries), minutes * MINUTE, listening_since)


def test_it_is_left_alone_until_the_time_is_over() -> None:
    assert at(10) is None
    assert at(11) is not None


def test_it_fails_with_words_that_blame_the_infrastructure() -> None:
    found = at(125)
    assert found is not None
    assert found.status == "failed"
    assert found.reason.split()[0] == "infrastructure:"
    assert found.reason.startswith(REASON)
    assert "w:0" in found.message
    assert "2 h 5 min" in found.message


def test_it_is_tried_again_as_often_as_allowed_and_later_each_time() -> None:
    outcomes = [at(11, replace(SILENT, losses=n), retries=2) for n in range(3)]
    found = [(o.status, o.wait_seconds, o.losses) for o in outcomes if o]
    assert found == [("queued", 10, 1), ("queued", 20, 2), ("failed", 0, 0)]
    assert outcomes[1] is not None
    assert "(2 of 2)" in outcomes[1].reason
    assert outcomes[2] is not None
    assert "tried again 2 of 2 times" in outcomes[2].reason


def test_waits_double_up_to_a_bound() -> None:
    assert [wait_seconds(n) for n in (0, 1, 2, 5, 6, 7, 10_000)] == [10, 20, 40, 320, 640, 640, 640]


def test_a_hand_out_lost_before_the_start_does_not_count() -> None:
    task = replace(SILENT, was_started=False, losses=2)
    found = at(11, task, retries=2)
    assert found is not None
    assert (found.status, found.losses, found.wait_seconds) == ("queued", 2, 10)
    assert found.reason.startswith(REASON)


@pytest.mark.parametrize(
    "task",
    [replace(SILENT, has_queue=False), replace(SILENT, status_message="stopping")],
    ids=["no queue", "aborted"],
)
def test_without_a_queue_or_when_somebody_stops_it_it_does_not_go_back(task: Silent) -> None:
    found = at(11, task, retries=5)
    assert found is not None
    assert found.status == "stopped"
    assert found.reason.startswith(REASON)


def test_silence_while_the_server_could_not_hear_does_not_count() -> None:
    assert at(100, listening_since=95 * MINUTE) is None
    assert at(106, listening_since=95 * MINUTE) is not None


def test_how_often_it_looks_follows_the_allowed_silence() -> None:
    assert [check_seconds(s) for s in (0.6, 24.0, 7200.0)] == [0.5, 2.0, 5.0]


def test_lengths_of_time_in_words() -> None:
    assert [shown(s * 1000) for s in (7, 60, 61, 3600, 7500)] == [
        "7 s",
        "1 min",
        "1 min 1 s",
        "1 h",
        "2 h 5 min",
    ]
