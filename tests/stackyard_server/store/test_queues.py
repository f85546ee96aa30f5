"""``store.queues``: depths, and a queue's entries replaced."""

from __future__ import annotations

from types import SimpleNamespace

from stackyard_server.store import Transaction, queues

WHO = SimpleNamespace(user="u1", company="c1")


def test_depths_are_told_by_name(tx: Transaction) -> None:
    later = queues.create(tx, WHO, "work", 0)
    queues.add(tx, later, "t2", 20)
    queues.add(tx, later, "t1", 10)
    assert [(d.name, d.waiting, d.oldest) for d in queues.depths(tx)] == [
        ("default", 0, None),
        ("work", 2, 10),
    ]


def test_entries_that_are_replaced_leave_other_queues(tx: Transaction) -> None:
    first, second = (queues.create(tx, WHO, name, 0) for name in ("first", "second"))
    queues.add(tx, first, "t1", 5)
    queues.add(tx, second, "t9", 5)
    queues.replace_entries(tx, second, [("t2", 7), ("t1", 6)])
    assert [entry.task for entry in queues.entries(tx, second)] == ["t2", "t1"]
    assert {d.name: d.waiting for d in queues.depths(tx)} == {"default": 0, "first": 0, "second": 2}
