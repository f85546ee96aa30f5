"""A server in a process of its own, as ``stackyard server start`` runs it: to be killed, traced, starved."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from stackyard_server import admin, identity
from stackyard_server.store import Store
from tests.waiting import PATIENCE_SECONDS

FREE_PORTS = {"web_port": 0, "api_port": 0, "files_port": 0}


class Child:
    """A server process that answers.

    Args:
        folder: Its data folder.
        before: A command that runs it (a tracer).
        environment: More of the environment.
        settings: Of the server.
    """

    def __init__(
        self,
        folder: Path,
        before: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        command = [*before, sys.executable, "-m", "stackyard_server", "--folder", str(folder)]
        command += ["--options", json.dumps({**FREE_PORTS, **settings})]
        self.folder = folder
        # A file takes what it says: a pipe nobody reads would stop it some day.
        self.log_path = folder.with_name(f"{folder.name}.log")
        self.log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **(environment or {})}
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        word = json.loads(line or b"{}")
        if "urls" not in word:
            self.kill()
            raise AssertionError(f"the server did not come up: {word} {self.log_path.read_text()[-2000:]}")
        #: The server's own, also where a tracer runs it.
        self.pid: int = word["pid"]
        self.api, self.files = word["urls"]["api"], word["urls"]["files"]

    def kill(self) -> None:
        """End it at once, wherever it is."""
        os.kill(getattr(self, "pid", self.process.pid), signal.SIGKILL)
        self._gone()

    def stop(self) -> int:
        """End it gracefully; the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self._gone()

    def _gone(self) -> int:
        status = self.process.wait(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return status


class Client:
    """One connection of one user."""

    def __init__(self, child: Child, key: admin.First | admin.Key) -> None:
        self.child = child
        self.http = httpx.Client(
            timeout=PATIENCE_SECONDS, verify=False, limits=httpx.Limits(max_connections=2)
        )
        answer = self.http.get(f"{child.api}/auth.login", auth=(key.access_key, key.secret_key))
        self.http.cookies.clear()
        self.header = {"Authorization": f"Bearer {answer.json()['data']['token']}"}

    def ask(self, name: str, /, **data: Any) -> dict[str, Any]:
        """The whole envelope of a call."""
        envelope: dict[str, Any] = self.http.post(
            f"{self.child.api}/{name}", json=data, headers=self.header
        ).json()
        return envelope

    def call(self, name: str, /, **data: Any) -> dict[str, Any]:
        """The data of a successful call."""
        answer = self.ask(name, **data)
        assert answer["meta"]["result_code"] == 200, answer["meta"]
        data_out: dict[str, Any] = answer["data"]
        return data_out

    def send_events(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """The envelope of ``events.add_batch``."""
        headers = {**self.header, "Content-Type": "application/json-lines"}
        body = "\n".join(map(json.dumps, events))
        envelope: dict[str, Any] = self.http.post(
            f"{self.child.api}/events.add_batch", content=body, headers=headers
        ).json()
        return envelope

    def upload(self, path: str, content: bytes) -> httpx.Response:
        """The answer to an upload."""
        return self.http.post(f"{self.child.files}/", files={path: ("f", content)}, headers=self.header)

    def download(self, path: str) -> httpx.Response:
        """The answer to a download."""
        return self.http.get(f"{self.child.files}/{path}", headers=self.header)

    def close(self) -> None:
        """Hang up."""
        self.http.close()


def found_folder(folder: Path) -> admin.First:
    """A new data folder with an administrator."""
    store = Store(folder)
    with store.writing() as tx:
        identity.found(tx, 0)
    first = admin.ensure_admin(store)
    store.close()
    assert first is not None
    return first


@contextmanager
def running_child(folder: Path, **more: Any) -> Iterator[tuple[Child, Client]]:
    """A child on a new folder, and its administrator's client; gracefully ended."""
    key = found_folder(folder)
    child = Child(folder, **more)
    client = Client(child, key)
    try:
        yield child, client
    finally:
        client.close()
        if child.process.poll() is None:
            child.stop()
