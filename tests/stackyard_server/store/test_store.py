"""Folding the log in beside a store that closes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stackyard_server import store as stores
from stackyard_server.store import Store
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.promise("folded-beside-answers")
def test_a_store_that_closes_waits_for_the_fold_and_folds_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "FOLD_FROM_BYTES", 0)
    store = Store(tmp_path / "store.db")
    assert store.fold()
    store._fold_lock.acquire()  # a fold is under way
    closing = threading.Thread(target=store.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    store._fold_lock.release()
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()
    assert store.fold() is False


@pytest.mark.promise("reads-beside-the-writer")
def test_a_long_read_sees_one_moment_and_holds_up_no_writer(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    read, written = threading.Event(), threading.Event()
    seen: list[int] = []

    def look() -> None:
        with store.reading() as tx:
            seen.append(tx.value("SELECT count(*) FROM queue"))
            read.set()
            assert written.wait(PATIENCE_SECONDS)
            seen.append(tx.value("SELECT count(*) FROM queue"))

    reader = threading.Thread(target=look)
    reader.start()
    assert read.wait(PATIENCE_SECONDS)
    try:
        with store.writing() as tx:
            tx.run("INSERT INTO queue (id, name) VALUES ('a', 'a')")
    finally:
        written.set()
        reader.join(PATIENCE_SECONDS)
    assert seen[0] == seen[1]
    with store.reading() as tx:
        assert tx.value("SELECT count(*) FROM queue") == seen[0] + 1
    store.close()
