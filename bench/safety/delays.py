"""How long one request makes others wait, what memory it takes, and whether the server still stops beside it."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.result import Result

from . import hostile, yard
from .hostile import Hostile
from .ping import Pings
from .yard import Server

FIGURES = ("ping_worst_ms", "rss_growth_worst_mb", "stop_worst_seconds", "hostile_requests")
#: A client that waits no longer hangs up.
PATIENCE_SECONDS = 60.0
#: How long a request has been under way when the server is told to stop.
UNDER_WAY_SECONDS = 0.5
#: Of the largest requests of each endpoint, every how many-th is tried with --quick.
QUICK_STEP = 20
#: Of those, the ones that took so much are told one by one.
TELLING_MS, TELLING_MB = 100.0, 100.0


def send(server: Server, request: Hostile) -> int:
    """Send one request and read all of its answer; its status, 0 where the server hung up."""
    body = request.body()
    host, _, port = server.urls[request.port].removeprefix("http://").partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), PATIENCE_SECONDS) as sent:
        sent.settimeout(PATIENCE_SECONDS)
        # whoever is refused early is told while still sending
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sent.sendall(request.head(server, len(body)))
            sent.sendall(body)
        del body
        head = b""
        while b"\r\n\r\n" not in head and (part := sent.recv(65536)):
            head += part
        names, _, rest = head.partition(b"\r\n\r\n")
        if not names:
            return 0
        at = names.lower().find(b"content-length:")
        left = (int(names[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0) - len(rest)
        while left > 0 and (part := sent.recv(1 << 20)):
            left -= len(part)
        return int(names.split(b" ", 2)[1])
    return 0


def at_once(server: Server, request: Hostile) -> list[int]:
    """Send it as often as it says, at the same time."""
    told: list[int] = []
    threads = [
        threading.Thread(target=lambda: told.append(send(server, request))) for _ in range(request.times)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def figures(result: Result, quick: bool, options: Any) -> None:
    """Every known hostile request, then the largest of each endpoint, while another client pings."""
    with tempfile.TemporaryDirectory() as scratch:
        made = yard.make(Path(scratch) / "data")
        with yard.running(made) as server:
            pings = Pings(server.urls["api"], server.tokens["other"])
            tried = _tried(result, quick, server, pings)
            pings.close()
        result.figure("hostile_requests", float(tried))
        stops = []
        with yard.running(made) as server:
            kinds = [one for one in hostile.known(server) if one.role == "readonly"]
        for request in kinds[::4] if quick else kinds:
            stops.append(_stopped(made, request))
            result.row(part="delays", stop=request.name, seconds=round(stops[-1], 3))
        result.figure("stop_worst_seconds", max(stops))


def _tried(result: Result, quick: bool, server: Server, pings: Pings) -> int:
    time.sleep(1)
    result.row(part="delays", request="none", ping_ms=round(pings.worst_ms(), 1))
    worst: list[tuple[float, float, str]] = []
    largest = list(hostile.largest(server))
    known = [*hostile.known(server), *hostile.stored(server)]
    for request in [*known, *(largest[::QUICK_STEP] if quick else largest)]:
        pings.worst_ms()
        begun = time.perf_counter()
        with yard.Watched(server) as watched:
            statuses = at_once(server, request)
            took = time.perf_counter() - begun
        ping = pings.worst_ms()
        worst.append((ping, watched.growth_mb, request.name))
        if request in known or ping > TELLING_MS or watched.growth_mb > TELLING_MB:
            result.row(
                part="delays", request=request.name, role=request.role, statuses=statuses, seconds=round(took, 3),
                ping_ms=round(ping, 1), rss_growth_mb=round(watched.growth_mb, 1),
            )  # fmt: skip
    result.figure("ping_worst_ms", max(ping for ping, _, _ in worst))
    result.figure("rss_growth_worst_mb", max(growth for _, growth, _ in worst))
    return len(worst)


def _stopped(made: yard.Yard, request: Hostile) -> float:
    """The seconds that a stop takes beside a request under way."""
    server = Server(made)
    try:
        threads = [
            threading.Thread(target=send, args=(server, request), daemon=True)
            for _ in range(max(4, request.times))
        ]
        for thread in threads:
            thread.start()
        time.sleep(UNDER_WAY_SECONDS)
        took = server.stop()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        return took
    finally:
        if server.child.poll() is None:
            server.stop(5)
