"""A whole installation in a folder of a test: embedded server, services process, real agents; and what breaks it.

Everything is started by ``stackyard up`` as a user would, on free ports, and is gone when the block is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from stackyard import workloads
from stackyard.agents.configuration import SLOT_LABEL
from stackyard.agents.lineage import Identity, marked_for
from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.clearml.collecting import console
from stackyard.clearml.connection import Connection
from stackyard.clearml.sending import Sender
from stackyard.clearml.tasks import submissions
from stackyard.machine import docker_engine
from stackyard.services.files import ServicesFiles
from stackyard.settings import Settings
from stackyard.stacks import DEFAULT, images
from stackyard_task import records
from stackyard_task.records import Limits, RunRecord, TaskSpec
from tests.waiting import PATIENCE_SECONDS, until

from .relay import Relay

ROOT = Path(__file__).resolve().parents[2]
FINAL = ("completed", "failed", "stopped")
MODULE = "faulty"
CONTAINER_QUEUE = "cpu-container"

QUEUES = """
[queues.cpu]
deployment = "agent"
slots = {slots}
retries = {retries}
silence_seconds = 30
time_limit_seconds = {time_limit_seconds}

[queues.cpu-container]
deployment = "container"
slots = {containers}
retries = 1
"""


class Lab:
    """One installation.

    Args:
        home: its folder.
        variables: what its commands see of the environment besides the usual.
    """

    def __init__(self, home: Path, variables: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.files = ServicesFiles(home)
        self.settings = Settings(home)
        self.ports = dict(zip(("web", "api", "files"), free_ports(3), strict=True))
        ports = {f"STACKYARD_SERVER_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        self.variables = {
            **{
                k: v
                for k, v in os.environ.items()
                if not k.startswith(("CLEARML", "TRAINS", "STACKYARD_", "PYTHON"))
            },
            "STACKYARD_HOME": str(home),
            "HOME": str(home),
            **ports,
            **(variables or {}),
        }
        #: What stands before each command: nothing, or what runs it elsewhere.
        self.through: list[str] = []
        #: On the way to its file server, where it was asked for.
        self.relay: Relay | None = None
        #: Whether the last task that was looked at completed, so that nobody has to try it once more.
        self.works = False
        self._code: Path | None = None
        self._found: tuple[int, Connection] | None = None

    # -- commands ----------------------------------------------------------------------------------

    def stackyard(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command, as a user types it."""
        done = subprocess.run(
            [*self.through, sys.executable, "-m", "stackyard.cli.main", *arguments],
            env=self.variables,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"stackyard {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, config: Path | None = None, **queues: Any) -> None:
        """Start everything; or only agents, for the server whose key ``config`` holds."""
        chosen = {"slots": 1, "retries": 2, "time_limit_seconds": 3600, "containers": 0, **queues}
        self.queues_file.write_text(QUEUES.format(**chosen))
        self.stackyard(*self.up_words, *(["--config", str(config)] if config else []))

    @property
    def queues_file(self) -> Path:
        """Its queues.toml."""
        return self.home / "queues.toml"

    @property
    def up_words(self) -> list[str]:
        """The command that starts everything as it was told last."""
        return ["up", "--no-templates", "--no-web-app", "--queues", str(self.queues_file)]

    def down(self) -> None:
        """End everything, running tasks too."""
        self.stackyard("down", "--abort")

    # -- tasks -------------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Our side's client; the file it takes its key from is read again when it has changed."""
        file = self.home / connection.CONFIG_FILE
        written = file.stat().st_mtime_ns
        if self._found is None or self._found[0] != written:
            self._found = written, connection.find(self.settings, file)
        return Client(self._found[1])

    def code(self) -> Path:
        """The package with the faulty workloads in it."""
        if self._code is None:
            taken, _ = workloads.load().taken(self.home)
            self._code = self.home / "faulty-code"
            shutil.copytree(taken, self._code)
            shutil.copyfile(ROOT / "tests" / "faults" / "faulty.py", self._code / "faulty.py")
        return self._code

    def submit(
        self,
        function: str,
        *,
        queue: str = "cpu",
        limits: Limits | None = None,
        time_limit_seconds: float | None = None,
        container: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> str:
        """Put a task with one of the faulty workloads into a queue; its id."""
        with self.client as client:
            sender = Sender(client)
            spec = TaskSpec(
                run_id=f"faults/{function}",
                workload=f"{MODULE}:{function}",
                parameters=parameters,
                limits=limits or Limits(),
                time_limit_seconds=time_limit_seconds,
            )
            fields = {"container": dict(container)} if container else {}
            id = sender.create(spec, sender.script(self.code()), f"{function}", **fields)
            client.call("tasks.enqueue", task=id, queue_name=queue)
            return id

    def submit_boxed(self, function: str, *, memory: str | None = None, **parameters: Any) -> str:
        """The same in a container of the default stack's image."""
        image = images.recorded(self.settings)[DEFAULT].reference
        arguments = f"--memory={memory}" if memory else ""
        chosen = {"image": image, "arguments": arguments}
        return self.submit(function, queue=CONTAINER_QUEUE, container=chosen, **parameters)

    def abort(self, id: str) -> None:
        """What ``stackyard task abort`` does, but at once: a command takes longer to start than some states last."""
        with self.client as client:
            submissions.abort(client, self.task(id))

    def containers(self) -> list[str]:
        """The containers that this installation's agents started, running or not: id and status."""
        found = docker_engine.connect().containers(SLOT_LABEL)
        return [
            f"{one.id[:12]} {one.status}"
            for one in found
            if one.labels[SLOT_LABEL].startswith(self.files.mark_prefix)
        ]

    def task(self, id: str) -> dict[str, Any]:
        """The task's document."""
        with self.client as client:
            found: dict[str, Any] = client.call("tasks.get_by_id", task=id)["task"]
            return found

    def ended(self, id: str) -> dict[str, Any]:
        """The task's document, once it has its final status."""
        return until(
            lambda: (t := self.task(id))["status"] in FINAL and t, f"the end of task {id}", self.console(id)
        )

    def runs(self, id: str) -> psutil.Process:
        """The workload's process, once the task's workload runs."""
        return until(
            lambda: self.child(id), "the workload to run", lambda: f"{self.task(id)}\n{self.console(id)()}"
        )

    def child(self, id: str) -> psutil.Process | None:
        """The workload's process of this installation (one at a time); ``None``: none runs."""
        for process in self.processes():
            with suppress(psutil.Error):
                if "stackyard_task.child" in process.cmdline() and self.task(id)["status"] == "in_progress":
                    return process
        return None

    def console(self, id: str) -> Callable[[], str]:
        """Reads the task's console."""

        def read() -> str:
            with self.client as client:
                return "\n".join(console(client, id)[-25:])

        return read

    def record(self, id: str) -> RunRecord | None:
        """The record the task left; ``None``: it left none."""
        artifacts = {a["key"]: a["uri"] for a in self.task(id).get("execution", {}).get("artifacts") or []}
        if "record" not in artifacts:
            return None
        file = self.home / f"record-{id}.json"
        with self.client as client:
            client.download(artifacts["record"], file)
        return records.read_json(RunRecord, file)

    # -- processes ---------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """What the agents of this installation are and started, containers' processes apart."""
        found = []
        for identity in marked_for(self.files.mark_prefix):
            with suppress(psutil.Error):
                found.append(psutil.Process(identity.pid))
        return found

    def agent(self, slot: str = "cpu-0") -> Identity:
        """The agent of a slot, once it runs and the server knows it."""

        def found() -> Identity | None:
            for known in self.files.state().get("slots", []):
                if known["slot"] == slot and known["pid"] is not None:
                    identity = Identity(known["pid"], known["started"])
                    if identity.alive() and self._registered(known["worker"]):
                        return identity
            return None

        return until(found, f"the agent of slot {slot}", lambda: str(self.files.state()))

    def _registered(self, worker: str) -> bool:
        with self.client as client:
            return any(w["id"] == worker for w in client.call("workers.get_all")["workers"])

    def quiet(self) -> None:
        """Wait until no process of a task is left: agents alone."""

        def alone() -> bool:
            agents = {s["pid"] for s in self.files.state().get("slots", [])}
            return all(process.pid in agents for process in self.processes())

        until(alone, "the processes of tasks to end", lambda: str([p.cmdline() for p in self.processes()]))


@contextmanager
def lab(home: Path, *, relayed: bool = False, **queues: Any) -> Iterator[Lab]:
    """An installation that is up.

    Args:
        home: its folder.
        relayed: whether the way to its file server can be held.
        queues: what its queues.toml says.
    """
    home.mkdir(parents=True, exist_ok=True)
    made = Lab(home)
    if relayed:
        made.relay = Relay(made.ports["files"])
        made.variables["STACKYARD_SERVER_FILES_URL"] = made.relay.url
    try:
        made.up(**queues)
        yield made
    except BaseException:
        for log in sorted(home.glob("**/*.log")):
            if log.is_file() and log.stat().st_size:
                print(f"--- {log.relative_to(home)}\n{log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        made.down()
        if made.relay is not None:
            made.relay.close()
        left = [p.cmdline() for p in made.processes()]
        for process in made.processes():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        assert not left, f"left behind: {left}"


@contextmanager
def beyond(home: Path, address: str, through: list[str]) -> Iterator[Lab]:
    """A machine whose agents reach a server on this one at ``address``, and whose commands run ``through``."""
    home.mkdir()
    far, server = Lab(home), home / "server"
    ports = [word for name, port in far.ports.items() for word in (f"--{name}-port", str(port))]
    far.stackyard("server", "start", "--background", "--folder", str(server), "--host", address, *ports)
    try:
        config = home / "there.conf"
        far.stackyard("server", "config", "--folder", str(server), "--to", str(config))
        far.through = through
        far.up(config=config)
        yield far
    finally:
        far.down()
        far.through = []
        far.stackyard("server", "stop", "--folder", str(server))


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
