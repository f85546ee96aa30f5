"""What is measured: an embedded server, agents as `stackyard up` configures them, and launchers for them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.result import NotHere
from bench.server.processes import Ours, ours
from stackyard import stacks
from stackyard.agents.slots import Slot
from stackyard.clearml.client import Client
from stackyard.clearml.connection import Connection
from stackyard.clearml.sending import Sender
from stackyard.launch import Launcher, Place
from stackyard.launch.agent import AgentLauncher
from stackyard.launch.bare import BareLauncher
from stackyard.launch.container import ContainerLauncher
from stackyard.machine.docker_engine import obstacle
from stackyard.settings import Settings
from stackyard.stacks import images
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import packages, snapshot
from stackyard_task.records import RunRecord, StackPin, TaskSpec, read_json
from tests.installation.agents import agent_of

#: Ends what hangs; everything waited for ends sooner.
PATIENCE_SECONDS = 300.0
TINY = '''"""The task that does nothing: what is left is the way there and back."""


def work(parameters, channel, output):
    channel.results(answer=sum(range(1000)))
'''


@dataclass
class Yard:
    """A server, and a folder for everything else."""

    home: Path
    server: Ours
    client: Client
    sender: Sender
    settings: Settings
    stack: StackSpec
    python: Path
    code: Path
    _runs: int = 0
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def pin(self, *, checked: bool) -> StackPin:
        """The stack's pin; not ``checked``: only its digest, so that no torch is loaded to do nothing."""
        return self.stack.pin if checked else StackPin(self.stack.name, self.stack.digest)

    def tiny(self) -> TaskSpec:
        """A task that does nothing."""
        return TaskSpec("tiny", "bench_tiny:work", stack=self.pin(checked=False))

    def run(self, launcher: Launcher, task: TaskSpec) -> RunRecord:
        """The record of one run, waited for."""
        folder = self.place()
        run = launcher.start(task, Place(folder, self.python, self.code))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while run.wait(1.0) is None:
            if time.monotonic() > deadline:
                run.kill()
                raise NotHere(f"a run did not end within {PATIENCE_SECONDS:g} s")
        record = read_json(RunRecord, folder / "record.json")
        if record.failure is not None:
            raise NotHere(f"a run failed: {record.failure.kind}: {record.failure.message}")
        return record

    def place(self) -> Path:
        """A new run folder."""
        self._runs += 1
        self.newest.mkdir(parents=True)
        return self.newest

    @property
    def newest(self) -> Path:
        """The run folder made last."""
        return self.home / "runs" / f"{self._runs:04d}"

    def image(self) -> images.StackImage:
        """The stack's image.

        Raises:
            NotHere: there is no engine, or no image of the stack as it is pinned.
        """
        missing = obstacle()
        if missing:
            raise NotHere(missing)
        found = images.recorded(self.settings).get(self.stack.name)
        if found is None or found.stack_digest != self.stack.digest:
            raise NotHere(
                f"no image of {self.stack.name}; make one: stackyard stack image build {self.stack.name}"
            )
        return found

    def launcher(self, deployment: str) -> Launcher:
        """The launcher of a deployment."""
        if deployment == "bare":
            return BareLauncher()
        if deployment == "agent":
            return AgentLauncher(self.sender, "cpu")
        reference = self.image().reference
        return ContainerLauncher(self.sender, "cpu-container", lambda stack: reference)

    def connection(self) -> Connection:
        """Where the server is."""
        return self.client.connection

    @contextmanager
    def agent(self, deployment: str, queue: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """An agent as `stackyard up` starts it, until the block is left."""
        in_container = deployment == "container"
        queue = queue or ("cpu-container" if in_container else "cpu")
        images = {self.stack.name: self.image().image_id} if in_container else {}
        slot = Slot(f"{queue}-0", queue, in_container)
        held = _held(self.stack, self.python)
        with agent_of(self.home, self.connection(), slot, held, images, machine="bench") as agent:
            self.agents.append(agent.process)
            try:
                yield agent.process
            finally:
                self.agents.remove(agent.process)


@contextmanager
def yard(home: Path, stack_name: str = stacks.DEFAULT) -> Iterator[Yard]:
    """A yard with a running server."""
    settings = Settings.from_environment()
    stack = stacks.load()[stack_name]
    python = stacks.python_of(stack, settings)
    if python is None:
        raise NotHere(f"stack {stack_name} is not built; build it: stackyard stack build {stack_name}")
    code = home / "code"
    for source in packages.folders():
        shutil.copytree(source, code / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "bench_tiny.py").write_text(TINY)
    snapshot.warm(code, python, {}, ("numpy", "torch"))
    (home / "agents").mkdir()
    held = _held(stack, python)
    (home / "agents" / "stacks.json").write_text(json.dumps(held))
    with ours() as server:
        ports = [int(argument) for argument in server.process.cmdline() if argument.isdigit()]
        base = "http://127.0.0.1:"
        connection = Connection(
            server.api, f"{base}{ports[0]}", f"{base}{ports[2]}", server.access_key, server.secret_key
        )
        with Client(connection) as client:
            yield Yard(home, server, client, Sender(client), settings, stack, python, code)


def _held(stack: StackSpec, python: Path) -> dict[str, object]:
    return {
        stack.name: {
            "python": str(python),
            "digest": stack.digest,
            "environment": dict(stack.environment),
            "tunables": dict(stack.tunables),
        }
    }


@contextmanager
def running(
    command: list[str], environment: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session, its output in a log; ended when the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bench.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process as Ctrl-C does."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_worker(client: Client, worker: str) -> None:
    """Wait until an agent has said that it is there."""
    deadline = time.monotonic() + 60
    while not any(w["id"] == worker for w in client.call("workers.get_all", last_seen=60)["workers"]):
        if time.monotonic() > deadline:
            raise NotHere(f"worker {worker} did not appear within 60 s")
        time.sleep(0.1)
