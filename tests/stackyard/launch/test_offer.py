"""What a server offers a matrix, and a matrix sent through it: a real server, a real agent, real tasks."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from stackyard.launch import LaunchError, installed, offer
from stackyard.launch.agent import AgentDeployment, AgentLauncher
from stackyard.launch.bare import BareLauncher
from stackyard.launch.container import ContainerDeployment
from stackyard.launch.deployment import Premises
from stackyard.launch.retries import RetryPolicy
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.matrix import site
from stackyard.matrix.stop import Stop
from stackyard.settings import Settings
from stackyard_server.rules.fate import Pauses
from stackyard_task.records import StackPin
from tests.installation import site as installation
from tests.waiting import until

STACK = stacks.DEFAULT


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[installation.Site]:
    with installation.site(tmp_path_factory.mktemp("site")) as running:
        until(lambda: running.client.call("workers.get_all", last_seen=60)["workers"], "the agent")
        yield running


def premises(home: Path) -> Premises:
    return Premises.here(Settings(home=home), stacks.load())


def reason(found: Premises, deployment: str = "agent", gpus: int = 0, workers: int = 1) -> str | None:
    """Why a cell cannot be sent through the server."""
    here = installed.named(deployment)(found)
    return here.why_not(STACK, HardwareSpec("any", gpus=gpus), workers)


def test_without_a_server_the_reason_is_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLEARML_CONFIG_FILE", raising=False)
    assert reason(premises(tmp_path)) == "no ClearML server is known: run `stackyard up`"


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer, "PATIENCE_SECONDS", 0.0)
    (tmp_path / "clearml.conf").write_text(
        'api { web_server: "http://127.0.0.1:9", api_server: "http://127.0.0.1:9", '
        'files_server: "http://127.0.0.1:9", credentials { access_key: "a", secret_key: "b" } }'
    )
    found = reason(premises(tmp_path))
    assert found is not None
    assert "http://127.0.0.1:9 does not answer" in found
    assert found.endswith("(run `stackyard up`)")


@pytest.mark.whole
def test_each_reason_is_told_in_words(server: installation.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found = premises(server.home)
    assert reason(found) == f"not built: run `stackyard stack build {STACK}`"
    few = reason(found, workers=2)
    assert few is not None
    assert few.startswith("1 of 2 workers serve queue cpu: give it more slots")
    # an agent for it would lack this too: `stackyard up` does not help
    assert reason(found, "container") == ContainerDeployment(found).stack_missing(STACK)
    monkeypatch.setattr(ContainerDeployment, "stack_missing", lambda deployment, stack: None)
    assert (reason(found, "container") or "").startswith(
        "no worker serves queue cpu-container: run `stackyard up`; "
    )
    server_only = offer.Offer(found.settings)
    assert server_only.is_local()
    assert (server_only.why_not("gpu", 1) or "").startswith(
        "no worker serves queue gpu: run `stackyard up`; "
    )
    assert (server_only.serves("cpu"), server_only.serves("gpu")) == (True, False)


def test_deployments_that_share_a_server_look_at_it_once(
    server: installation.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = premises(server.home)
    first, second = AgentDeployment(found), ContainerDeployment(found)
    assert first.offer.is_local()
    monkeypatch.setattr(offer.connection, "find", None)  # whoever asks again fails
    assert second.offer.why_not("cpu", 1) is None
    assert second.offer.sender is first.offer.sender


@pytest.mark.whole
def test_an_image_of_another_digest_is_not_this_stack(
    server: installation.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(server.home / "clearml.conf", tmp_path)
    held = {
        **{"image_id": "sha256:" + "1" * 64, "stack_digest": "f" * 64, "python": "3.11", "base": "b"},
        **{
            "base_id": "sha256:" + "2" * 64,
            "tag": "t",
            "built_at": "now",
            "size_bytes": 1,
            "repo_digests": [],
        },
        "agent": {},
    }
    (tmp_path / "images.json").write_text(json.dumps({STACK: held}))
    server.client.call("queues.create", name="cpu-container")
    with server.serving("cpu-container"):
        until(
            lambda: len(server.client.call("workers.get_all", last_seen=60)["workers"]) > 1,
            "the second agent",
        )
        found = ContainerDeployment(premises(tmp_path))
        monkeypatch.setattr(found, "_engine", object())
        other = found.why_not(STACK, HardwareSpec("any"), 1)
        monkeypatch.setattr(found, "_engine", "nothing answers")
        no_engine = found.why_not(STACK, HardwareSpec("any"), 1)
    assert other is not None
    assert other.startswith(f"the image of {STACK} holds the stack as ffffffffffff, here it is ")
    assert other.endswith(f"run `stackyard stack image build {STACK}`")
    assert no_engine == "no Docker Engine: nothing answers"


def test_queues_are_named_for_deployment_and_hardware(tmp_path: Path) -> None:
    found = premises(tmp_path)
    named = [installed.named(d)(found).queue(g) for d in ("agent", "container") for g in (0, 1)]
    assert named == ["cpu", "gpu", "cpu-container", "gpu-container"]


def test_a_bare_cell_asks_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = site.here(premises(tmp_path), {})
    monkeypatch.setattr(offer, "Offer", None)
    assert "not built" in (here.deployment("bare").why_not(STACK, HardwareSpec("machine"), 1) or "")


MATRIX = """
name = "test"
repeats = 1
[axes]
deployment = ["bare", "agent"]
[workloads.w]
workload = "work_for_tests:work"
parameters = { read = "prepared:first/made.txt", do = "DO", log = "LOG" }
[prepare.first]
workload = "work_for_tests:work"
"""


@pytest.fixture
def sent(yard: Any, server: installation.Site) -> Any:
    """A yard whose runs of deployment ``agent`` go through the server, on the Python that runs the tests."""
    bare = BareLauncher()
    launcher = AgentLauncher(server.sender)
    yard.launcher = lambda deployment, gpus: launcher if deployment == "agent" else bare
    yard.pins = {"new": StackPin("plain"), "old": StackPin("plain")}
    yard.python["plain"] = Path(sys.executable)
    return yard


def test_a_matrix_over_bare_and_agent_leaves_the_same_kind_of_record(sent: Any) -> None:
    outcome = sent.run(MATRIX.replace("DO", "nothing").replace("LOG", str(sent.log)))
    assert (outcome.completed, outcome.failed, outcome.failures) == (2, 0, [])
    bare, agent_run = (sent.record(f"b01-{d}-new-machine-w") for d in ("bare", "agent"))
    assert agent_run.results["read"] == bare.results["read"] == "made"
    assert bare.dispatch is None
    assert (agent_run.dispatch.queue, agent_run.dispatch.worker) == ("cpu", "here:cpu-0")
    assert agent_run.cell["deployment"] == "agent"
    folder = sent.out.run("b01", "agent-new-machine-w")
    assert (folder / "outputs" / "made.txt").read_text() == "made"
    assert not (folder / "progress.json").exists()


@pytest.mark.whole
def test_stopping_aborts_the_task_and_brings_its_record(sent: Any, server: installation.Site) -> None:
    text = MATRIX.replace("DO", "hang").replace("LOG", str(sent.log))
    stop = Stop()
    hanging = Path(f"{sent.log}.hanging")

    def stop_when_under_way() -> None:
        if hanging.exists():
            stop.requests = 1

    sent.on_tick = stop_when_under_way
    outcome = sent.run(text, stop=stop, only=[("deployment", "agent")])
    assert outcome.interrupted
    assert sent.record("b01-agent-new-machine-w").failure.kind == "interrupted"
    assert not server.client.call("tasks.get_all", status=["in_progress", "queued"])["tasks"]


@pytest.mark.whole
def test_a_run_whose_runner_died_is_taken_up_again(sent: Any, server: installation.Site) -> None:
    """The record is lost with the runner; the task is still on the server: fetched, not made again."""
    text = MATRIX.replace("DO", "nothing").replace("LOG", str(sent.log))
    only = [("deployment", "agent")]
    sent.run(text, only=only)
    folder = sent.out.run("b01", "agent-new-machine-w")
    said = len(sent.lines())

    def forget() -> str:
        """The folder as a runner leaves it that dies while its task is on the server."""
        task: str = sent.record("b01-agent-new-machine-w").dispatch.task_id
        (folder / "dispatched.json").write_text(json.dumps({"task": task, "queue": "cpu"}))
        (folder / "record.json").unlink()
        return task

    task = forget()
    outcome = sent.run(text, resume=True, only=only)
    assert (outcome.completed, len(sent.lines())) == (1, said)
    assert sent.record("b01-agent-new-machine-w").dispatch.task_id == task
    assert any("goes on where it was started" in message for message in sent.messages)
    server.client.call("tasks.delete", task=forget(), force=True)
    outcome = sent.run(text, resume=True, only=only)
    assert outcome.completed == 1
    assert sent.record("b01-agent-new-machine-w").dispatch.task_id != task


def test_what_the_infrastructure_loses_is_made_again_and_counted(sent: Any) -> None:
    lost: list[str] = []
    real = sent.launcher("agent", 0)

    class Flaky:
        def start(self, task: Any, place: Any) -> Any:
            if not lost:
                lost.append(task.run_id)
                raise LaunchError("the network is down")
            return real.start(task, place)

        def again(self, task: Any, place: Any) -> Any:
            return real.again(task, place)

    sent.launcher = lambda deployment, gpus: Flaky()
    sent.retries = RetryPolicy(retries=1, pauses=Pauses(0, 1, 0))
    text = MATRIX.replace("DO", "nothing").replace("LOG", str(sent.log))
    outcome = sent.run(text.replace('read = "prepared:first/made.txt", ', ""), only=[("deployment", "agent")])
    assert (outcome.completed, outcome.failed, len(lost)) == (1, 0, 1)
    assert sent.record("b01-agent-new-machine-w").dispatch.retries == 1
    assert any("the network is down" in message for message in sent.messages)
