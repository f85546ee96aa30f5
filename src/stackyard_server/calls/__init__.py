"""One request as an endpoint sees it, and what a server offers to those who answer. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import moments
from ..monitoring.meter import Meter
from ..store import Reading, Store, Transaction
from .kept import Kept
from .readers import Readers

if TYPE_CHECKING:
    from ..identity import Authenticator, Identity


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer without the envelope: a download."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Reads what follows the body, part by part, b"" at the end; each in a transaction of its own. None: nothing does.
    more: Callable[[Transaction], bytes] | None = None


@dataclass(slots=True)
class Services:
    """What endpoints may need beside the store; put together in ``app``."""

    store: Store
    authenticator: Authenticator
    clock: moments.Clock
    #: Anything longer-lived that a service keeps between calls (scroll positions...), by the owner's name.
    memory: dict[str, Any] = field(default_factory=dict)
    #: The server's settings (``settings.ServerSettings``).
    settings: Any = None
    #: What an encoded answer goes through before it is sent: former addresses of the file server become the present
    #: one. None where there are none.
    rewrite: Callable[[bytes], bytes] | None = None
    #: The addresses clients use: "web", "api", "files".
    urls: dict[str, str] = field(default_factory=dict)
    #: The threads in which is read.
    readers: Readers = field(default_factory=Readers)
    #: What is counted for those who watch the server.
    meter: Meter = field(default_factory=Meter)

    def expire(self) -> None:
        """Forget what is kept in memory and over."""
        now = int(self.clock() * 1000)
        for kept in list(self.memory.values()):
            if isinstance(kept, Kept):
                kept.expire(now)


@dataclass(slots=True)
class Call:
    """One request, as an endpoint sees it."""

    name: str
    version: tuple[int, int]
    #: The request's fields; for a batch endpoint see ``lines``.
    data: dict[str, Any]
    tx: Transaction
    services: Services
    #: Who calls; None only where the endpoint needs no sign-in.
    who: Identity
    #: Epoch milliseconds.
    now: int
    address: str = ""
    #: What can end the read; None of what nobody ends.
    reading: Reading | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The lines of a batch request (NDJSON).
    lines: list[dict[str, Any]] = field(default_factory=list)
    #: Response headers the endpoint wants to add, e.g. a cookie.
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    #: Whether the fields were checked already.
    checked: bool = False
    #: The fields that nobody knows (``unknown``); None where they were not looked for yet.
    unknown: list[str] | None = None
    #: The bytes of the body as they came.
    body: bytes = b""
    #: What is to be done once the transaction is committed (removing files...), in this order.
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    @property
    def worker_name(self) -> str:
        """The name a client gives its worker (X-ClearML-Worker); "" where it gives none."""
        return self.headers.get("x-clearml-worker") or self.headers.get("x-trains-worker") or ""

    @property
    def worker(self) -> str:
        """The name a client gives its worker, or its address."""
        return self.worker_name or self.address

    def get(self, name: str, default: Any = None) -> Any:
        """A field of the request; null is absent."""
        value = self.data.get(name)
        return default if value is None else value
