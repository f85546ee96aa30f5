"""The server under attack: a folder with three users and what was stored before, its process, and its memory."""

from __future__ import annotations

import base64
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import psutil

from bench.server import processes
from stackyard_server import identity
from stackyard_server.store import Store, Transaction, queues, samples
from stackyard_server.store.documents import PROJECT, TASK, Document, new_id

ROLES = ("readonly", "user", "admin")
#: The tasks that patterns are matched against, and how long their comments are.
COMMENTED, COMMENT = 2_000, "loss 0.123 at step 45; " * 400
#: Tasks whose comment is as large as any was before requests were bounded.
LARGE, LARGE_BYTES = 6, 50_000_000
PLOTS, PLOT_BYTES = 30, 3_000_000
#: Tasks that wait in two queues, and the parameters of the task that has most.
CROWD, PARAMETERS = 10_000, 39_000


@dataclass
class Yard:
    """A data folder, and what is in it."""

    folder: Path
    #: Access key and secret by role; "other" is the one who must not be held up.
    pairs: dict[str, tuple[str, str]]
    project: str
    #: A task with plots, tasks with large comments, tasks to be changed, a queue.
    plotted: str
    large: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    queue: str = ""
    #: Tasks that wait, the queues and the project they are in, and a task with as many parameters as one may have.
    crowd: list[str] = field(default_factory=list)
    crowded_queues: list[str] = field(default_factory=list)
    crowded_project: str = ""
    many_parameters: str = ""


def make_empty(folder: Path) -> Yard:
    """A folder with users, and nothing that is large."""
    return make(folder, commented=2, large=0, plots=0, crowd=2)


def make(
    folder: Path, commented: int = COMMENTED, large: int = LARGE, plots: int = PLOTS, crowd: int = CROWD
) -> Yard:
    """A folder as one that is in use."""
    store, now, chance = Store(folder), int(time.time() * 1000), random.Random(10)
    pairs = {}
    with store.writing() as tx:
        identity.found(tx, now)
        queues.found(tx, now)
        for name in (*ROLES, "other"):
            user = identity.add_user(tx, now, name=name, role="user" if name == "other" else name)
            pairs[name] = identity.add_credentials(tx, user)
        company, owner = tx.one("SELECT company, id FROM user WHERE name='user'") or ("", "")
        queue = str(tx.value("SELECT id FROM queue LIMIT 1"))
        project = new_id()
        PROJECT.insert(
            tx,
            {"id": project, "company": company, "user": owner, "name": "safety", "basename": "safety", "created": now,
             "last_update": now, "tags": [], "system_tags": [], "featured": 9999, "path": []},
        )  # fmt: skip
        yard = Yard(folder, pairs, project, new_id(), queue=queue)

        def add(id: str, comment: str) -> None:
            document: Document = {
                "id": id, "company": company, "user": owner, "name": f"task {id[:6]}", "type": "training",
                "status": "created", "project": project, "created": now, "last_update": now, "last_change": now,
                "status_changed": now, "tags": [], "system_tags": [], "comment": comment, "runtime": {},
                "hyperparams": {}, "execution": {"artifacts": []}, "models": {"input": [], "output": []},
            }  # fmt: skip
            TASK.insert(tx, document)

        for _ in range(commented):
            yard.tasks.append(new_id())
            add(yard.tasks[-1], COMMENT)
        for _ in range(large):
            yard.large.append(new_id())
            add(yard.large[-1], "large " + "x" * LARGE_BYTES)
        add(yard.plotted, "")
        _add_crowd(tx, yard, owner, now, crowd)
        rows = []
        for number in range(plots):
            ys = [chance.random() for _ in range(PLOT_BYTES // 20)]
            text = json.dumps({"data": [{"type": "scatter", "y": ys}], "layout": {}})
            rows.append((yard.plotted, samples.PLOT, "plots", f"p{number}", 1, "", now, now, "bench", len(text), "{}",
                         samples.packed(text)))  # fmt: skip
        samples.store_samples(tx, rows)
    store.close()
    return yard


def _add_crowd(tx: Transaction, yard: Yard, owner: str, now: int, count: int) -> None:
    """Tasks of one project that wait in two queues, and one with many parameters."""
    who = SimpleNamespace(user=owner)
    yard.crowded_queues = [queues.create(tx, who, f"crowded {number}", now) for number in range(2)]
    held = PROJECT.get(tx, yard.project) or {}
    yard.crowded_project = new_id()
    PROJECT.insert(tx, {**held, "id": yard.crowded_project, "name": "crowd", "basename": "crowd"})
    base: Document = {
        "company": held["company"], "user": owner, "type": "training", "created": now, "last_update": now,
        "last_change": now, "status_changed": now, "project": yard.crowded_project, "tags": [], "system_tags": [],
        "runtime": {}, "execution": {"artifacts": []}, "models": {"input": [], "output": []},
    }  # fmt: skip
    for number in range(count):
        id = new_id()
        queued = {"status": "queued", "enqueue_status": "created", "hyperparams": {}}
        TASK.insert(tx, {**base, "id": id, "name": f"waiting {number}", **queued})
        queues.add(tx, yard.crowded_queues[number % 2], id, now)
        yard.crowd.append(id)
    names = [f"p{number}" for number in range(PARAMETERS if count > 2 else 10)]
    many = {name: {"section": "Args", "name": name, "value": "1"} for name in names}
    yard.many_parameters = new_id()
    large = {
        "id": yard.many_parameters,
        "name": "many parameters",
        "status": "created",
        "project": yard.project,
    }
    TASK.insert(tx, {**base, **large, "hyperparams": {"Args": many}})


class Server:
    """A running server on a yard's folder."""

    def __init__(self, yard: Yard, descriptors: int | None = None) -> None:
        self.yard = yard
        ports = [processes.free_port() for _ in range(3)]
        self.urls = {
            name: f"http://127.0.0.1:{port}"
            for name, port in zip(("web", "api", "files"), ports, strict=True)
        }
        command = [
            str(Path(sys.executable).with_name("stackyard")),
            "server",
            "start",
            "--folder",
            str(yard.folder),
        ]
        for name, port in zip(("web", "api", "files"), ports, strict=True):
            command += [f"--{name}-port", str(port)]

        def limit() -> None:
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit
        )
        processes.wait(lambda: urllib.request.urlopen(f"{self.urls['files']}/", timeout=5).read(), self.child)
        self.tokens = {role: self._token(*pair) for role, pair in yard.pairs.items()}
        self._process = psutil.Process(self.child.pid)

    def _token(self, key: str, secret: str) -> str:
        basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
        asked = urllib.request.Request(
            f"{self.urls['api']}/auth.login", headers={"Authorization": f"Basic {basic}"}
        )
        token: str = json.loads(urllib.request.urlopen(asked, timeout=30).read())["data"]["token"]
        return token

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return float(self._process.memory_info().rss) / 1e6

    @property
    def open_descriptors(self) -> int:
        """Descriptors the process holds."""
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def stop(self, patience_seconds: float = 120.0) -> float:
        """Ask it to end; the seconds until it is gone. One that does not go is killed and counts as the patience."""
        begun = time.perf_counter()
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        return time.perf_counter() - begun


@contextmanager
def running(yard: Yard, descriptors: int | None = None) -> Iterator[Server]:
    """A server that is gone when the block is left."""
    server = Server(yard, descriptors)
    try:
        yield server
    finally:
        if server.child.poll() is None:
            server.stop(20)


class Watched:
    """The greatest memory of a server while a block runs."""

    def __init__(self, server: Server) -> None:
        self._server, self._over = server, threading.Event()
        self.before_mb = self.peak_mb = server.rss_mb
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            try:
                self.peak_mb = max(self.peak_mb, self._server.rss_mb)
            except psutil.NoSuchProcess:
                return

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth_mb(self) -> float:
        """What was added."""
        return self.peak_mb - self.before_mb
