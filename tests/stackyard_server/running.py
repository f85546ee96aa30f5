"""A real server for a test: real sockets on free ports, its own data folder, in a thread of this process."""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from stackyard_server import identity
from stackyard_server.app import Server, loop_factory
from stackyard_server.moments import Clock
from stackyard_server.settings import ServerSettings
from stackyard_server.store import Store
from tests.waiting import PATIENCE_SECONDS


@dataclass
class Running:
    """A server that answers, and a user ("tester") with an access key."""

    server: Server
    api: str
    web: str
    files: str
    access_key: str
    secret_key: str
    user_id: str
    client: httpx.Client
    token: str = ""

    @property
    def store(self) -> Store:
        return self.server.store

    def call(self, name: str, /, **data: Any) -> dict[str, Any]:
        """The data of a successful call."""
        answer = self.ask(name, **data)
        assert answer["meta"]["result_code"] == 200, answer["meta"]
        data_out: dict[str, Any] = answer["data"]
        return data_out

    def ask(self, name: str, /, **data: Any) -> dict[str, Any]:
        """The whole envelope of a call, whatever it says."""
        headers = {"Authorization": f"Bearer {self.token}"}
        envelope: dict[str, Any] = self.client.post(f"{self.api}/{name}", json=data, headers=headers).json()
        return envelope

    def call_lines(self, name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        """The data of a successful batch call (NDJSON)."""
        body = "\n".join(json.dumps(line) for line in lines)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json-lines"}
        answer = self.client.post(f"{self.api}/{name}", content=body, headers=headers).json()
        assert answer["meta"]["result_code"] == 200, answer["meta"]
        data_out: dict[str, Any] = answer["data"]
        return data_out


@contextmanager
def running_server(
    folder: Path | None = None,
    clock: Clock = time.time,
    role: str = "user",
    trust: ssl.SSLContext | bool = False,
    **settings: Any,
) -> Iterator[Running]:
    """A running server; gone, with its temporary folder, when the block is left.

    Args:
        folder: where its data lie; a temporary folder, unless one is given.
        clock: what it takes for the time.
        role: of the user the tests call as.
        trust: whose certificates the tests' client trusts.
        settings: of the server.
    """
    with tempfile.TemporaryDirectory() as scratch:
        ports = {"web_port": 0, "api_port": 0, "files_port": 0}
        server = Server(
            ServerSettings(folder=folder or Path(scratch) / "data", **{**ports, **settings}), clock
        )
        with server.store.writing() as tx:
            user = identity.add_user(tx, int(clock() * 1000), name="tester", role=role)
            key, secret = identity.add_credentials(tx, user)
        up = threading.Event()

        def serve() -> None:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(server.serve(up.set))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert up.wait(PATIENCE_SECONDS), "the server did not come up"
        urls = server.urls
        with httpx.Client(timeout=PATIENCE_SECONDS, verify=trust) as client:
            token = client.get(f"{urls['api']}/auth.login", auth=(key, secret)).json()["data"]["token"]
            try:
                yield Running(
                    server, urls["api"], urls["web"], urls["files"], key, secret, user, client, token
                )
            finally:
                server.stop()
                thread.join(PATIENCE_SECONDS)
