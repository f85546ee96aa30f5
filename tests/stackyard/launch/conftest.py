"""The three deployments for tests: real supervisors, a real embedded server, real agents, a real engine."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stackyard.agents.slots import Slot
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Sender
from stackyard.launch import Launcher, Place, Started
from stackyard.launch.agent import AgentLauncher
from stackyard.launch.bare import BareLauncher
from stackyard.launch.container import ContainerLauncher
from stackyard.stacks import images
from stackyard.workloads import catalogue
from stackyard_task.records import RunRecord, StackPin, TaskSpec, read_json
from tests.engine import base_image, engine, stack_image  # noqa: F401 - fixtures
from tests.installation.agents import RunningAgent, agent_of, connection_of
from tests.stackyard_server.running import Running, running_server
from tests.waiting import until

STACK = "torch-2.13.0-cpu"
STACKS = {STACK: {"python": sys.executable, "digest": None, "environment": {}}}


@dataclass
class Deployment:
    """A launcher, and what a test needs to know of where its runs happen."""

    name: str
    launcher: Launcher
    code: Path
    server: Running | None = None
    agent: RunningAgent | None = None
    client: Client | None = None
    #: Folder the runs' own temporary folders are made in; ``None``: inside a container.
    temporary: Path | None = None
    runs: list[Any] = field(default_factory=list)

    def start(self, folder: Path, task: TaskSpec) -> Started:
        folder.mkdir(parents=True)
        run = self.launcher.start(task, Place(folder, Path(sys.executable), self.code))
        self.runs.append(run)
        return run

    def ended(self, run: Started) -> int:
        def status() -> tuple[int] | None:
            found = run.wait(0.5)
            return None if found is None else (found,)

        return until(status, "the run to end", lambda: f"{getattr(run, 'trouble', None)}\n{self.log()}")[0]

    def until_at_work(self, run: Started, folder: Path) -> None:
        """Wait until the workload itself has reported progress."""

        def at_work() -> bool:
            assert run.wait(0.05) is None, f"ended early: {self.log()}"
            with suppress(OSError, ValueError):
                return bool(json.loads((folder / "progress.json").read_text()).get("done"))
            return False

        until(at_work, "progress", self.log)

    def processes(self) -> list[int]:
        """Processes of the runs, the agent itself left out."""
        if self.agent is None:
            return [run.pid for run in self.runs if Path(f"/proc/{run.pid}").exists() and run.wait(0) is None]
        return [pid for pid in self.agent.marked() if pid != self.agent.process.pid]

    def nothing_left(self) -> None:
        until(
            lambda: not self.processes(),
            "all it started to end",
            lambda: [command(p) for p in self.processes()],
        )

    def log(self) -> str:
        if self.agent is None:
            return ""
        text = (self.agent.home / "log" / "agent.log").read_text(errors="replace")[-3000:]
        if self.client is not None and self.runs:
            events = self.client.call("events.get_task_log", task=self.runs[-1].id, order="asc")["events"]
            text += "\n".join(event["msg"] for event in events)[-4000:]
        return text


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


def task(workload: str, **more: Any) -> TaskSpec:
    """A task of one of the contract's workloads."""
    return TaskSpec("matrix/b01", f"contract_work:{workload}", stack=StackPin(STACK), **more)


def record_in(folder: Path) -> RunRecord:
    return read_json(RunRecord, folder / "record.json")


@pytest.fixture(scope="session")
def contract_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot that holds the contract's workloads too."""
    folder = tmp_path_factory.mktemp("contract-code")
    for source in catalogue.installed():
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("contract_work.py"), folder)
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[Client]:
    with Client(connection_of(server)) as found:
        yield found


@pytest.fixture(scope="session")
def sender(client: Client) -> Sender:
    return Sender(client)


@pytest.fixture(scope="session")
def bare(contract_code: Path) -> Deployment:
    return Deployment("bare", BareLauncher(), contract_code)


@pytest.fixture(scope="session")
def on_agent(
    contract_code: Path, server: Running, sender: Sender, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("agent-home")
    with agent_of(home, connection_of(server), Slot("cpu-0", "cpu"), STACKS) as agent:
        yield Deployment(
            "agent",
            AgentLauncher(sender, "cpu"),
            contract_code,
            server,
            agent,
            sender.client,
            agent.home / "tmp",
        )


@pytest.fixture(scope="session")
def in_container(
    contract_code: Path,
    server: Running,
    sender: Sender,
    stack_image: Callable[[str], images.StackImage],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    image = stack_image(STACK)
    home = tmp_path_factory.mktemp("container-home")
    slot = Slot("cpu-container-0", "cpu-container", in_container=True)
    with agent_of(home, connection_of(server), slot, STACKS, {STACK: image.image_id}) as agent:
        launcher = ContainerLauncher(sender, "cpu-container", lambda stack: image.reference)
        yield Deployment("container", launcher, contract_code, server, agent, sender.client)


WHOLE = pytest.param("agent", marks=pytest.mark.whole)
ENGINE = pytest.param("container", marks=(pytest.mark.whole, pytest.mark.engine))


@pytest.fixture(params=["bare", WHOLE, ENGINE])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Each deployment in turn."""
    fixture = {"bare": "bare", "agent": "on_agent", "container": "in_container"}[request.param]
    found: Deployment = request.getfixturevalue(fixture)
    return found


@pytest.fixture(params=[WHOLE, ENGINE])
def dispatched(request: pytest.FixtureRequest) -> Deployment:
    """Each deployment that goes through a server."""
    found: Deployment = request.getfixturevalue(
        {"agent": "on_agent", "container": "in_container"}[request.param]
    )
    return found


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    """A data file and a model folder, as parameters."""
    data, model = tmp_path / "given" / "some data.txt", tmp_path / "given" / "model"
    (model / "weights").mkdir(parents=True)
    data.write_text("line one\nline two\n")
    (model / "weights" / "words.txt").write_text("words")
    (model / "model.json").write_text("{}")
    return {"data": str(data), "model": str(model)}
