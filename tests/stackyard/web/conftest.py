"""A real embedded server with tasks of a person, the web app beside it, and a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from stackyard.clearml.client import Client
from stackyard.clearml.connection import Connection
from stackyard.web.server import Listening, Wishes
from stackyard_server import identity
from tests.stackyard.comparing.lab import Lab, measured
from tests.stackyard_server.running import Running, running_server
from tests.stackyard_server.web.conftest import browser  # noqa: F401 - a fixture
from tests.waiting import PATIENCE_SECONDS

NAME, PASSWORD = "ada", "correct horse battery"


@dataclass
class WebApp:
    """A web app that answers."""

    listening: Listening
    address: str

    def visitor(self, **given: Any) -> httpx.Client:
        """Somebody who asks it without a browser; redirects are not followed."""
        return httpx.Client(base_url=self.address, timeout=PATIENCE_SECONDS, **given)

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """The same, once signed in by the form."""
        with self.visitor() as visitor:
            answer = sign_in(visitor, NAME, PASSWORD)
            assert answer.status_code == 303, answer.text
            yield visitor


def sign_in(visitor: httpx.Client, name: str, secret: str, **headers: str) -> httpx.Response:
    """The answer to the form."""
    origin = {"Origin": str(visitor.base_url).rstrip("/"), **headers}
    return visitor.post("/login", data={"name": name, "secret": secret}, headers=origin)


@contextmanager
def web_app(connection: Connection, *folders: Path, **wishes: Any) -> Iterator[WebApp]:
    """A web app on a free port, in a thread."""
    listening = Listening(Wishes(connection, port=0, folders=folders, **wishes))
    up = threading.Event()
    server = listening.server(up.set)
    thread = threading.Thread(target=listening.run, args=(server,), daemon=True)
    thread.start()
    assert up.wait(PATIENCE_SECONDS), "the web app did not come up"
    try:
        yield WebApp(listening, listening.address)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        with running.store.writing() as tx:
            identity.add_user(tx, int(time.time() * 1000), name="Ada L.", login=NAME, password=PASSWORD)
        yield running


@pytest.fixture(scope="module")
def addresses(server: Running) -> Connection:
    return Connection(server.api, server.web, server.files)


@pytest.fixture(scope="module")
def client(server: Running, addresses: Connection) -> Iterator[Client]:
    with Client(addresses.with_key(server.access_key, server.secret_key)) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where reports lie."""
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def app(addresses: Connection, folder: Path) -> Iterator[WebApp]:
    with web_app(addresses, folder) as running:
        yield running


@pytest.fixture(scope="module")
def sweep(client: Client) -> Lab:
    """A project: two rates, 6 seeds each, one measured stack each; a task that failed, with a hostile name."""
    lab = Lab(client, "Vision/detector")
    for seed in range(6):
        for rate, stack in ((0.1, "old"), (0.2, "new")):
            run = measured(10 * (1 + rate) + seed / 100)
            run.environment.stack = stack
            lab.task(
                {"Args/lr": rate, "Args/seed": seed},
                {"loss/val": [1.0, rate + seed / 1000], "Summary/accuracy": [0.9 + seed / 1000]},
                run=run,
                tags=["sweep"],
            )
    lab.task(
        {"Args/lr": 0.1, "Args/seed": 9}, {}, end="failed", name="<script>alert(1)</script>", tags=["<b>"]
    )
    return lab


@contextmanager
def opened(browser: Any, app: WebApp, **context: Any) -> Iterator[Any]:  # noqa: F811
    """A page of a browser; a message on its console fails the test, but that somebody is not signed in yet."""
    made = browser.new_context(base_url=app.address, **context)
    page = made.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    yield page
    made.close()
    assert [text for text in complaints if "401" not in text] == []
