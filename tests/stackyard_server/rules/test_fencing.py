"""Which writes pass a task's fence: the table of sessions, headers and worker ids of real agents' runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackyard_server import endpoints
from stackyard_server.rules.fencing import Fence, Write, names_of, refusal


def write(
    call: str, session: str, issued_at: int, header: str = "", worker: str = "", by_browser: bool = False
) -> Write:
    """What a call tries, as its endpoint declares it."""
    entry = endpoints.load()[call][0]
    return Write(entry.fenced == "run", session, issued_at, header, worker, by_browser)


#: Queued again at second 1000; since then pulled by the daemon of worker "new:0", whose host is "new".
FENCE = Fence(
    since=1_000_500,
    puller="new-daemon",
    header="new",
    workers=frozenset({"new:0"}),
    former=frozenset({"old", "old:0"}),
    refused_sessions=frozenset({"old-daemon", "old-child", "old-script"}),
)
WAITING = replace(FENCE, puller="", header="", workers=frozenset())


@pytest.mark.parametrize(
    ("call", "session", "issued_at", "header", "worker"),
    [
        ("tasks.started", "new-daemon", 10, "new", ""),
        ("events.add_batch", "new-daemon", 10, "new", "new:0"),
        ("workers.status_report", "new-daemon", 10, "new", "new:0"),
        ("tasks.started", "new-child", 1002, "new", ""),
        ("events.add_batch", "new-script", 1003, "new", ""),
        # a container has a host name of its own, and an agent's pod a longer worker id
        ("events.add_batch", "new-script", 1003, "4fe3a91c", ""),
        ("events.add_batch", "new-pod", 1003, "4fe3a91c", "new:0:0123"),
        # a daemon's session for console lines lasts from run to run
        ("events.add_batch", "new-lines", 10, "new", "new:0"),
        # people and controllers, on whichever machine, signed in before
        ("tasks.stop", "someone", 10, "old", ""),
        ("tasks.stopped", "someone", 10, "laptop", ""),
        ("tasks.edit", "someone", 10, "laptop", ""),
        ("tasks.reset", "someone", 10, "laptop", ""),
    ],
)
def test_the_present_run_and_people_pass(
    call: str, session: str, issued_at: int, header: str, worker: str
) -> None:
    assert refusal(FENCE, write(call, session, issued_at, header, worker)) is None


@pytest.mark.parametrize(
    ("call", "session", "issued_at", "header", "worker", "why"),
    [
        ("tasks.completed", "old-daemon", 10, "old", "", "session ran the task"),
        ("events.add_batch", "old-daemon", 10, "old", "old:0", "session ran the task"),
        ("tasks.edit", "old-script", 20, "old", "", "session ran the task"),
        ("tasks.dequeue", "old-child", 20, "old", "", "session ran the task"),
        # it signed in again since: its worker tells
        ("events.add_batch", "fresh", 1003, "old", "", "worker old ran the task"),
        ("tasks.completed", "fresh", 1003, "old", "", "worker old ran the task"),
        ("events.add_batch", "fresh", 1003, "new", "old:0", "worker old:0 is not the one"),
        ("workers.status_report", "fresh", 1003, "third", "third:0", "worker third:0 is not the one"),
        # a part of the old run that never started it
        ("tasks.add_or_update_artifacts", "old-helper", 30, "4fe3a91c", "", "older than the queueing"),
    ],
)
@pytest.mark.promise("fence-refuses-the-old-run")
def test_what_belongs_to_an_earlier_run_is_refused(
    call: str, session: str, issued_at: int, header: str, worker: str, why: str
) -> None:
    assert why in (refusal(FENCE, write(call, session, issued_at, header, worker)) or "passed")


def test_while_it_waits_the_earlier_run_is_refused_already() -> None:
    assert refusal(WAITING, write("events.add_batch", "old-daemon", 10, "old", "old:0"))
    assert refusal(WAITING, write("tasks.started", "fresh", 1003, "old", "old:0"))
    assert refusal(WAITING, write("tasks.started", "a-script-by-hand", 1003, "laptop", "")) is None


def test_a_pull_by_the_same_worker_lets_its_new_run_in_and_keeps_its_old_one_out() -> None:
    again = replace(
        FENCE,
        puller="old-daemon",
        header="old",
        workers=frozenset({"old:0"}),
        refused_sessions=frozenset({"old-child", "old-script"}),
    )
    assert refusal(again, write("events.add_batch", "old-daemon", 10, "old", "old:0")) is None
    assert refusal(again, write("tasks.started", "next-child", 1004, "old", "")) is None
    assert refusal(again, write("events.add_batch", "old-script", 20, "old", ""))
    assert refusal(again, write("events.add_batch", "old-helper", 20, "old", ""))


def test_a_browser_is_a_person() -> None:
    assert refusal(FENCE, write("tasks.started", "old-script", 20, "", "", by_browser=True)) is None


def test_agents_of_one_machine_are_told_apart_by_their_ids() -> None:
    beside = replace(
        FENCE, header="host", workers=frozenset({"host:1"}), former=frozenset({"host", "host:0"})
    )
    assert refusal(beside, write("events.add_batch", "fresh", 1003, "host", "host:1")) is None
    assert refusal(beside, write("events.add_batch", "fresh", 1003, "host", "host:0"))


def test_a_worker_id_begins_with_its_names() -> None:
    assert names_of(["host:gpu:0", ""]) == {"host:gpu:0", "host:gpu", "host"}
