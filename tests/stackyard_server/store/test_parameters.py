"""``store.parameters``: what lists ask for is taken in, follows what is written, and stays within its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard_server.store import Store, parameters
from stackyard_server.store.documents import TASK
from stackyard_server.store.refusals import ReadEnded


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(parameters, "FROM_TASKS", 3)
    monkeypatch.setattr(parameters, "AT_ONCE", 2)
    made = Store(tmp_path / "data")
    yield made
    made.close()


def hyperparams(**values: Any) -> dict[str, Any]:
    return {"Args": {name: {"value": value} for name, value in values.items()}}


def add(store: Store, id: str, **values: Any) -> None:
    with store.writing() as tx:
        TASK.insert(tx, {"id": id, "hyperparams": hyperparams(**values)})


def path(name: str) -> str:
    return f'$."Args"."{name}"."value"'


def work(store: Store, keeper: parameters.Keeper | None = None) -> int:
    """Steps until nothing is left to do."""
    keeper, count = keeper or parameters.Keeper(store), 0
    while keeper.step():
        count += 1
        assert count < 1000
    return count


def values(store: Store, name: str) -> dict[str, tuple[float | None, Any]] | None:
    """What is kept of a parameter, by task; None where it is not kept whole."""
    with store.reading() as tx:
        number = parameters.find(tx, path(name))
        rows = tx.all(
            "SELECT t.id, v.number, v.value FROM parameter_value v JOIN task t ON t.number=v.task "
            "WHERE parameter=? AND v.value IS NOT NULL",
            (number,),
        )
        return None if number is None else {id: (first, value) for id, first, value in rows}


def test_what_was_asked_for_is_taken_in_and_follows_every_change(store: Store) -> None:
    for id, value in (("a", "0.5"), ("b", "adam"), ("c", 3), ("d", "x" * 500)):
        add(store, id, lr=value)
    assert values(store, "lr") is None
    assert work(store) > 2, "some tasks at a time"
    assert values(store, "lr") == {
        "a": (0.5, "0.5"), "b": (None, "adam"), "c": (3.0, 3), "d": (None, "x" * parameters.KEPT_CHARACTERS)
    }  # fmt: skip
    add(store, "e", lr="-2e3")
    add(store, "f", momentum="1")
    with store.writing() as tx:
        TASK.update(tx, "a", {"hyperparams": hyperparams(lr="0.25")})
        TASK.update(tx, "b", {"hyperparams": None})
        TASK.update(tx, "c", {"name": "another"})
        TASK.delete(tx, ["d"])
    assert values(store, "lr") == {"a": (0.25, "0.25"), "c": (3.0, 3), "e": (-2000.0, "-2e3")}


def test_what_is_written_between_the_steps_is_not_lost(store: Store) -> None:
    for id in "abcdefgh":
        add(store, id, lr="1")
    values(store, "lr")
    keeper = parameters.Keeper(store)
    left = list("abcdefgh")
    done = []
    while keeper.step():
        if left:
            done.append(left.pop())
            with store.writing() as tx:
                TASK.update(tx, done[-1], {"hyperparams": hyperparams(lr="2")})
            add(store, f"new {done[-1]}", lr="3")
    assert done
    expected = {**dict.fromkeys("abcdefgh", (1.0, "1")), **dict.fromkeys(done, (2.0, "2"))}
    assert values(store, "lr") == {**expected, **{f"new {id}": (3.0, "3") for id in done}}


def test_what_changes_between_look_and_work_counts(store: Store) -> None:
    for id in "abc":
        add(store, id, lr="1")
    values(store, "lr")
    keeper = parameters.Keeper(store)
    assert keeper.step(), "it is to be kept"
    work_due = keeper.look()
    assert work_due is not None
    with store.writing() as tx:
        TASK.update(tx, "a", {"hyperparams": hyperparams(depth="2")})
        TASK.update(tx, "b", {"hyperparams": hyperparams(lr="3")})
    work_due()
    work(store, keeper)
    assert values(store, "lr") == {"b": (3.0, "3"), "c": (1.0, "1")}


def test_a_look_at_large_documents_ends_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(parameters, "AT_ONCE", 100)
    for id in "abcde":
        add(store, id, lr="1")
    values(store, "lr")
    assert work(store) >= 5, "a task at a time"
    assert values(store, "lr") == dict.fromkeys("abcde", (1.0, "1"))


def test_a_keeper_that_was_ended_looks_no_more(store: Store) -> None:
    for id in "abc":
        add(store, id, lr="1")
    values(store, "lr")
    keeper = parameters.Keeper(store)
    keeper.end()
    with pytest.raises(ReadEnded):
        keeper.look()


def test_of_few_tasks_nothing_is_kept(store: Store) -> None:
    add(store, "a", lr="1")
    assert values(store, "lr") is None
    assert work(store) == 0
    assert values(store, "lr") is None


def test_the_one_not_asked_for_longest_makes_room_and_not_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "MOST", 2)
    for id in "abc":
        add(store, id, lr="1", depth="2", width="3", seed="4")
    keeper = parameters.Keeper(store)
    for name in ("lr", "depth"):
        values(store, name)
        work(store, keeper)
    assert values(store, "lr")
    assert values(store, "width") is None
    for _ in range(20):
        keeper.step()
    assert (values(store, "depth"), values(store, "lr")) == (None, dict.fromkeys("abc", (1.0, "1")))
    assert values(store, "width") == dict.fromkeys("abc", (3.0, "3"))
    assert values(store, "seed") is None
    for _ in range(20):
        keeper.step()
    assert values(store, "seed") is None, "the last change was a moment ago"
    assert values(store, "width"), "and what is kept stays"
    with store.reading() as tx:
        assert tx.value("SELECT count(DISTINCT parameter) FROM parameter_value") == 2


@pytest.mark.parametrize("odd", ["a.b", "a b", "[0]", "$", "'", "ü", "#-1", "*", ""])
def test_no_name_is_in_the_way_of_what_is_written(store: Store, odd: str) -> None:
    for id in "abc":
        add(store, id, **{odd: "1"})
    values(store, odd)
    work(store)
    add(store, "d", **{odd: "2"})
    with store.writing() as tx:
        TASK.update(tx, "a", {"hyperparams": hyperparams(**{odd: "3"})})
    kept = values(store, odd)
    assert kept is None or kept == {"a": (3, "3"), "b": (1, "1"), "c": (1, "1"), "d": (2, "2")}


def test_what_made_room_comes_back_only_if_it_is_asked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "MOST", 2)
    monkeypatch.setattr(parameters, "REST_STEPS", 1)
    for id in "abc":
        add(store, id, lr="1", depth="2", width="3")
    keeper = parameters.Keeper(store)
    for name in ("lr", "depth", "width"):
        values(store, name)
        for _ in range(20):
            keeper.step()
    assert not [step for _ in range(20) if (step := keeper.step())], "nobody asks, and nothing is done"
    assert values(store, "lr") is None
    for _ in range(20):
        keeper.step()
    assert values(store, "lr")
