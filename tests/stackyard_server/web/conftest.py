"""A running server with something to see, and a browser to see it with."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stackyard_server import identity
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server

LOGIN, PASSWORD = "ada", "correct horse battery"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server with a user who has a password, a queue, and a task with parameters, scalars, a log and an artifact."""
    with running_server() as running:
        with running.store.writing() as tx:
            identity.add_user(tx, int(time.time() * 1000), name="Ada", login=LOGIN, password=PASSWORD)
        fill(running)
        yield running


def fill(server: Running) -> None:
    """One finished task, as a client would leave it."""
    project = server.call("projects.create", name="vision/detector")["id"]
    server.call("queues.create", name="cpu")
    parameter = {
        "section": "Args",
        "name": "rate",
        "value": "0.1",
        "type": "float",
        "description": "step size",
    }
    task = server.call(
        "tasks.create",
        name="train one",
        type="training",
        project=project,
        hyperparams={
            "Args": {"rate": parameter, "note": {"section": "Args", "name": "note", "value": "<b>x</b>"}}
        },
        script={"binary": "python3", "repository": "", "entry_point": "train.py", "diff": "print('hi')\n"},
    )["id"]
    server.call("tasks.started", task=task, force=True)
    events: list[dict[str, Any]] = [
        {
            "type": "training_stats_scalar",
            "task": task,
            "metric": "loss",
            "variant": v,
            "iter": i,
            "value": 1 / (i + k),
        }
        for i in range(50)
        for k, v in ((1, "train"), (2, "valid"))
    ]
    events.append(
        {
            "type": "training_stats_scalar",
            "task": task,
            "metric": "Summary",
            "variant": "F1",
            "iter": -(2**31),
            "value": 0.93,
        }
    )
    events += [
        {"type": "log", "task": task, "level": "info", "msg": f"epoch {i}", "worker": "w"} for i in range(20)
    ]
    events.append(
        {"type": "log", "task": task, "level": "error", "msg": "<script>alert(1)</script>", "worker": "w"}
    )
    server.call_lines("events.add_batch", events)
    address = f"{server.files}/vision/train%20one.{task}/artifacts/report/report.json"
    artifact = {
        "key": "report",
        "type": "dict",
        "uri": address,
        "mode": "output",
        "content_size": 15,
        "hash": "ab" * 32,
    }
    server.call("tasks.add_or_update_artifacts", task=task, artifacts=[artifact])
    path = f"/vision/train one.{task}/artifacts/report/report.json"
    sent = server.client.post(
        server.files,
        files={path: (path, b'{"answer": 42}\n')},
        headers={"Authorization": f"Bearer {server.token}"},
    )
    assert sent.status_code == 200, sent.text
    server.call("tasks.completed", task=task, force=True)


@pytest.fixture(
    scope="module"
)  # while it runs, so does an event loop in this thread: other modules start their own
def browser() -> Iterator[Any]:
    """A headless Chromium; skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    quiet = [
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", *quiet]
        )
        yield launched
        launched.close()


@contextmanager
def opened(browser: Any, server: Running, session: Any = None) -> Iterator[Any]:
    """A page with the cookies of a session; a message on the browser's console fails the test."""
    context = browser.new_context(base_url=server.web, storage_state=session)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    yield page
    context.close()
    assert complaints == []


@contextmanager
def signed_in(browser: Any, server: Running) -> Iterator[Any]:
    """A page of someone who has just signed in, by the form."""
    with opened(browser, server) as page:
        page.goto("/login")
        page.get_by_label("Name").fill(LOGIN)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(server.web + "/")
        yield page


@pytest.fixture(scope="module")
def session(server: Running, browser: Any) -> Any:
    """What a browser keeps of someone who signed in."""
    with signed_in(browser, server) as page:
        return page.context.storage_state()


@pytest.fixture
def page(server: Running, browser: Any, session: Any) -> Iterator[Any]:
    """The first page of someone who signed in."""
    with opened(browser, server, session) as page:
        page.goto("/")
        yield page
