"""Folding the log in beside a store that closes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stackyard_server import store as stores
from stackyard_server.store import Store
from tests.waiting import PATIENCE_SECONDS


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
