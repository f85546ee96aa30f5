"""What tests of identity hold in their hands: the server's clock, and its store as another process opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stackyard_server.store import Store, Transaction

from ..running import Running


class Hands:
    """A clock the test owns, epoch seconds."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def console(server: Running) -> Iterator[Transaction]:
    """A transaction of another process: what ``stackyard server user`` does while the server runs."""
    store = Store(server.store.folder)
    try:
        with store.writing() as tx:
            yield tx
    finally:
        store.close()
