"""A server whose watchdog is quick, and its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..running import Running, running_server
from .vanishing import Time


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(time: Time) -> Iterator[Running]:
    with running_server(clock=time, watchdog_minutes=10, requeue_limit=1) as running:
        yield running
