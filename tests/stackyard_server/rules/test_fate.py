"""What becomes of tasks that were lost or run too long: the decision as tables, in words and bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackyard_server.rules import fate
from stackyard_server.rules.fate import End, Fate, Lost, Running, Silent

LOST = Lost(status_message="", status_reason="", has_queue=True, tries=0, retries=2)
KILLED = "infrastructure: the agent was killed by signal 9"
STOPPING: dict[str, Any] = {"status_message": "stopping"}
OVER = "time_limit: ran 5 s, queue cpu's limit is 1 s"


@pytest.mark.parametrize(
    ("task", "found"),
    [
        (LOST, Fate("queued", f"{KILLED}; queued again (1 of 2), in 10 s", tries=1, wait_seconds=10)),
        (
            replace(LOST, tries=1),
            Fate("queued", f"{KILLED}; queued again (2 of 2), in 20 s", tries=2, wait_seconds=20),
        ),
        (replace(LOST, tries=2), Fate("failed", f"{KILLED}; tried again 2 of 2 times")),
        (replace(LOST, retries=0), Fate("failed", f"{KILLED}; tried again 0 of 0 times")),
        (replace(LOST, has_queue=False), Fate("stopped", f"{KILLED}; no queue to try it again from")),
        (replace(LOST, **STOPPING), Fate("stopped", f"{KILLED} while the task was asked to stop")),
        (replace(LOST, **STOPPING, status_reason=OVER), Fate("failed", OVER)),
        (
            replace(LOST, was_started=False, tries=2),
            Fate(
                "queued",
                f"{KILLED} before it started the task; queued again, in 10 s",
                tries=2,
                wait_seconds=10,
            ),
        ),
        (replace(LOST, is_archived=True), Fate("stopped", f"{KILLED}; archived, so not tried again")),
        (
            replace(LOST, is_archived=True, was_started=False),
            Fate("stopped", f"{KILLED}; archived, so not tried again"),
        ),
    ],
    ids=[
        *("first", "second", "too often", "never", "no queue", "aborted", "over time", "not started"),
        *("archived", "archived and not started"),
    ],
)
@pytest.mark.promise("stopped-instead")
def test_a_lost_task(task: Lost, found: Fate) -> None:
    assert fate.reported(task, End.AGENT_KILLED, 9) == found


@pytest.mark.parametrize(
    ("end", "number", "status", "begins"),
    [
        (End.AGENT_KILLED, 9, "queued", "infrastructure: the agent was killed by signal 9;"),
        (End.AGENT_KILLED, None, "queued", "infrastructure: the agent was killed by signal (unknown);"),
        (End.AGENT_EXITED, 1, "queued", "infrastructure: the agent ended with status 1;"),
        (End.AGENT_LEFT, None, "queued", "infrastructure: its agent goes on without it;"),
        (End.SERVICES_ENDED, None, "queued", "infrastructure: the services of its machine were ended;"),
        (End.SERVICES_DIED, None, "queued", "infrastructure: the services of its machine had died;"),
        (End.JUST_TAKEN, None, "queued", "its agent was ended when it had only just taken it; queued again"),
        (End.ABORTED, None, "stopped", "aborted by stackyard down"),
    ],
)
def test_every_end_has_its_words(end: End, number: int | None, status: str, begins: str) -> None:
    found = fate.reported(LOST, end, number, started=100_000, asked=101_000)
    assert found.status == status
    assert found.reason.startswith(begins)


def test_every_end_is_in_the_table_above_and_an_exit_status_is_one_of_two() -> None:
    assert {end for end in End if fate.words(end)} == set(End)
    assert [fate.agents_end(status) for status in (-9, 0, 3)] == [
        (End.AGENT_KILLED, 9),
        (End.AGENT_EXITED, 0),
        (End.AGENT_EXITED, 3),
    ]


def test_a_task_that_was_only_just_taken_goes_back_to_the_head_and_keeps_its_count() -> None:
    found = just_taken(replace(LOST, tries=2))
    assert (found.first, found.tries, found.wait_seconds) == (True, 2, 0)
    assert just_taken(replace(LOST, **STOPPING)).status == "stopped", "somebody wants its end"
    assert just_taken(replace(LOST, has_queue=False)).status == "stopped"
    assert just_taken(replace(LOST, is_archived=True)).status == "stopped"


def just_taken(task: Lost, started: int | None = 100_000, asked: int | None = 101_000) -> Fate:
    return fate.reported(task, End.JUST_TAKEN, started=started, asked=asked)


@pytest.mark.parametrize(
    ("started", "asked", "counted"),
    [
        (100_000, 100_000, False),
        (100_000, 99_000, False),  # taken while its agent was on its way out
        (100_000, 100_000 + fate.JUST_MS, False),
        (100_000, 100_001 + fate.JUST_MS, True),  # it ran by then
        (100_000, None, True),  # nobody told the agent to end
        (None, 100_000, True),
    ],
)
def test_only_what_the_instants_bear_out_was_only_just_taken(
    started: int | None, asked: int | None, counted: bool
) -> None:
    """Else whoever reports could have a task tried again without an end."""
    found = just_taken(replace(LOST, tries=1), started, asked)
    assert (found.status, found.tries, found.first) == ("queued", 2 if counted else 1, not counted)
    assert found.reason.startswith("infrastructure: its agent was told to end while it ran;") == counted


def test_an_abort_does_not_hide_that_the_time_was_over() -> None:
    assert fate.reported(replace(LOST, **STOPPING, status_reason=OVER), End.ABORTED) == Fate("failed", OVER)


@pytest.mark.promise("retries-counted")
def test_pauses_grow_up_to_a_bound() -> None:
    asked = (0, 1, 2, 5, 6, 7, 10_000)
    assert [fate.TASK_PAUSES.seconds(n) for n in asked] == [10, 20, 40, 320, 640, 640, 640]
    assert [fate.RUN_PAUSES.seconds(n) for n in asked] == [5, 20, 80, 300, 300, 300, 300]


@pytest.mark.parametrize(
    ("status", "reason", "started", "changed", "ended", "asked", "found"),
    [
        ("in_progress", "", 100_000, 100_000, 200_000, None, True),
        ("in_progress", "", 300_000, 300_000, 200_000, None, False),  # a later run of it
        ("in_progress", "", 200_900, 200_900, 200_000, None, True),  # two clocks
        ("in_progress", "", 300_000, 300_000, None, None, True),  # clocks that cannot be compared
        ("queued", "", 100_000, 150_000, 200_000, None, False),
        ("completed", "", 100_000, 150_000, 200_000, 140_000, False),
        ("stopped", "", 100_000, 150_000, 200_000, None, False),  # nobody asked the agent to end
        ("stopped", "", 100_000, 150_000, 200_000, 140_000, True),
        ("stopped", "user abort", 100_000, 150_000, 200_000, 140_000, True),
        ("stopped", "task was stopped by tasks.stop", 100_000, 150_000, 200_000, 140_000, False),
        ("stopped", "", 100_000, 150_000, 200_000, 160_000, False),  # it was stopped before
    ],
)
def test_what_is_reported_of_an_earlier_run_or_of_one_that_ended_by_itself_does_not_count(
    status: str,
    reason: str,
    started: int,
    changed: int,
    ended: int | None,
    asked: int | None,
    found: bool,
) -> None:
    given = {"started": started, "changed": changed, "ended": ended, "asked": asked}
    assert fate.is_of_this_run(status, reason, **given) is found


@pytest.mark.parametrize(
    ("message", "claimed", "reported", "found"),
    [
        ("", 101_000, 200_000, True),
        ("", 101_000, 104_000, False),  # sent while the task was taken, perhaps
        ("", 101_000, None, False),
        ("", 50_000, 200_000, False),  # run again by hand: the claim is of another run
        ("", None, 200_000, False),
        ("stopping", 50_000, 200_000, True),
    ],
)
def test_an_agent_that_reports_something_else_has_left_its_task(
    message: str, claimed: int | None, reported: int | None, found: bool
) -> None:
    given = {"started": 100_000, "changed": 100_000, "claimed": claimed, "reported": reported}
    assert fate.is_left(message, **given) is found


MINUTE = 60_000
SILENT = Silent("t", replace(LOST, retries=0), last_sign=0, worker="w:0", allowed=10 * MINUTE)


def at(minutes: int, listening_since: int = 0) -> Fate | None:
    return fate.silent(SILENT, minutes * MINUTE, listening_since)


def test_a_silent_task_is_left_alone_until_the_time_is_over() -> None:
    assert at(10) is None
    assert at(11) is not None


@pytest.mark.promise("silence-while-away")
def test_silence_while_the_server_could_not_hear_does_not_count() -> None:
    assert at(100, listening_since=95 * MINUTE) is None
    assert at(106, listening_since=95 * MINUTE) is not None


def test_silence_is_told_with_its_worker_and_its_length() -> None:
    assert at(125) == Fate(
        "failed",
        "infrastructure: worker vanished; tried again 0 of 0 times",
        "No sign of life from worker w:0 for 2 h 5 min. Ended by the watchdog.",
    )
    again = fate.silent(replace(SILENT, task=LOST, worker=None), 11 * MINUTE, 0)
    assert again is not None
    assert again.message == "No sign of life from worker (unknown) for 11 min."


RUNNING = Running(started=0, queue_limit_seconds=600, queue_name="gpu")
OWN = Running(started=0, own_limit_seconds=600)


def ran(seconds: int, task: Running) -> str | None:
    found = fate.over_time(task, seconds * 1000, grace_seconds=60)
    return found.action if found else None


def test_without_a_limit_a_task_may_run_for_ever() -> None:
    assert ran(10**9, Running(started=0)) is None


@pytest.mark.parametrize(("task", "until"), [(RUNNING, 600), (OWN, 660)], ids=["queue", "own"])
def test_a_queues_limit_is_held_at_once_and_its_own_a_grace_after_its_supervisor(
    task: Running, until: int
) -> None:
    assert ran(until, task) is None
    assert ran(until + 1, task) == "ask"
    assert ran(100_000, task) == "ask", "one found late is asked first"
    asked = replace(task, asked=(until + 1) * 1000)
    assert ran(until + 61, asked) is None
    assert ran(until + 62, asked) == "fail"


def test_one_whose_user_asked_it_to_stop_in_vain_fails_at_once() -> None:
    assert ran(661, replace(RUNNING, asked=5_000)) == "fail"


@pytest.mark.parametrize(
    ("own", "whose"), [(30.0, "its own limit is 30 s"), (9000.0, "queue gpu's limit is 10 min")]
)
def test_the_tighter_limit_counts_and_is_named(own: float, whose: str) -> None:
    found = fate.over_time(replace(RUNNING, own_limit_seconds=own), 700_000)
    assert found is not None
    assert (found.reason, found.message) == (f"time_limit: ran 11 min 40 s, {whose}", "stopping")


@pytest.mark.parametrize(
    ("status", "said", "held_status", "held", "found"),
    [
        ("stopped", "task was stopped by tasks.stop", "in_progress", OVER, ("failed", OVER)),
        ("failed", "worker execution exit code 1", "in_progress", OVER, ("failed", OVER)),
        ("failed", "time_limit: more words", "in_progress", OVER, ("failed", "time_limit: more words")),
        ("completed", None, "in_progress", OVER, ("completed", None)),
        ("stopped", "why", "in_progress", "", ("stopped", "why")),
        ("stopped", "why", "failed", OVER, ("stopped", "why")),
    ],
)
def test_one_that_stops_because_its_time_is_over_has_failed_for_that(
    status: str, said: str | None, held_status: str, held: str, found: tuple[str, str | None]
) -> None:
    assert fate.said_to_end(status, said, held_status=held_status, held=held) == found


def test_what_is_said_right_after_an_end_on_request_is_an_echo() -> None:
    assert fate.is_echo("task was stopped by tasks.stop", 1_000, 10_999)
    assert fate.is_echo(OVER, 1_000, 10_999)
    assert not fate.is_echo(OVER, 1_000, 11_000)
    assert not fate.is_echo("user abort", 1_000, 1_001)
    assert not fate.is_echo(OVER, None, 1_001)


@pytest.mark.parametrize(
    ("value", "count"),
    [(2, 2), ("2", 2), (2.0, 2), ("x", 0), (-1, 0), (True, 0), (None, 0), ([], 0), ("inf", 0)],
)
def test_the_count_is_read_from_the_tasks_runtime_properties(value: object, count: int) -> None:
    assert fate.tries({"stackyard_retries": value, "other": 1}) == count
    assert fate.tries(None) == 0


def test_no_count_is_kept_of_no_try() -> None:
    assert fate.with_tries({"other": 1}, 3) == {"other": 1, "stackyard_retries": 3}
    assert fate.with_tries({"other": 1, "stackyard_retries": 3}, 0) == {"other": 1}


def test_lengths_of_time_in_words() -> None:
    assert [fate.shown(s) for s in (7.9, 60, 61, 3600, 7500)] == [
        "7 s",
        "1 min",
        "1 min 1 s",
        "1 h",
        "2 h 5 min",
    ]
