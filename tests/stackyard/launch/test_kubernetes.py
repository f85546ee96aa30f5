"""Deployment kubernetes on a simulated kubectl; no real cluster has run it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackyard import stacks
from stackyard.launch import InDoubtError, LaunchError, Place, installed, scheduled
from stackyard.launch.contract import Contract, Ground, record_in
from stackyard.launch.deployment import Premises
from stackyard.launch.kubernetes import KubernetesDeployment
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.settings import Settings
from stackyard_task.records import StackPin, TaskSpec
from tests.stackyard.launch.simulated_kubectl import SimulatedKubectl
from tests.stackyard.launch.test_contract import SUPERVISORS

IMAGE = "registry.example/any@sha256:" + "1" * 64
GIB = 2**30


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedKubectl:
    found = SimulatedKubectl(tmp_path / "simulated-kubectl")
    monkeypatch.setenv("PATH", f"{found.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("STACKYARD_CLUSTERS", raising=False)
    return found


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


def deployed(tmp_path: Path, shared: Path, **more: Any) -> KubernetesDeployment:
    told = {"shared_folder": str(shared), "claim": "lab", "user": 1000, "poll_seconds": 0.5, **more}
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items() if value is not None]
    lines += ["[kubernetes.images]", *(f'"{name}" = "{IMAGE}"' for name in ("any", stacks.DEFAULT))]
    (home / "clusters.toml").write_text("\n".join(["[kubernetes]", *lines]))
    found = installed.named("kubernetes")(Premises.here(Settings(home=home), stacks.load()))
    assert isinstance(found, KubernetesDeployment)
    return found


class TestSimulated(Contract):
    """The contract where the cluster is simulated: the launcher's part of it is real."""

    name = "kubernetes"
    at_full_counts: ClassVar[set[str]] = SUPERVISORS | {
        "test_a_memory_limit_is_the_workloads_own",
        "test_a_criterion_stops_a_run_which_then_has_not_failed",
    }

    @pytest.fixture
    def ground(self, cluster: SimulatedKubectl, contract_code: Path, tmp_path: Path, shared: Path) -> Ground:
        deployment = deployed(tmp_path, shared)
        return Ground(deployment, deployment.launcher(0), contract_code)

    def test_half_a_core_is_half_a_core(self, ground: Ground, inputs: dict[str, Any], tmp_path: Path) -> None:
        """A pod's limit divides cores on a cluster; here the run's own does, where this user may make cgroups."""
        if os.geteuid() != 0:
            pytest.skip("only root's runs may divide a core here")
        super().test_half_a_core_is_half_a_core(ground, inputs, tmp_path)


def test_it_says_of_itself_that_it_never_ran() -> None:
    assert "never run against a real cluster" in KubernetesDeployment.about


@pytest.mark.parametrize(
    ("told", "hardware", "workers", "words"),
    [
        (
            {"shared_folder": None, "claim": "lab"},
            {},
            1,
            "names no volume: below .kubernetes. write shared_folder",
        ),
        ({"claim": None}, {}, 1, "expected either claim or host_path"),
        (
            {"shared_folder": "/elsewhere"},
            {},
            1,
            "STACKYARD_HOME is .*, and pods see what is below shared_folder",
        ),
        ({}, {"cores": 8}, 1, "8000 thousandths of a core are asked for, and a node gives 7910 at most"),
        ({}, {"memory_bytes": 15 * GIB}, 1, "16374562816 bytes of memory are asked for"),
        ({}, {"gpus": 3}, 1, "3 GPUs are asked for, and a node gives 2 at most"),
        ({}, {"cores": 4}, 3, "3 workers are asked for at the same time, and the nodes hold 2 such runs"),
        ({}, {"cores": 4, "memory_bytes": GIB, "gpus": 1}, 1, None),
        ({}, {}, 1, None),
    ],
)
def test_what_is_missing_is_said_before(
    cluster: SimulatedKubectl,
    tmp_path: Path,
    shared: Path,
    told: dict[str, Any],
    hardware: dict[str, Any],
    workers: int,
    words: str | None,
) -> None:
    found = deployed(tmp_path, shared, **told).why_not(stacks.DEFAULT, HardwareSpec("h", **hardware), workers)
    assert found is None if words is None else re.search(words, found or ""), found


def test_a_run_is_never_roots(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = deployed(tmp_path, shared, user=None).why_not(stacks.DEFAULT, HardwareSpec("h"), 1)
    assert found == "a run in Kubernetes is never root's: name a user below [kubernetes] in clusters.toml"
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert deployed(tmp_path, shared, user=None).why_not(stacks.DEFAULT, HardwareSpec("h"), 1) is None


def test_a_stack_without_an_image_that_a_cluster_can_pull_is_said(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path
) -> None:
    found = deployed(tmp_path, shared).why_not("torch-1.10.2-cu102", HardwareSpec("h"), 1)
    assert found is not None
    assert found.startswith("no image of torch-1.10.2-cu102 that a cluster can pull: push it to a registry")


def test_what_a_cluster_does_not_allow_is_said_or_passed_over(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path
) -> None:
    (cluster.state / "no-nodes").touch()
    assert deployed(tmp_path, shared).why_not(stacks.DEFAULT, HardwareSpec("h", cores=99), 1) is None
    (cluster.state / "forbidden").touch()
    refused = deployed(tmp_path, shared, namespace="lab").why_not(stacks.DEFAULT, HardwareSpec("h"), 1)
    assert refused == "you may not make Jobs in namespace lab: ask whoever runs the cluster"
    (cluster.state / "down").touch()
    silent = deployed(tmp_path, shared).why_not(stacks.DEFAULT, HardwareSpec("h"), 1)
    assert silent is not None
    assert silent.startswith("the cluster does not answer kubectl (Unable to connect to the server")


def test_without_kubectl_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = deployed(tmp_path, tmp_path).why_not("any", HardwareSpec("h"), 1)
    assert found == "no kubectl is on the PATH: install it, and see docs/clusters.md"


# -- runs ------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, contract_code: Path) -> Place:
    folder = tmp_path / "run"
    folder.mkdir()
    return Place(folder, None, contract_code)


ENDLESS = TaskSpec("m/b01", "contract_work:endless", stack=StackPin("any"))


def until_failed(run: Any, folder: Path) -> tuple[str, str]:
    while (status := run.wait(1.0)) is None:
        pass
    failure = record_in(folder).failure
    assert (status, failure is not None) == (1, True)
    assert failure is not None
    return failure.kind, failure.message


def test_a_pod_that_waits_says_for_what_and_is_taken_back(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place
) -> None:
    (cluster.state / "held").touch()
    run = deployed(tmp_path, shared).launcher(0).start(ENDLESS, place)
    assert cluster.manifest(run.id)["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    cluster.say(run.id, phase="Pending", containerStatuses=[{"state": waiting}])
    while run.wait(0.1) is None and not (place.folder / "progress.json").exists():
        pass
    shown = json.loads((place.folder / "progress.json").read_text())
    assert shown["phase"] == "waiting in Kubernetes (ContainerCreating)"
    run.interrupt()
    kind, message = until_failed(run, place.folder)
    assert (kind, "before it began" in message) == ("interrupted", True)


def test_a_pod_that_was_evicted_is_one_of_the_infrastructures(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled, "SETTLE_SECONDS", 0.2)
    (cluster.state / "held").touch()
    run = deployed(tmp_path, shared).launcher(0).start(ENDLESS, place)
    cluster.say(run.id, phase="Failed", reason="Evicted", message="low on disk")
    kind, message = until_failed(run, place.folder)
    assert (kind, "(Evicted: low on disk)" in message) == ("infrastructure", True)


def test_an_image_that_is_not_there_is_told_and_not_waited_for(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place
) -> None:
    (cluster.state / "held").touch()
    run = deployed(tmp_path, shared).launcher(0).start(ENDLESS, place)
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown: not found"}}
    cluster.say(run.id, phase="Pending", containerStatuses=[{"state": waiting}])
    kind, message = until_failed(run, place.folder)
    assert (kind, "would never start" in message) == ("bad_input", True)
    assert cluster.calls("delete pods"), "and it is gone"


def test_a_refusal_is_the_clusters_own_sentence(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place
) -> None:
    with pytest.raises(LaunchError, match=r"Kubernetes refuses the run: .*jobs\.batch is forbidden"):
        deployed(tmp_path, shared, namespace="closed").launcher(0).start(ENDLESS, place)


def test_a_job_whose_answer_was_lost_is_not_made_twice(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place
) -> None:
    for file in ("held", "lost"):
        (cluster.state / file).touch()
    run = deployed(tmp_path, shared).launcher(0).start(ENDLESS, place)
    assert len(cluster.calls("apply")) == 1
    assert run.wait(0.1) is None


def test_where_nobody_answers_it_is_in_doubt(
    cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place
) -> None:
    (cluster.state / "down").touch()
    with pytest.raises(InDoubtError, match="may be there, so it is not made again"):
        deployed(tmp_path, shared).launcher(0).start(ENDLESS, place)


def test_what_a_pod_would_not_see_is_not_submitted(
    cluster: SimulatedKubectl, tmp_path: Path, place: Place
) -> None:
    with pytest.raises(LaunchError, match="is not below shared_folder"):
        deployed(tmp_path, tmp_path / "home").launcher(0).start(ENDLESS, place)
    assert cluster.calls("apply") == []


def test_gpus_are_asked_for(cluster: SimulatedKubectl, tmp_path: Path, shared: Path, place: Place) -> None:
    (cluster.state / "held").touch()
    run = deployed(tmp_path, shared).launcher(2).start(ENDLESS, place)
    (container,) = cluster.manifest(run.id)["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
