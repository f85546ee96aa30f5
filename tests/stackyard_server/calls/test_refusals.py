"""``calls.refusals``: what the store refuses reaches clients in ClearML's words, whichever noun refused it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from stackyard_server.calls import bulk, refusals
from stackyard_server.listing import filters
from stackyard_server.protocol import bounds
from stackyard_server.protocol.error_table import ApiError
from stackyard_server.rules import project_names
from stackyard_server.store import Largest, Reading, Transaction, projects, queues
from stackyard_server.store import refusals as stored
from stackyard_server.store.documents import TASK

WHO = SimpleNamespace(user="u1", company="c1")


def queued_twice(tx: Transaction) -> None:
    queue = queues.default(tx) or ""
    queues.add(tx, queue, "t1", 0)
    queues.add(tx, queue, "t1", 0)


def taken(tx: Transaction) -> None:
    projects.create(tx, WHO, "first", 0)
    second = projects.create(tx, WHO, "second", 0)
    projects.relocate(tx, second, None, "first")


def deep(tx: Transaction) -> None:
    deepest = "/".join("abcdefghij"[: project_names.MAX_DEPTH - 1]) + "/last"
    projects.create(tx, WHO, deepest, 0)
    top = projects.create(tx, WHO, "top", 0)
    above = projects.require(tx, top)
    projects.relocate(tx, projects.find(tx, "a") or "", above, "a")


def ended(tx: Transaction) -> None:
    reading = Reading()
    reading.end()
    Transaction(tx.connection, tx.fenced, reading).value("SELECT 1")


def weighty(tx: Transaction) -> None:
    limited = Transaction(tx.connection, tx.fenced, Reading(most_bytes=10))
    limited.weighed("SELECT 'eleven bytes'", (), lambda row: len(row[0]))


def grown(tx: Transaction) -> None:
    largest = Largest(100_000, 10, 10, bounds.has_more)
    bounded = Transaction(tx.connection, tx.fenced, largest=largest)
    TASK.insert(bounded, {"id": "t2", "comment": "x" * 100_001})


REFUSED: dict[type[stored.Refusal], tuple[Callable[[Transaction], object], int, str]] = {
    stored.ReadEnded: (ended, 12, "took too long"),
    stored.AnswerTooLarge: (weighty, 12, "bytes=10"),
    stored.DocumentTooLarge: (grown, 12, "bytes=100000, values=10"),
    stored.BadPattern: (lambda tx: filters.asked(TASK, {"name": "("}, {}), 21, "subpattern"),
    stored.UnknownProject: (lambda tx: projects.require(tx, "nobody"), 401, "id=nobody"),
    stored.ProjectExists: (taken, 801, "name=first"),
    stored.ProjectTooDeep: (deep, 409, "max_depth=10"),
    stored.UnknownQueue: (lambda tx: queues.find(tx, "nowhere"), 701, "id=nowhere, company="),
    stored.QueueNameTaken: (lambda tx: queues.create(tx, WHO, "default", 0), 801, "unique field"),
    stored.QueueNameTooShort: (lambda tx: queues.create(tx, WHO, "q", 0), 800, "too short"),
    stored.AlreadyQueued: (queued_twice, 706, "task=t1"),
    stored.NotQueued: (
        lambda tx: queues.move(tx, queues.default(tx) or "", "t9", 1, towards_head=True), 703, "task=t9",
    ),
}  # fmt: skip


def test_every_refusal_has_its_case() -> None:
    assert set(REFUSED) == set(stored.Refusal.__subclasses__())


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_a_refusal_is_told_in_the_words_of_the_api(tx: Transaction, kind: type[stored.Refusal]) -> None:
    ask, subcode, words = REFUSED[kind]
    with pytest.raises(kind) as refused, tx.savepoint():
        ask(tx)
    told = refusals.api_error(refused.value)
    assert (told.code, told.subcode) == (400, subcode)
    assert words in told.message


def test_inside_a_call_the_refusal_is_the_answer(tx: Transaction) -> None:
    with pytest.raises(ApiError, match="Invalid project id: id=nobody"), refusals.told():
        projects.require(tx, "nobody")


def test_one_id_that_is_refused_fails_alone(tx: Transaction) -> None:
    known = projects.create(tx, WHO, "known", 0)
    answer = bulk.apply(tx, [known, "nobody"], lambda id: {"name": projects.require(tx, id)["name"]})
    assert answer["succeeded"] == [{"id": known, "name": "known"}]
    assert [(item["id"], item["error"]["codes"]) for item in answer["failed"]] == [("nobody", [400, 401])]
