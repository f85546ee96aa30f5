"""Grounds for the three deployments: real supervisors, a real embedded server, real agents, a real engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stackyard.agents.slots import Slot
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Sender
from stackyard.launch import Launcher
from stackyard.launch.agent import AgentDeployment, AgentLauncher
from stackyard.launch.bare import BareDeployment
from stackyard.launch.container import ContainerDeployment, ContainerLauncher
from stackyard.launch.contract import Ground, code_in
from stackyard.launch.deployment import Deployment, Premises
from stackyard.launch.dispatch import DispatchedRun
from stackyard.settings import Settings
from stackyard.stacks import images
from tests.engine import base_image, engine, stack_image  # noqa: F401 - fixtures
from tests.installation.agents import RunningAgent, agent_of, connection_of
from tests.stackyard_server.running import Running, running_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A class that inherits the contract may leave some of its tests to the full counts."""
    for item in items:
        own = getattr(item, "originalname", None) or item.name
        if own in getattr(getattr(item, "cls", None), "at_full_counts", ()):
            item.add_marker("long")


STACK = "torch-2.13.0-cpu"
STACKS = {STACK: {"python": sys.executable, "digest": None, "environment": {}}}


@dataclass
class AgentGround(Ground):
    """Runs of an agent's own: wherever they are, they bear its mark."""

    agent: RunningAgent = field(kw_only=True)
    client: Client = field(kw_only=True)

    def processes(self) -> list[int]:
        return [pid for pid in self.agent.marked() if pid != self.agent.process.pid]

    def log(self) -> str:
        text = (self.agent.home / "log" / "agent.log").read_text(errors="replace")[-3000:]
        for run in self.runs[-1:]:
            assert isinstance(run, DispatchedRun)
            events = self.client.call("events.get_task_log", task=run.id, order="asc")["events"]
            text += "\n".join(event["msg"] for event in events)[-4000:]
        return text


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


@pytest.fixture(scope="session")
def contract_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot that holds the contract's workloads too."""
    return code_in(tmp_path_factory.mktemp("contract-code"))


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


def premises(home: Path) -> Premises:
    return Premises.here(Settings(home=home), {})


@pytest.fixture(scope="session")
def bare(contract_code: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    deployment = BareDeployment(premises(tmp_path_factory.mktemp("bare-home")))
    return Ground(deployment, deployment.launcher(0), contract_code, stack=STACK)


@pytest.fixture(scope="session")
def on_agent(
    contract_code: Path, server: Running, sender: Sender, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentGround]:
    home = tmp_path_factory.mktemp("agent-home")
    with agent_of(home, connection_of(server), Slot("cpu-0", "cpu"), STACKS) as agent:
        deployment, launcher = AgentDeployment(premises(home)), AgentLauncher(sender, "cpu")
        yield ground_of(deployment, launcher, contract_code, agent, sender)


@pytest.fixture(scope="session")
def in_container(
    contract_code: Path,
    server: Running,
    sender: Sender,
    stack_image: Callable[[str], images.StackImage],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AgentGround]:
    image = stack_image(STACK)
    home = tmp_path_factory.mktemp("container-home")
    slot = Slot("cpu-container-0", "cpu-container", in_container=True)
    with agent_of(home, connection_of(server), slot, STACKS, {STACK: image.image_id}) as agent:
        launcher = ContainerLauncher(sender, "cpu-container", lambda stack: image.reference)
        yield ground_of(ContainerDeployment(premises(home)), launcher, contract_code, agent, sender)


WHOLE = pytest.param("agent", marks=pytest.mark.whole)
ENGINE = pytest.param("container", marks=(pytest.mark.whole, pytest.mark.engine))


def ground_of(
    deployment: Deployment, launcher: Launcher, code: Path, agent: RunningAgent, sender: Sender
) -> AgentGround:
    worker = agent.prepared.worker
    return AgentGround(
        deployment, launcher, code, stack=STACK, worker=worker, agent=agent, client=sender.client
    )


@pytest.fixture(params=["bare", WHOLE, ENGINE])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Each deployment in turn."""
    found: Ground = request.getfixturevalue(
        {"bare": "bare", "agent": "on_agent", "container": "in_container"}[request.param]
    )
    return found


@pytest.fixture(params=[WHOLE, ENGINE])
def dispatched(request: pytest.FixtureRequest) -> AgentGround:
    """Each deployment that goes through a server."""
    found: AgentGround = request.getfixturevalue(
        {"agent": "on_agent", "container": "in_container"}[request.param]
    )
    return found
