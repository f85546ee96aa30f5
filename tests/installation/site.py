"""A ClearML server and a real agent for tests of what is dispatched: our client, a home, stacks to run on."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard import stacks, workloads
from stackyard.agents.slots import Slot
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Sender
from stackyard.settings import Settings
from stackyard.stacks.definition import StackSpec
from stackyard_server.admin.client_config import client_config
from stackyard_task.records import TaskSpec
from tests.stackyard_server.agents import console
from tests.stackyard_server.running import Running, running_server
from tests.waiting import until

from .agents import RunningAgent, agent_of, connection_of

QUEUE = "cpu"


@dataclass
class Site:
    """One server, one home, and the agents that serve there."""

    server: Running
    client: Client
    home: Path
    #: What its agents' tasks find as stacks.
    stacks: dict[str, Any]

    @contextmanager
    def serving(self, queue: str) -> Iterator[RunningAgent]:
        """An agent for a queue, called "here:QUEUE-0", until the block is left."""
        slot = Slot(f"{queue}-0", queue)
        with agent_of(self.home, self.client.connection, slot, self.stacks) as running:
            yield running

    @property
    def sender(self) -> Sender:
        return Sender(self.client)

    def task(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.call("tasks.get_by_id", task=id)["task"]
        return found

    def console(self, id: str) -> str:
        return console(self.server, id)

    def ended(self, id: str) -> dict[str, Any]:
        """The task, once it has ended."""
        over = ("completed", "failed", "stopped")
        until(lambda: self.task(id)["status"] in over, f"the end of {id}")
        return self.task(id)

    def run(self, spec: TaskSpec, code: Path, name: str = "a run") -> dict[str, Any]:
        """The task of a spec, once the agent has run it."""
        return self.ended(self.send(spec, code, name))

    def send(self, spec: TaskSpec, code: Path, name: str = "a run") -> str:
        sender = self.sender
        id = sender.create(spec, sender.script(code), name)
        self.client.call("tasks.enqueue", task=id, queue_name=QUEUE)
        return id

    def artifact(self, task: dict[str, Any], name: str) -> Path:
        """A copy of an artifact."""
        held = {a["key"]: a for a in task["execution"]["artifacts"]}
        assert name in held, f"{sorted(held)}: {task['status']} {task.get('status_reason')}"
        file = self.home / f"{task['id']}-{name}"
        self.client.download(held[name]["uri"], file)
        return file

    def record(self, task: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.artifact(task, "record").read_text())
        return found


def default_stack() -> tuple[StackSpec, Path | None]:
    """The default stack and its Python in the home these tests run with; ``None``: not built."""
    stack = stacks.load()[stacks.DEFAULT]
    return stack, stacks.python_of(stack, Settings.from_environment())


@contextmanager
def site(home: Path, *, with_agent: bool = True) -> Iterator[Site]:
    """A server with queue ``cpu``, and an agent whose machine has the default stack (if built here) and "plain"."""
    home.mkdir(parents=True, exist_ok=True)
    stack, python = default_stack()
    held: dict[str, Any] = {"plain": {"python": sys.executable, "digest": None, "environment": {}}}
    if python is not None:
        held[stack.name] = {
            "python": str(python),
            "digest": stack.digest,
            "environment": dict(stack.environment),
        }
    with ExitStack() as stack_of:
        server = stack_of.enter_context(running_server())
        urls = {"api": server.api, "web": server.web, "files": server.files}
        (home / "clearml.conf").write_text(client_config(urls, server.access_key, server.secret_key))
        client = stack_of.enter_context(Client(connection_of(server)))
        client.call("queues.create", name=QUEUE)
        made = Site(server, client, home, held)
        if with_agent:
            stack_of.enter_context(made.serving(QUEUE))
        yield made


def snapshot_with(home: Path, modules: dict[str, str]) -> Path:
    """A snapshot of this checkout's task code, with further modules in it."""
    folder, _ = workloads.load().taken(home)
    copy = home / "code-for-tests"
    shutil.copytree(folder, copy)
    for name, text in modules.items():
        (copy / f"{name}.py").write_text(text)
    return copy
