"""A store of its own for each test, in one open transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard_server import identity
from stackyard_server.store import Store, Transaction, queues


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    """A writing transaction of a folder that is founded: a company, its signing key, the default queue."""
    store = Store(tmp_path / "data")
    with store.writing() as writing:
        identity.found(writing, 0)
        queues.found(writing, 0)
        yield writing
    store.close()
