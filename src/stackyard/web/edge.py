"""The way in: which host a request may name, where a form may come from, how much comes with it; what answers carry.

A page elsewhere can have a name of its own lead to this machine (DNS rebinding), and browsers send cookies along with
forms of other sites: so a request for a name that is not ours, and a form of another origin, are refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Of a path, of a query, and of a form's body.
LONGEST_PATH, LONGEST_QUERY, MOST_BODY_BYTES = 2_000, 12_000, 16_384
#: How long one request may take in all, reading its body and writing the answer.
REQUEST_SECONDS = 120.0
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

#: Nothing from elsewhere, nothing inline, no script at all, nobody frames it.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: With no-referrer browsers would send forms without their origin, and it is checked. Nobody else is told either way.
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Names:
    """What this server is called: the hosts that a request may name.

    Args:
        host: the address it listens on.
        port: its port.
        url: the address that browsers use, where it is another.
        machine: names of this machine, for a server that listens on all its addresses.
    """

    host: str
    port: int
    url: str | None = None
    machine: Iterable[str] = ()
    _known: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        hosts = [_shown(self.host)]
        if self.everywhere:
            hosts = [*LOOPBACK, *(name.lower() for name in self.machine)]
        elif self._loopback:
            hosts += LOOPBACK
        known = {f"{host}:{self.port}" for host in hosts}
        if self.port == 80:
            known |= set(hosts)
        if self.url:
            known.add(urlsplit(self.url).netloc.lower())
        object.__setattr__(self, "_known", frozenset(known))

    @property
    def everywhere(self) -> bool:
        """Whether it listens on every address of the machine."""
        return self.host in ("0.0.0.0", "::")

    @property
    def _loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def address(self) -> str:
        """Where browsers find it."""
        host = "127.0.0.1" if self.everywhere else _shown(self.host)
        return (self.url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS."""
        return self.address.startswith("https:")

    def has(self, host: str) -> bool:
        """Whether that is us. A bare IP address cannot be a name that leads elsewhere, so any of the machine's is."""
        host = host.lower()
        if host in self._known:
            return True
        found = _HOST.fullmatch(host)
        if not (self.everywhere and found and (found[2] or "80") == str(self.port)):
            return False
        try:
            ipaddress.ip_address(found[1].strip("[]"))
        except ValueError:
            return False
        return True

    def is_origin(self, origin: str) -> bool:
        """Whether a form with that ``Origin`` is from one of our own pages."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and not parts.path and self.has(parts.netloc)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


class Edge:
    """Refuses what nothing further in should see, and gives every answer its headers.

    Args:
        app: what is further in.
        names: what we are called.
    """

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.encode() not in there
                    ),
                ]
            await send(message)

        if scope["type"] != "http":
            return
        refused = self._refused(scope)
        if refused is not None:
            await PlainTextResponse(refused[1] + "\n", refused[0])(scope, receive, complete)
            return
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._app(scope, _bounded(receive), complete)
        except TimeoutError:
            return  # whoever neither sends nor reads for so long is not waited for

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        said: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            said.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        if any(len(said.get(name, ())) > 1 for name in ("host", "origin", "content-length", "content-type")):
            return 400, "A header is said twice."
        hosts = said.get("host", [])
        if len(hosts) != 1 or not self._names.has(hosts[0]):
            return 421, "This server has another name: use the address that `stackyard web` printed."
        if len(scope["path"]) > LONGEST_PATH or len(scope["query_string"]) > LONGEST_QUERY:
            return 414, "The address is too long: choose less."
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "Not allowed."
        if scope["method"] == "POST":
            if not self._names.is_origin(said.get("origin", [""])[0]):
                return 403, "This form was not sent from one of our pages."
            length = said.get("content-length", ["none"])[0]
            if not length.isascii() or not length.isdigit():
                return 411, "A form says its length."
            if len(length) > 9 or int(length) > MOST_BODY_BYTES:
                return 413, "The form is too large."
        return None


def _bounded(receive: Receive) -> Receive:
    """What a request brings, up to the bound, whatever it says its length is."""
    left = MOST_BODY_BYTES

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                return {"type": "http.disconnect"}
        return message

    return bounded
