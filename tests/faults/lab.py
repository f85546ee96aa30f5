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
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from stackyard import connection
from stackyard.agents.agent import Identity, marked_for
from stackyard.clearml_client import Client
from stackyard.launch import snapshot
from stackyard.launch.collecting import console
from stackyard.launch.sending import Sender
from stackyard.services.site import Site
from stackyard.settings import Settings
from stackyard_task import records
from stackyard_task.records import Limits, RunRecord, TaskSpec

ROOT = Path(__file__).resolve().parents[2]
#: Waiting ends as soon as what is waited for is there; this only ends what hangs.
PATIENCE_SECONDS = 120.0
FINAL = ("completed", "failed", "stopped")
MODULE = "stackyard_task.faulty"

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
        self.site = Site(home)
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
        self._code: Path | None = None

    # -- commands ----------------------------------------------------------------------------------

    def stackyard(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command, as a user types it."""
        done = subprocess.run(
            [sys.executable, "-m", "stackyard.cli.main", *arguments],
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

    def up(self, **queues: Any) -> None:
        """Start everything."""
        file = self.home / "queues.toml"
        chosen = {"slots": 1, "retries": 2, "time_limit_seconds": 3600, "containers": 0, **queues}
        file.write_text(QUEUES.format(**chosen))
        self.stackyard("up", "--queues", str(file))

    def down(self) -> None:
        """End everything, running tasks too."""
        self.stackyard("down", "--abort")

    # -- tasks -------------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Our side's client."""
        return Client(connection.find(self.settings, self.home / connection.CONFIG_FILE))

    def code(self) -> Path:
        """The package with the faulty workloads in it."""
        if self._code is None:
            taken, _ = snapshot.taken(self.home)
            self._code = self.home / "faulty-code"
            shutil.copytree(taken, self._code)
            shutil.copyfile(
                Path(__file__).with_name("faulty.py"), self._code / "stackyard_task" / "faulty.py"
            )
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
        for identity in marked_for(self.site.mark_prefix):
            with suppress(psutil.Error):
                found.append(psutil.Process(identity.pid))
        return found

    def agent(self, slot: str = "cpu-0") -> Identity:
        """The agent of a slot, once it runs and the server knows it."""

        def found() -> Identity | None:
            for known in self.site.state().get("slots", []):
                if known["slot"] == slot and known["pid"] is not None:
                    identity = Identity(known["pid"], known["started"])
                    if identity.alive() and self._registered(known["worker"]):
                        return identity
            return None

        return until(found, f"the agent of slot {slot}", lambda: str(self.site.state()))

    def _registered(self, worker: str) -> bool:
        with self.client as client:
            return any(w["id"] == worker for w in client.call("workers.get_all")["workers"])

    def quiet(self) -> None:
        """Wait until no process of a task is left: agents alone."""

        def alone() -> bool:
            agents = {s["pid"] for s in self.site.state().get("slots", [])}
            return all(process.pid in agents for process in self.processes())

        until(alone, "the processes of tasks to end", lambda: str([p.cmdline() for p in self.processes()]))


@contextmanager
def lab(home: Path, **queues: Any) -> Iterator[Lab]:
    """An installation that is up."""
    home.mkdir(parents=True, exist_ok=True)
    made = Lab(home)
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
        left = [p.cmdline() for p in made.processes()]
        for process in made.processes():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        assert not left, f"left behind: {left}"


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def until(what: Callable[[], Any], doing: str, otherwise: Callable[[], str] = str) -> Any:
    """What the function answers once that is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:.0f} s for {doing}; {otherwise()}"
        time.sleep(0.05)
    return found


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
