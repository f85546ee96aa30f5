"""The client of a person, for one request: it gives up when the request's time is over, and waits briefly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from stackyard.clearml.client import Client
from stackyard.clearml.connection import Connection
from stackyard.web.work import BusyError

#: How long a server that does not answer is waited for.
PATIENCE_SECONDS = 3.0


class TimedClient(Client):
    """Speaks to a server as one person, up to a moment.

    Args:
        connection: where, and whose token.
        seconds: how long from now on.
        clock: monotonic seconds.
    """

    def __init__(
        self, connection: Connection, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(connection, patience_seconds=min(PATIENCE_SECONDS, seconds))
        self._clock, self._seconds, self._until = clock, seconds, clock() + seconds

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        """As of any client.

        Raises:
            BusyError: the time is over.
        """
        self._check_time()
        return super().call(method, **fields)

    def read(self, method: str, most_bytes: int, /, **fields: Any) -> tuple[dict[str, Any], int]:
        """As of any client.

        Raises:
            BusyError: the time is over.
        """
        self._check_time()
        return super().read(method, most_bytes, **fields)

    def content(self, url: str, most_bytes: int) -> bytes:
        """As of any client.

        Raises:
            BusyError: the time is over.
        """
        self._check_time()
        return super().content(url, most_bytes)

    def _check_time(self) -> None:
        if self._clock() > self._until:
            raise BusyError(
                f"the server's answers took longer than {self._seconds:.0f} s; choose fewer tasks"
            )
