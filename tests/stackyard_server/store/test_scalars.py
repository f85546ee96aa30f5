"""Scalar points against a model that keeps them all: whatever the order, repetition and batching, the figures agree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_server.store import Store, events, metrics, scalars
from stackyard_server.store.scalars import Memory, Points
from tests.counts import examples

NOW = 1_795_293_768_694
Value = float | None
batches = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.one_of(st.none(), st.sampled_from([0.0, -2.5, 1.0, 3.25, 1e200, -1e200]))
        ),
        min_size=1,
        max_size=8,
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("scalars") / "data")
    yield store
    store.close()


def write(store: Store, memory: Memory, owner: str, batch: list[tuple[int, Value]]) -> None:
    with store.writing("metrics") as tx:
        memory.refresh(tx)
        form, series = memory.form(tx, "w", {}), memory.series(tx, owner, "m", "v")
        iters, values = [i for i, _ in batch], [v for _, v in batch]
        count = len(batch)
        scalars.store_points(tx, [Points(series, iters, values, [NOW] * count, [form] * count)], NOW)


@settings(max_examples=examples(150), deadline=None)
@given(batches, st.booleans())
def test_count_mean_and_points_are_those_of_distinct_iterations(
    store: Store, given_batches: list[list[tuple[int, Value]]], forgetful: bool
) -> None:
    kept: dict[int, Value] = {}
    memory = Memory(store)
    for batch in given_batches:
        for _ in range(2):
            write(store, memory, "o", batch)
            memory = Memory(store) if forgetful else memory
        kept.update(batch)
    finite = [v for v in kept.values() if v is not None]
    with store.writing() as tx:
        row = tx.one("SELECT count, finite, total FROM metric WHERE owner='o'")
        points = dict(
            tx.all("SELECT s.iter, s.value FROM scalar s JOIN metric ON number=series WHERE owner='o'")
        )
        events.delete_for(tx, ["o"])
    if given_batches:
        assert row is not None
        assert row[:2] == (len(kept), len(finite))
        noise = 1e190 if any(abs(v) > 1e100 for v in finite) else 1e-9
        assert row[2] == pytest.approx(sum(finite), rel=1e-9, abs=noise)
    assert points == kept


@pytest.mark.promise("other-processes-noticed")
def test_what_another_process_removed_is_noticed(store: Store) -> None:
    memory = Memory(store)
    write(store, memory, "p", [(0, 1.0), (1, 2.0)])
    with sqlite3.connect(store.path) as other:
        other.execute("DELETE FROM scalar WHERE series IN (SELECT number FROM metric WHERE owner='p')")
        other.execute("DELETE FROM metric WHERE owner='p'")
    write(store, memory, "p", [(2, 4.0)])
    with store.reading() as tx:
        ((variants,),) = (tuple(m.values()) for m in metrics.last_metrics(tx, ["p"]).values())
    (shown,) = variants.values()
    assert (shown["count"], shown["value"], shown["first_value"]) == (1, 4.0, 4.0)


def test_what_was_rolled_back_is_forgotten(store: Store) -> None:
    memory = Memory(store)

    def fail() -> None:
        with store.writing("metrics") as tx:
            memory.refresh(tx)
            form, series = memory.form(tx, "w9", {}), memory.series(tx, "q", "m", "v")
            scalars.store_points(tx, [Points(series, [5], [1.0], [NOW], [form])], NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    write(store, memory, "q", [(5, 2.0)])
    with store.reading() as tx:
        assert tx.all("SELECT count, value FROM metric WHERE owner='q'") == [(1, 2.0)]
        sql = "SELECT worker FROM scalar JOIN scalar_form f ON f.number=form JOIN metric m ON m.number=series"
        assert tx.value(f"{sql} WHERE owner='q'") == "w"


def test_averages_agree_with_the_points(store: Store) -> None:
    memory = Memory(store)
    batch: list[tuple[int, Value]] = [(i * 3 - 500, float(i % 10)) for i in range(1000)]
    write(store, memory, "r", batch)
    with store.reading() as tx:
        (name,) = scalars.names(tx, ["r"])
        for samples in (1, 7, 100, 999, 1000, 6000):
            x, y = scalars.histogram(tx, name.number, samples)
            if samples >= 1000:
                assert list(zip(x, y)) == batch
                continue
            width = -(-(2997 + 1) // samples)
            expected: dict[int, list[float]] = {}
            for i, v in batch:
                expected.setdefault(i // width * width, []).append(v or 0.0)
            assert x == list(expected)
            assert y == pytest.approx([sum(v) / len(v) for v in expected.values()])


def test_many_points_are_removed_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone at once for whoever looks, whatever the owner reports again; nothing of them is left in the end."""
    monkeypatch.setattr(metrics, "AT_ONCE", 10)
    store = Store(tmp_path / "data")
    memory = Memory(store)
    write(store, memory, "o", [(number, 1.0) for number in range(35)])
    with store.writing() as tx:
        assert metrics.count_points(tx, ["o"]) == 35
        metrics.delete_for(tx, ["o"])
        assert scalars.names(tx, ["o"]) == []
    write(store, memory, "o", [(1, 2.0), (2, 3.0)])
    passes = 0
    with store.writing() as tx:
        while metrics.has_gone(tx):
            before = tx.value("SELECT count(*) FROM scalar")
            metrics.clear_gone(tx)
            assert before - tx.value("SELECT count(*) FROM scalar") <= 10
            passes += 1
        assert passes == 4
        assert tx.all("SELECT value FROM scalar ORDER BY iter") == [(2.0,), (3.0,)]
        assert metrics.count_points(tx, ["o"]) == 2
    store.close()
