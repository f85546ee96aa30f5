"""A real clearml-agent as ``stackyard up`` prepares it, for a server that runs anyhow. Tests and benches use it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackyard.agents import configuration
from stackyard.agents.slots import Slot
from stackyard.clearml.client import Client, ServerError
from stackyard.clearml.connection import Connection
from tests.stackyard_server.running import Running
from tests.waiting import until


class RunningAgent:
    """A clearml-agent as `stackyard up` starts it; known, with all it started, by the mark in their environment."""

    def __init__(self, prepared: configuration.Prepared) -> None:
        self.prepared = prepared
        self.mark = f"{configuration.MARK}={prepared.environment[configuration.MARK]}".encode()
        self.home = Path(prepared.folder)
        configuration.clean(self.home)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                prepared.command,
                env=dict(prepared.environment),
                cwd=self.home / "home",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> Path:
        """Where it says what goes wrong."""
        return self.home / "log" / "agent.log"

    def marked(self) -> list[int]:
        """It and everything it started that lives, in containers too."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if self.mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """End it as Ctrl-C does, then whatever is left of what it started."""
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        while left := self.marked():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        configuration.leave(self.home)


def connection_of(server: Running) -> Connection:
    """Where a server of the tests is, and a key for it."""
    return Connection(server.api, server.web, server.files, server.access_key, server.secret_key)


@contextmanager
def agent_of(
    home: Path,
    server: Connection,
    slot: Slot,
    stacks: Mapping[str, Any],
    images: Mapping[str, str] | None = None,
    machine: str = "here",
    shell: Mapping[str, str] | None = None,
) -> Iterator[RunningAgent]:
    """An agent that the server knows, with its queue; ended, with all it started, when the block is left.

    Args:
        home: of the machine that it is to be on.
        server: whom it serves.
        slot: its place.
        stacks: what its tasks find as the stacks of that machine.
        images: stack -> image id, of what may run in its containers.
        machine: the machine's name.
        shell: the environment of whoever called ``up``.
    """
    docker = shutil.which("docker")
    around = configuration.Surroundings(
        home=home,
        machine=machine,
        server=server,
        docker=Path(docker) if docker else None,
        network="host",
        shell=shell or {},
    )
    with Client(server) as client:
        with suppress(ServerError):  # it is there already
            client.call("queues.create", name=slot.queue)
        prepared = configuration.prepare(slot, images or {}, around)
        (home / "agents" / "stacks.json").write_text(json.dumps(stacks))
        agent = RunningAgent(prepared)
        try:
            until(
                lambda: prepared.worker in {w["id"] for w in client.call("workers.get_all")["workers"]},
                f"agent {prepared.worker}",
                lambda: agent.log.read_text(errors="replace")[-3000:],
            )
            yield agent
        finally:
            agent.stop()
