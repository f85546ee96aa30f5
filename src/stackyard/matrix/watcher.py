"""Who is told what happens in a matrix. The command line shows it; tests listen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from stackyard_task.records import RunRecord


class Watcher(Protocol):
    """Who is told what happens."""

    def message(self, text: str) -> None:
        """One line worth knowing."""

    def started(self, label: str, done: int, total: int) -> None:
        """A run begins; ``done`` of ``total`` runs are over."""

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        """A run is under way; ``progress`` is the supervisor's, where it has written one."""

    def ended(
        self, label: str, record: RunRecord, done: int, total: int, remaining_seconds: float | None
    ) -> None:
        """A run ended with ``record``."""
