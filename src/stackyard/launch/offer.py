"""What a ClearML server and its workers offer a matrix: which cells can be dispatched.

Everything is looked up once and kept, and shared by all deployments that go through the server: a plan is made at one
moment. May import connection, the client and sending; never planning, runner, reports or cli.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Sender
from stackyard.errors import NotRunnableError, StackyardError
from stackyard.settings import Settings

#: How long planning waits for a server that does not answer.
PATIENCE_SECONDS = 2.0
#: A worker that has reported within so long is there.
LAST_SEEN_SECONDS = 120


@dataclass(frozen=True)
class Found:
    """The server as it was found."""

    client: Client
    #: Queue name -> ids of the workers that listen on it.
    workers: Mapping[str, tuple[str, ...]]
    #: Whether the server is on this machine, and so its agents.
    local: bool


class Offer:
    """The server and its workers, looked up when first asked about.

    Args:
        settings: where the server's credentials are recorded.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def why_not(self, queue: str, workers: int) -> str | None:
        """Why so many runs cannot wait in a queue and be served at the same time, in words, or ``None``."""
        if isinstance(self._found, str):
            return self._found
        listening = self._found.workers.get(queue, ())
        if len(listening) >= workers:
            return None
        if listening:
            return (
                f"{len(listening)} of {workers} workers serve queue {queue}: give it more slots in "
                "agents/queues.toml and run `stackyard up`"
            )
        return (
            f"no worker serves queue {queue}: run `stackyard up`; "
            "where that helps nothing, `stackyard status` says why"
        )

    def serves(self, queue: str) -> bool:
        """Whether any worker serves a queue."""
        return isinstance(self._found, Found) and bool(self._found.workers.get(queue))

    def is_local(self) -> bool:
        """Whether the workers are on this machine, as far as the server's address tells."""
        return isinstance(self._found, Found) and self._found.local

    @functools.cached_property
    def sender(self) -> Sender:
        """What puts tasks on the server.

        Raises:
            StackyardError: there is no server; ``why_not`` says so before.
        """
        if isinstance(self._found, str):
            raise StackyardError(self._found)
        return Sender(self._found.client)

    @functools.cached_property
    def _found(self) -> Found | str:
        """The server, or why there is none."""
        try:
            found = connection.find(self._settings)
        except NotRunnableError as error:
            return str(error)
        except StackyardError:
            return "no ClearML server is known: run `stackyard up`"
        try:
            with Client(found, patience_seconds=PATIENCE_SECONDS) as probe:
                seen = probe.call("workers.get_all", last_seen=LAST_SEEN_SECONDS)["workers"]
        except StackyardError as error:
            return f"{error} (run `stackyard up`)"
        workers: dict[str, tuple[str, ...]] = {}
        for worker in seen:
            for queue in worker.get("queues") or []:
                workers[queue["name"]] = (*workers.get(queue["name"], ()), worker["id"])
        return Found(Client(found), workers, found.is_local)
