"""``store.logs``: many lines that were removed are found no more at once, and go some at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard_server.store import Store, Transaction, logs


def write(store: Store, owner: str, texts: list[str], at: int = 1) -> None:
    with store.writing() as tx:
        logs.store_lines(tx, [(owner, at + n, at, "w", "info", text, "{}") for n, text in enumerate(texts)])


def texts(rows: list[tuple[Any, ...]]) -> list[str]:
    return [row[4] for row in rows]


def everything(tx: Transaction, owner: str) -> list[list[str]]:
    """What each way of reading a task's lines finds."""
    return [
        texts(logs.read(tx, owner, 100, descending=False)),
        texts(logs.from_place(tx, owner, logs.START, 100)[0]),
    ]


def test_many_lines_are_removed_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "AT_ONCE", 10)
    monkeypatch.setattr(logs, "STEP_SECONDS", 0.0)
    store = Store(tmp_path / "data")
    write(store, "o", [f"old {n}" for n in range(35)])
    write(store, "other", ["kept"])
    with store.writing() as tx:
        logs.delete_for(tx, ["o", "nobody's"])
        assert everything(tx, "o") == [[], []]
        assert (logs.count(tx, "o"), logs.pairs(tx, ["o"])) == (0, [])
    write(store, "o", ["new"], at=1_000)
    with store.writing() as tx:
        steps = 0
        while logs.has_gone(tx):
            before = tx.value("SELECT count(*) FROM log")
            logs.clear_gone(tx)
            assert before - tx.value("SELECT count(*) FROM log") <= 11
            assert everything(tx, "o") == [["new"], ["new"]]
            steps += 1
        assert steps == 4
        assert tx.all("SELECT msg FROM log ORDER BY number") == [("kept",), ("new",)]
    store.close()


def test_a_line_that_comes_while_the_last_ones_go_is_not_taken_for_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "AT_ONCE", 10)
    monkeypatch.setattr(logs, "STEP_SECONDS", 0.0)
    store = Store(tmp_path / "data")
    write(store, "o", [f"old {n}" for n in range(25)])
    with store.writing() as tx:
        logs.delete_for(tx, ["o"])
    for step in range(3):
        with store.writing() as tx:
            logs.clear_gone(tx)
        write(store, "o", [f"new {step}"], at=1_000 + step)
    with store.reading() as tx:
        assert everything(tx, "o") == [[f"new {step}" for step in range(3)]] * 2
        assert not logs.has_gone(tx)
        assert logs.count(tx, "o") == 3
    store.close()


def test_few_lines_go_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    write(store, "o", ["a", "b"])
    with store.writing() as tx:
        logs.delete_for(tx, ["o"])
        assert not logs.has_gone(tx)
        assert tx.value("SELECT count(*) FROM log") == 0
    store.close()
