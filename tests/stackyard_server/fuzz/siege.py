"""The siege: a server in a process of its own, the requests, and what must hold then and afterwards."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from stackyard_server import endpoints
from stackyard_server.protocol import fields
from stackyard_server.store import FILE_NAME

from .makers import Attack, World, attack
from .values import Known
from .wire import Answer, Hung, Line, shout

#: Every request is answered, or its connection closed, within this.
PATIENCE_SECONDS = 60.0
#: The part of a run after which memory has found its level.
WARM_UP = 0.3
#: Things are put onto the server anew after so many requests.
RESETTLE_EVERY = 400

SERVER = """
import logging, sys, threading
from pathlib import Path
from stackyard_server import identity
from stackyard_server.app import Server
from stackyard_server.settings import ServerSettings
logging.basicConfig(filename=sys.argv[2], level=logging.WARNING)
logging.getLogger("stackyard_server.security").setLevel(logging.CRITICAL)
server = Server(ServerSettings(Path(sys.argv[1]), web_port=0, api_port=0, files_port=0, watchdog_minutes=100000))
with server.store.writing() as tx:
    admin = identity.add_user(tx, 0, name="besieged", role="admin")
    pair = identity.add_credentials(tx, admin)
    other = identity.add_user(tx, 0, name="bystander", login="by", password="stander by")
import json
print(json.dumps({"urls": server.urls, "pair": pair, "other": other}), flush=True)
server.run()
"""


@dataclass
class Fault:
    """A request that was not answered as it should be."""

    number: int
    what: str
    attack: Attack
    answer: str


@dataclass
class Report:
    """How a run went."""

    sent: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    slowest_seconds: float = 0.0
    slowest: bytes = b""
    warm_rss_bytes: int = 0
    end_rss_bytes: int = 0
    seconds: float = 0.0
    integrity: str = ""
    log: str = ""

    def summary(self) -> str:
        """On a few lines."""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.kinds.most_common())
        statuses = ", ".join(f"{n} x {s or 'closed'}" for s, n in sorted(self.statuses.items()))
        return (
            f"{self.sent} malformed requests in {self.seconds:.0f} s ({kinds}); answers: {statuses}; "
            f"faults {len(self.faults)}; slowest {self.slowest_seconds:.2f} s; RSS {self.warm_rss_bytes >> 20} -> "
            f"{self.end_rss_bytes >> 20} MiB; integrity {self.integrity}"
        )


@dataclass
class Besieged:
    """The server under siege."""

    process: subprocess.Popen[str]
    folder: Path
    log: Path
    urls: dict[str, str]
    pair: tuple[str, str]
    other: str

    def address(self, port: str) -> tuple[str, int]:
        parts = urlsplit(self.urls[port])
        return str(parts.hostname), int(parts.port or 0)

    def token(self) -> str:
        answer = httpx.post(f"{self.urls['api']}/auth.login", auth=self.pair, timeout=PATIENCE_SECONDS)
        token: str = answer.json()["data"]["token"]
        return token

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@contextmanager
def besieged(folder: Path) -> Iterator[Besieged]:
    """A server process of its own, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    command = [sys.executable, "-c", SERVER, str(folder / "data"), str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield Besieged(process, folder / "data", log, said["urls"], tuple(said["pair"]), said["other"])
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
        process.kill()


def settle(server: Besieged, time_around: int) -> Known:
    """Put a few things onto the server; their ids and names."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    with httpx.Client(base_url=server.urls["api"], headers=headers, timeout=PATIENCE_SECONDS) as client:

        def call(name: str, /, **body: Any) -> dict[str, Any]:
            answer = client.post(f"/{name}", json=body).json()
            data: dict[str, Any] = answer["data"]
            return data

        project = call("projects.create", name=f"siege/inner{time_around}", description="").get("id")
        queue = call("queues.create", name=f"siege-queue{time_around}").get("id")
        tasks = [
            call("tasks.create", name=f"task {i}", type="training", project=project).get("id")
            for i in range(6)
        ]
        for number, task in enumerate(tasks):
            point = {"type": "training_stats_scalar", "task": task, "metric": "loss", "variant": "train"}
            lines: list[dict[str, Any]] = [{**point, "iter": i, "value": i} for i in range(20)]
            spoken = {"type": "log", "task": task}
            lines += [{**spoken, "msg": f"line {i}", "timestamp": 1_795_000_000_000 + i} for i in range(20)]
            body = "\n".join(json.dumps(line) for line in lines)
            client.post("/events.add_batch", content=body, headers={"Content-Type": "application/json-lines"})
            call(
                ["tasks.started", "tasks.enqueue", "tasks.failed", "tasks.started"][number % 4],
                task=task,
                queue=queue,
            )
        model = call("models.create", name="a model", uri="file:///tmp/m", project=project).get("id")
        client.post(f"{server.urls['files']}/", files={"/p/x.txt": ("x.txt", b"x")})
    return Known(
        {
            "task": [i for i in tasks if i] or ["none"],
            "project": [i for i in (project,) if i] + [f"siege/inner{time_around}"],
            "queue": [i for i in (queue,) if i] + [f"siege-queue{time_around}"],
            "model": [i for i in (model,) if i] + ["nope"],
            "user": [server.other],
            "metric": ["loss", "x"],
            "variant": ["train", "x"],
            "name": ["task 1", "siege", "Args", "x y z"],
            "worker": ["w:0", "w:1"],
            "fields": [
                "id",
                "name",
                "status",
                "last_update",
                "hyperparams.Args.x.value",
                "project.name",
                "nope",
            ],
            "order_by": ["-last_update", "name", "last_metrics.a.b.value"],
        }
    )


def run(folder: Path, count: int, seed: int, only: int | None = None, most_faults: int = 40) -> Report:
    """Send so many malformed requests (or only one of them) to a new server."""
    report = Report()
    with besieged(folder) as server:
        entries = [e for _, versions in sorted(endpoints.load().items()) for e in versions]
        world = World(entries, fields.table(), settle(server, 0), server.token(), server.pair)
        line = Line(server.address("api"), PATIENCE_SECONDS)
        began = time.monotonic()
        for number in range(count) if only is None else [only]:
            if number and number % RESETTLE_EVERY == 0:  # much of what was there has been deleted by now
                world = replace(world, known=settle(server, number))
            world = send(server, world, line, attack(seed, number, world), number, report)
            if number == int(count * WARM_UP):
                report.warm_rss_bytes = server.rss_bytes()
            if len(report.faults) >= most_faults or server.process.poll() is not None:
                break
        report.seconds = time.monotonic() - began
        line.close()
        alive = httpx.get(f"{server.urls['api']}/debug.ping", timeout=PATIENCE_SECONDS).status_code
        report.integrity = "" if alive == 200 else "not answering; "
        report.end_rss_bytes = server.rss_bytes()
    report.integrity += integrity(folder / "data")
    report.log = server.log.read_text(errors="replace")
    return report


def send(server: Besieged, world: World, line: Line, made: Attack, number: int, report: Report) -> World:
    """Send one and note how it went; the world, with a new token where the session was ended."""
    began = time.monotonic()
    try:
        if made.whole:
            answer = line.ask(made.data)
        else:
            answer = shout(server.address(made.port), made.data, PATIENCE_SECONDS)
    except Hung:
        answer = Answer(-1, b"")
    seconds = time.monotonic() - began
    report.sent += 1
    report.kinds[made.kind] += 1
    report.statuses[answer.status] += 1
    if seconds > report.slowest_seconds:
        report.slowest_seconds, report.slowest = seconds, made.data
    if answer.status >= 500 or answer.status == -1 or (made.whole and answer.status == 0):
        what = {-1: "hung", 0: "closed"}.get(answer.status, str(answer.status))
        report.faults.append(Fault(number, what, made, answer.body[:600].decode("latin-1")))
    if made.whole and answer.status == 401:
        return replace(world, token=server.token())
    return world


def integrity(folder: Path) -> str:
    """What SQLite says of the database left behind."""
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        found: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        loose = connection.execute("PRAGMA foreign_key_check").fetchall()
    return found if not loose else f"{found}, {len(loose)} loose references"
