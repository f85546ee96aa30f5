"""Deployment slurm on a real cluster of one node: the contract, and the ends that only a cluster has."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from stackyard.launch import InDoubtError, LaunchError, Place, installed
from stackyard.launch.contract import Contract, Ground, code_in, record_in
from stackyard.launch.deployment import Premises
from stackyard.launch.scheduled import ScheduledRun
from stackyard.launch.slurm import SlurmDeployment
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.settings import Settings
from stackyard_task.records import Failure, Limits
from tests.lab import hosts
from tests.lab.hosts import docker
from tests.lab.slurm_host import USER_ID, SlurmHost, second_node, slurm_host


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [hosts.ROOT, Path(sys.base_prefix), tmp_path_factory.getbasetemp()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, mounted: list[Path]) -> Iterator[SlurmHost]:
    reason = hosts.why_not()
    if reason is not None:
        pytest.skip(reason)
    with slurm_host(tmp_path_factory.mktemp("slurm-host"), mounted) as host:
        yield host


@pytest.fixture
def on_path(cluster: SlurmHost, monkeypatch: pytest.MonkeyPatch) -> SlurmHost:
    monkeypatch.setenv("PATH", f"{cluster.programs}{os.pathsep}{os.environ['PATH']}")
    return cluster


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return code_in(tmp_path_factory.mktemp("slurm-code"))


class SlurmGround(Ground):
    """Where a run of the cluster is seen."""

    cluster: SlurmHost

    def log(self) -> str:
        return self.cluster.shell("squeue --states=all; tail -n 30 /var/log/slurm/*.log 2>&1", check=False)


@pytest.fixture
def ground(on_path: SlurmHost, code: Path, tmp_path: Path) -> SlurmGround:
    return ground_of(on_path, code, tmp_path)


def ground_of(cluster: SlurmHost, code: Path, folder: Path, text: str = "", gpus: int = 0) -> SlurmGround:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "clusters.toml").write_text(f"[slurm]\nshared = true\npoll_seconds = 0.5\n{text}")
    deployment = installed.named("slurm")(Premises.here(Settings(home=home), stacks.load()))
    found = SlurmGround(deployment, deployment.launcher(gpus), code)
    found.cluster = cluster
    return found


class TestSlurm(Contract):
    name = "slurm"

    @pytest.fixture
    def ground(self, ground: SlurmGround) -> Ground:
        return ground


def opened(folder: Path) -> None:
    """Let everybody read a folder of these tests."""
    for each in (folder, *folder.parents):
        if each != Path("/tmp") and each.is_relative_to("/tmp"):
            each.chmod(each.stat().st_mode | 0o055)


class UsersGround(SlurmGround):
    """Runs of a user who is not root, in folders of that user's own, with the host's own Python."""

    python = Path("/usr/bin/python3")

    def place(self, folder: Path) -> Place:
        found = super().place(folder)
        opened(folder)
        os.chown(folder, USER_ID, USER_ID)
        return found


class TestSlurmForAUser(Contract):
    """As on a cluster of others: no cgroup of one's own, and no right to files but one's own."""

    name = "slurm"

    @pytest.fixture
    def ground(
        self, cluster: SlurmHost, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> SlurmGround:
        monkeypatch.setenv("PATH", f"{cluster.programs_of_user}{os.pathsep}{os.environ['PATH']}")
        opened(code)
        opened(tmp_path)
        plain = ground_of(cluster, code, tmp_path)
        found = UsersGround(plain.deployment, plain.launcher, code, python=UsersGround.python)
        found.cluster = cluster
        return found

    def test_half_a_core_is_half_a_core(self, ground: Ground, inputs: dict[str, Any], tmp_path: Path) -> None:
        """Which the deployment refuses before, and the run does where it is asked for all the same."""
        folder = tmp_path / "run"
        given = ground.task("complete", parameters=inputs, limits=Limits(cores=0.5))
        assert ground.ended(ground.start(folder, given)) == 1
        assert failure_in(folder).kind == "infrastructure"


ONE = Limits(cores=1)


def under_way(ground: SlurmGround, folder: Path, **more: Any) -> ScheduledRun:
    """A run that goes on until it is ended, with one of the node's two cores."""
    run = ground.start(folder, ground.task("endless", limits=ONE, **more))
    ground.until_at_work(run, folder)
    assert isinstance(run, ScheduledRun)
    return run


def failure_in(folder: Path) -> Failure:
    failure = record_in(folder).failure
    assert failure is not None
    return failure


def test_what_the_cluster_cannot_hold_is_said_before(ground: SlurmGround, tmp_path: Path) -> None:
    def why_not(workers: int = 1, **wanted: Any) -> str:
        return ground.deployment.why_not(stacks.DEFAULT, HardwareSpec("h", **wanted), workers) or ""

    where = "the largest node of the default partition has"
    assert ground.deployment.queue(0) == "work"
    assert why_not(cores=3) == f"3 cores are asked for, and {where} 2"
    assert f"{where} 4000" in why_not(memory_bytes=4 * 2**30)
    assert why_not(gpus=3).startswith("3 GPUs are asked for, and a node of the default partition has 2")
    assert why_not(workers=3, cores=1).startswith("3 workers are asked for at the same time")
    assert why_not(workers=2, cores=1).startswith("not built: run `stackyard stack build")
    ground.cluster.shell("scontrol update nodename=node1 state=drain reason=test")
    try:
        drained = ground_of(ground.cluster, ground.code, tmp_path).deployment
        found = drained.why_not(stacks.DEFAULT, HardwareSpec("h"), 1)
    finally:
        ground.cluster.shell("scontrol update nodename=node1 state=resume")
    assert found == "no node of the default partition is up"


def test_two_runs_share_a_node_and_a_third_waits_and_is_taken_back(
    ground: SlurmGround, tmp_path: Path
) -> None:
    first, second = under_way(ground, tmp_path / "1"), under_way(ground, tmp_path / "2")
    third = ground.start(tmp_path / "3", ground.task("endless", limits=ONE))
    shown = tmp_path / "3" / "progress.json"
    ground._until(
        lambda: third.wait(0.1) is None and shown.exists() and "(Resources)" in shown.read_text(),
        "the third run to say for what it waits",
    )
    third.interrupt()
    assert ground.ended(third) == 1
    assert failure_in(tmp_path / "3").kind == "interrupted"
    assert "before it began" in failure_in(tmp_path / "3").message
    for run, folder in ((first, tmp_path / "1"), (second, tmp_path / "2")):
        run.interrupt()
        assert ground.ended(run) == 1
        assert record_in(folder).environment.allowed_cores == 1
    ground.nothing_left()


def test_a_run_that_gives_way_to_a_higher_priority_is_one_of_the_infrastructures(
    ground: SlurmGround, tmp_path: Path
) -> None:
    run = under_way(ground, tmp_path / "run")
    ground.cluster.shell("sbatch --partition=urgent --exclusive --mem=0 --output=/dev/null --wrap='sleep 1'")
    assert ground.ended(run) == 1
    failure = failure_in(tmp_path / "run")
    assert (failure.kind, "gave way to a run of higher priority" in failure.message) == (
        "infrastructure",
        True,
    )
    assert (record_in(tmp_path / "run").measurement.wall_seconds or 0) > 0, "what was measured is kept"
    ground.nothing_left()


def test_a_run_whose_node_fails_is_one_of_the_infrastructures(ground: SlurmGround, tmp_path: Path) -> None:
    run = under_way(ground, tmp_path / "run")
    try:
        ground.cluster.shell("scontrol update nodename=node1 state=down reason=test")
        assert ground.ended(run) == 1
        failure = failure_in(tmp_path / "run")
        assert (failure.kind, "its node failed" in failure.message) == ("infrastructure", True), failure
    finally:  # the node's daemon may have reported it as healthy again already
        ground.cluster.shell("scontrol update nodename=node1 state=resume", check=False)
        ground.cluster.await_up()
    ground.nothing_left()


def test_a_run_that_somebody_cancels_is_not_tried_again(ground: SlurmGround, tmp_path: Path) -> None:
    run = under_way(ground, tmp_path / "run")
    ground.cluster.shell(f"scancel {run.id}")
    assert ground.ended(run) == 1
    assert failure_in(tmp_path / "run").kind == "interrupted"
    ground.nothing_left()


def test_a_run_that_takes_more_memory_than_slurm_gave_it_is_out_of_memory(
    ground: SlurmGround, tmp_path: Path
) -> None:
    task = ground.task(
        "burn", parameters={"meeting": tmp_path.name, "megabytes": 900, "seconds": 0}, limits=ONE
    )
    begin = f"until [ -d /tmp/{tmp_path.name} ]; do sleep 0.1; done; touch /tmp/{tmp_path.name}/begin"
    run = ground.start(tmp_path / "run", task)
    ground.cluster.shell(begin)
    assert ground.ended(run) == 1
    assert failure_in(tmp_path / "run").kind == "out_of_memory", record_in(tmp_path / "run").failure
    ground.nothing_left()


def test_slurms_own_time_limit_is_a_time_limit(on_path: SlurmHost, code: Path, tmp_path: Path) -> None:
    """A minute is the least that Slurm holds."""
    ground = ground_of(on_path, code, tmp_path, "minutes = 1\n")
    run = under_way(ground, tmp_path / "run")
    assert ground.ended(run) == 1
    failure = failure_in(tmp_path / "run")
    assert (failure.kind, "Slurm's own time limit" in failure.message) == ("time_limit", True)
    ground.nothing_left()


def test_a_limit_that_the_partition_does_not_allow_is_told_and_not_waited_for(
    ground: SlurmGround, tmp_path: Path
) -> None:
    run = ground.start(tmp_path / "run", ground.task("endless", limits=ONE, time_limit_seconds=7200))
    assert ground.ended(run) == 1
    failure = failure_in(tmp_path / "run")
    assert (failure.kind, "PartitionTimeLimit" in failure.message) == ("bad_input", True)
    ground.nothing_left()


def test_a_limit_as_long_as_the_partitions_is_allowed(ground: SlurmGround, tmp_path: Path) -> None:
    """The minutes that Slurm gets beyond the run's own limit are left out there."""
    task = ground.task("endless", limits=ONE, time_limit_seconds=3600)
    run = ground.start(tmp_path / "run", task)
    ground.until_at_work(run, tmp_path / "run")
    run.kill()
    ground.ended(run)
    ground.nothing_left()


def test_a_runner_that_died_finds_its_run_again(ground: SlurmGround, tmp_path: Path) -> None:
    """Also where it died between the submission and the note of its number."""
    folder = tmp_path / "run"
    first = under_way(ground, folder)
    ticket = json.loads((folder / "scheduled.json").read_text())
    (folder / "scheduled.json").write_text(json.dumps({**ticket, "id": None}))
    another = ground_of(ground.cluster, ground.code, tmp_path)
    place = Place(folder, ground.python, ground.code)
    found = another.launcher.again(ground.task("endless", limits=ONE), place)
    assert isinstance(found, ScheduledRun)
    assert found.id == first.id
    assert another.launcher.again(ground.task("endless", limits=Limits(cores=2)), place) is None
    ground.nothing_left()


def test_a_controller_that_is_away_is_waited_for(ground: SlurmGround, tmp_path: Path) -> None:
    """Runs go on without it; nothing is started twice."""
    folder = tmp_path / "run"
    run = under_way(ground, folder)
    try:
        ground.cluster.shell("systemctl stop slurmctld")
        assert run.wait(2.0) is None
        with pytest.raises(LaunchError, match="controller does not answer"):
            ground.start(tmp_path / "other", ground.task("endless", limits=ONE))
        impatient = ground_of(ground.cluster, ground.code, tmp_path).deployment
        assert isinstance(impatient, SlurmDeployment)
        found = impatient.launcher(0).again(
            ground.task("endless", limits=ONE), Place(folder, None, ground.code)
        )
        assert found is not None
        found._patience_seconds = 0.0
        with pytest.raises(InDoubtError, match="may go on, so it is not started a second time"):
            found.wait(5.0)
    finally:
        ground.cluster.shell("systemctl start slurmctld")
        ground.cluster.await_answer()
    run.interrupt()
    assert ground.ended(run) == 1
    assert failure_in(folder).kind == "interrupted"
    ground.nothing_left()


def test_gpus_are_handed_out_by_slurm(on_path: SlurmHost, code: Path, tmp_path: Path) -> None:
    """Simulated devices: what is real is that Slurm counts them and says which a run has."""
    ground = ground_of(on_path, code, tmp_path, 'gpu_type = "simulated"\n', gpus=1)
    task = ground.task("endless", limits=ONE)
    run = ground.start(tmp_path / "run", task)
    ground.until_at_work(run, tmp_path / "run")
    assert isinstance(run, ScheduledRun)
    shown = ground.cluster.shell(f"scontrol show job {run.id} --details")
    assert "TresPerNode=gres:gpu:simulated:1" in shown
    environment = Path(f"/proc/{ground.processes()[0]}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=0" in environment
    assert not [name for name in environment if name.startswith(b"SLURM_")]
    run.kill()
    ground.ended(run)
    ground.nothing_left()


def test_of_two_nodes_one_loses_its_power_and_the_others_run_goes_on(
    on_path: SlurmHost, mounted: list[Path], code: Path, tmp_path: Path
) -> None:
    """The last of the file: the cluster is made larger, and smaller again."""
    with second_node(on_path, mounted) as other:
        ground = ground_of(on_path, code, tmp_path)
        assert "not built" in (ground.deployment.why_not(stacks.DEFAULT, HardwareSpec("h"), 2) or "")
        folders = {name: tmp_path / name for name in ("one", "two")}
        runs = {name: ground.start(folder, ground.task("endless")) for name, folder in folders.items()}
        for name, run in runs.items():
            ground.until_at_work(run, folders[name])
        (lost,) = [
            n
            for n, r in runs.items()
            if "node2" in on_path.shell(f"squeue --noheader --jobs={_id(r)} --format=%N")
        ]
        (kept,) = runs.keys() - {lost}
        docker("kill", other)
        assert ground.ended(runs[lost]) == 1
        failure = failure_in(folders[lost])
        assert (failure.kind, "its node failed" in failure.message) == ("infrastructure", True), failure
        assert runs[kept].wait(0.1) is None
        runs[kept].interrupt()
        assert ground.ended(runs[kept]) == 1
        assert (failure_in(folders[kept]).kind, record_in(folders[kept]).environment.host) == (
            "interrupted",
            "node1",
        )
        ground.nothing_left()


def _id(run: Any) -> str:
    assert isinstance(run, ScheduledRun)
    return run.id
