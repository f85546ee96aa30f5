"""Who holds a lock is alone, also where its file was removed while another waited for it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stackyard.stacks import locks
from tests.waiting import PATIENCE_SECONDS


def test_the_second_waits_and_is_alone_where_the_first_removed_the_file(tmp_path: Path) -> None:
    path, waits, order = tmp_path / "lock", threading.Event(), []

    def second() -> None:
        with locks.held(path, waits.set):
            order.append(path.exists())

    thread = threading.Thread(target=second)
    with locks.held(path, lambda: None):
        thread.start()
        assert waits.wait(PATIENCE_SECONDS)
        assert order == []
        path.unlink()
    thread.join()
    assert order == [True], "it holds the file that others find"


def test_who_does_not_wait_leaves_it_to_who_holds_it(tmp_path: Path) -> None:
    def busy() -> None:
        raise BlockingIOError

    with (
        locks.held(tmp_path / "lock", lambda: None),
        pytest.raises(BlockingIOError),
        locks.held(tmp_path / "lock", busy),
    ):
        raise AssertionError("never held twice")
    with locks.held(tmp_path / "lock", busy):
        pass
