"""What becomes of a running task that gives no sign of life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackyard_server.rules.vanished import REASON, Silent, Verdict, check_seconds, shown, verdict

MINUTE = 60_000
SILENT = Silent("t", last_sign=0, worker="w:0", status_message="", has_queue=True, losses=0)


def at(
    minutes: int, task: Silent = SILENT, requeue_limit: int = 0, listening_since: int = 0
) -> Verdict | None:
    return verdict(task, minutes * MINUTE, listening_since, 10 * MINUTE, requeue_limit)


def test_it_is_left_alone_until_the_time_is_over() -> None:
    assert at(10) is None
    assert at(11) is not None


def test_it_is_stopped_with_words_that_blame_the_infrastructure() -> None:
    found = at(125)
    assert found is not None
    assert (found.status, found.reason) == ("stopped", REASON)
    assert "Infrastructure" in found.reason
    assert "not the task's code" in found.reason
    assert "w:0" in found.message
    assert "2 h 5 min" in found.message


def test_it_goes_back_to_its_queue_as_often_as_allowed() -> None:
    outcomes = [at(11, replace(SILENT, losses=n), requeue_limit=2) for n in range(3)]
    assert [o and o.status for o in outcomes] == ["queued", "queued", "stopped"]
    assert outcomes[1] is not None
    assert "(2 of 2)" in outcomes[1].reason


@pytest.mark.parametrize(
    "task",
    [replace(SILENT, has_queue=False), replace(SILENT, status_message="stopping")],
    ids=["no queue", "aborted"],
)
def test_without_a_queue_or_when_somebody_stops_it_it_does_not_go_back(task: Silent) -> None:
    found = at(11, task, requeue_limit=5)
    assert found is not None
    assert found.status == "stopped"


def test_silence_while_the_server_could_not_hear_does_not_count() -> None:
    assert at(100, listening_since=95 * MINUTE) is None
    assert at(106, listening_since=95 * MINUTE) is not None


def test_how_often_it_looks_follows_the_allowed_silence() -> None:
    assert [check_seconds(m) for m in (0.01, 1.0, 120.0)] == [0.5, 5.0, 60.0]


def test_lengths_of_time_in_words() -> None:
    assert [shown(s * 1000) for s in (7, 60, 61, 3600, 7500)] == [
        "7 s",
        "1 min",
        "1 min 1 s",
        "1 h",
        "2 h 5 min",
    ]
