"""Instants as the server keeps and shows them: whole milliseconds since 1970 inside, ISO 8601 outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: What tells the time: epoch seconds. Injected, so that tests own the clock.
Clock = Callable[[], float]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(milliseconds: int) -> str:
    """``2026-11-21T20:42:56.592000+00:00``, the form of stored documents."""
    return (EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="microseconds")


def parse(text: str) -> int:
    """Milliseconds of an ISO 8601 instant; without a zone it is UTC.

    Raises:
        ValueError: The text is no such instant.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)
