"""Deployment slurm on a simulated Slurm; a real one is tests/lab/test_slurm.py's."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackyard import stacks
from stackyard.launch import InDoubtError, LaunchError, Place, installed, network_folders, scheduled, slurm
from stackyard.launch.cluster_settings import SlurmSettings
from stackyard.launch.contract import Contract, Ground, record_in
from stackyard.launch.deployment import Premises
from stackyard.launch.slurm import SlurmDeployment
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.settings import Settings
from stackyard_task.records import Limits, StackPin, TaskSpec
from tests.stackyard.launch.simulated_slurm import SimulatedSlurm
from tests.stackyard.launch.test_contract import SUPERVISORS

FOLDER = Path("/shared/runs/b01")
GIB = 2**30


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedSlurm:
    found = SimulatedSlurm(tmp_path / "simulated-slurm")
    monkeypatch.setenv("PATH", f"{found.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("STACKYARD_CLUSTERS", raising=False)
    return found


def deployed(tmp_path: Path, text: str = "shared = true\npoll_seconds = 0.5\n") -> SlurmDeployment:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "clusters.toml").write_text(f"[slurm]\n{text}")
    found = installed.named("slurm")(Premises.here(Settings(home=home), stacks.load()))
    assert isinstance(found, SlurmDeployment)
    return found


class TestSimulated(Contract):
    """The contract where Slurm is simulated: the launcher's part of it is real."""

    name = "slurm"
    at_full_counts: ClassVar[set[str]] = SUPERVISORS | {
        "test_a_memory_limit_is_the_workloads_own",
        "test_a_criterion_stops_a_run_which_then_has_not_failed",
    }

    @pytest.fixture
    def ground(self, cluster: SimulatedSlurm, contract_code: Path, tmp_path: Path) -> Ground:
        deployment = deployed(tmp_path)
        return Ground(deployment, deployment.launcher(0), contract_code)

    def test_half_a_core_is_half_a_core(self, ground: Ground, inputs: dict[str, Any], tmp_path: Path) -> None:
        """Where this user may make cgroups; the deployment refuses a fraction where not."""
        if os.geteuid() != 0:
            pytest.skip("only root's runs may divide a core")
        super().test_half_a_core_is_half_a_core(ground, inputs, tmp_path)


def options(
    limits: Limits | None = None, gpus: int = 0, seconds: float | None = None, **more: Any
) -> list[str]:
    task = TaskSpec("m/b01", "w:f", limits=limits or Limits(), time_limit_seconds=seconds)
    return slurm.arguments(task, FOLDER, "name", SlurmSettings(**more), gpus)


def test_what_a_run_needs_is_asked_of_slurm() -> None:
    found = options(Limits(cores=1.5, memory_bytes=GIB), 2, 600, gpu_type="a100", partition="short")
    assert {
        *("--cpus-per-task=2", "--mem=1280M", "--gres=gpu:a100:2", "--time=12", "--partition=short"),
        *(
            "--nodes=1",
            "--ntasks=1",
            "--no-requeue",
            f"--chdir={FOLDER}",
            f"--output={FOLDER}/supervisor.log",
        ),
    } <= set(found)
    assert "--exclusive" not in found


@pytest.mark.parametrize(
    ("seconds", "longest", "minutes"),
    [(600, None, 12), (3600, 60, 60), (3540, 60, 60), (3590, 60, 60), (7200, 60, 120), (60, 60, 3)],
)
def test_slurms_limit_is_later_than_the_runs_where_the_partition_allows(
    seconds: float, longest: int | None, minutes: int
) -> None:
    task = TaskSpec("m/b01", "w:f", time_limit_seconds=seconds)
    assert f"--time={minutes}" in slurm.arguments(task, FOLDER, "n", SlurmSettings(), 0, longest)


def test_without_limits_a_run_has_all_of_a_node() -> None:
    assert {"--exclusive", "--mem=0"} <= set(options())
    limited = options(Limits(cores=2))
    assert not {"--exclusive", "--mem=0"} & set(limited)
    assert "--exclusive" in options(Limits(cores=2), exclusive=True)


def test_settings_reach_sbatch_as_they_are() -> None:
    found = options(
        account="lab", qos="high", constraint="avx", reservation="r", minutes=5, options=("--nice=3",)
    )
    assert found[-6:] == [
        "--time=5",
        "--account=lab",
        "--qos=high",
        "--constraint=avx",
        "--reservation=r",
        "--nice=3",
    ]


def test_a_percent_sign_in_a_folders_name_is_no_pattern() -> None:
    found = slurm.arguments(TaskSpec("r", "w:f"), Path("/a/50%j"), "n", SlurmSettings(), 0)
    assert "--output=/a/50%%j/supervisor.log" in found


def test_names_are_quoted_in_the_script() -> None:
    text = slurm.script(
        Path("/a b/python"), Path("/runs/it's"), {"HOME": "/h", "TMPDIR": "/t", "X": "$(id)"}, 0
    )
    assert "'/a b/python' -m stackyard_task.run '/runs/it'\"'\"'s'" in text
    assert "X='$(id)'" in text
    assert 'TMPDIR="${TMPDIR:-/tmp}"' in text, "the node's own"
    assert "CUDA_VISIBLE_DEVICES" not in text
    assert "CUDA_VISIBLE_DEVICES" in slurm.script(Path("/p"), FOLDER, {}, 1)


@pytest.mark.parametrize(
    ("text", "hardware", "workers", "words"),
    [
        ("", {}, 1, "not built: run `stackyard stack build torch"),
        ("", {"cores": 8, "memory_bytes": 15 * GIB, "gpus": 2}, 1, "not built"),
        ("", {"cores": 9}, 1, "9 cores are asked for, and the largest node of the default partition has 8"),
        ("", {"memory_bytes": 16 * GIB}, 1, "16640 MiB of memory are asked for .* largest node .* has 16000"),
        ("", {"gpus": 3}, 1, "3 GPUs are asked for, and a node of the default partition has 2 at most"),
        ('gpu_type = "t4"', {"gpus": 1}, 1, "1 GPUs of type t4 are asked for, and a node .* has 0 at most"),
        ("", {"cores": 4}, 3, "not built"),
        ("", {"cores": 4}, 4, "4 workers are asked for at the same time, and the nodes .* hold 3 such runs"),
        ("", {}, 3, "3 workers .* hold 2 such runs"),
        ('partition = "fast"', {}, 1, "no partition 'fast', there are: old, urgent, work"),
        ('partition = "old"', {}, 1, "no node of partition old is up"),
        ('partition = "urgent"', {"cores": 9}, 1, "largest node of partition urgent has 8"),
        ("minutes = -1", {}, 1, "slurm.minutes is -1"),
    ],
)
def test_what_the_cluster_cannot_hold_is_said_before(
    cluster: SimulatedSlurm, tmp_path: Path, text: str, hardware: dict[str, Any], workers: int, words: str
) -> None:
    deployment = deployed(tmp_path, f"shared = true\n{text}\n")
    found = deployment.why_not(stacks.DEFAULT, HardwareSpec("h", **hardware), workers)
    assert found is not None
    assert re.search(words, found), found


def test_a_user_may_not_divide_a_core(
    cluster: SimulatedSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = deployed(tmp_path).why_not(stacks.DEFAULT, HardwareSpec("h", cores=0.5), 1)
    assert found is not None
    assert found.startswith("Slurm gives whole cores, and 0.5 are asked for")


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("ext4", "", "is on ext4, which other machines do not see as a rule: put STACKYARD_HOME"),
        ("ext4", "shared = true", None),
        ("nfs4", "", None),
        (None, "", None),
        ("nfs4", "shared = false", "clusters.toml says that nodes do not see its folders"),
    ],
)
def test_a_home_that_nodes_may_not_see_is_said(
    cluster: SimulatedSlurm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str | None,
    text: str,
    words: str | None,
) -> None:
    monkeypatch.setattr(network_folders, "kind_of", lambda folder: kind)
    monkeypatch.setattr(SlurmDeployment, "_stack_missing", lambda self, stack: None)
    found = deployed(tmp_path, text).why_not(stacks.DEFAULT, HardwareSpec("h"), 1)
    assert (found is None) == (words is None)
    assert (words or "") in (found or "")


def test_without_slurm_on_the_path_it_is_said_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = deployed(tmp_path)
    assert "no sbatch is on the PATH: use a machine from which" in (
        found.why_not("any", HardwareSpec("h"), 1) or ""
    )
    assert found.queue(0) == "the default partition"


def test_a_controller_that_does_not_answer_is_said(cluster: SimulatedSlurm, tmp_path: Path) -> None:
    (cluster.state / "down").touch()
    found = deployed(tmp_path).why_not("any", HardwareSpec("h"), 1)
    assert found is not None
    assert found.startswith("Slurm's controller does not answer sinfo")


def test_the_queue_is_the_partition(cluster: SimulatedSlurm, tmp_path: Path) -> None:
    assert deployed(tmp_path).queue(0) == "work"
    assert deployed(tmp_path, 'partition = "urgent"').queue(0) == "urgent"


def test_slurm_is_asked_once_for_a_whole_plan(cluster: SimulatedSlurm, tmp_path: Path) -> None:
    deployment = deployed(tmp_path)
    for cores in (1, 2, 3):
        deployment.why_not(stacks.DEFAULT, HardwareSpec("h", cores=cores), 1)
    assert len(cluster.calls("sinfo")) == 1


# -- runs ------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, contract_code: Path) -> Place:
    folder = tmp_path / "run 50%j"
    folder.mkdir()
    return Place(folder, Path(sys.executable), contract_code)


def endless(**more: Any) -> TaskSpec:
    return TaskSpec("m/b01", "contract_work:endless", stack=StackPin("any"), limits=Limits(cores=1), **more)


def until(run: Any, status: int) -> None:
    while (found := run.wait(1.0)) is None:
        pass
    assert found == status


def test_nothing_of_the_users_shell_but_what_is_for_slurm_reaches_it(
    cluster: SimulatedSlurm, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cluster.state / "held").touch()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("SBATCH_RESERVATION", "mine")
    deployed(tmp_path).launcher(0).start(endless(), place)
    names = set((cluster.job("100") / "variables").read_text().splitlines())
    assert "SBATCH_RESERVATION" in names
    assert "AWS_SECRET_ACCESS_KEY" not in names
    assert "hush" not in (cluster.job("100") / "script").read_text()


def test_a_run_that_waits_says_for_what_and_is_taken_back(
    cluster: SimulatedSlurm, tmp_path: Path, place: Place
) -> None:
    (cluster.state / "held").touch()
    run = deployed(tmp_path).launcher(0).start(endless(), place)
    (cluster.job("100") / "reason").write_text("Resources")
    while run.wait(0.1) is None and not (place.folder / "progress.json").exists():
        pass
    assert json.loads((place.folder / "progress.json").read_text())["phase"] == "waiting in Slurm (Resources)"
    run.interrupt()
    until(run, 1)
    failure = record_in(place.folder).failure
    assert failure is not None
    assert (failure.kind, "before it began" in failure.message) == ("interrupted", True)
    assert {path.name for path in place.folder.iterdir()} == {"task.json", "record.json"}


def test_a_run_that_slurm_lost_is_one_of_the_infrastructures(
    cluster: SimulatedSlurm, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled, "SETTLE_SECONDS", 0.2)
    (cluster.state / "held").touch()
    run = deployed(tmp_path).launcher(0).start(endless(), place)
    cluster.say("100", "BOOT_FAIL")
    until(run, 1)
    failure = record_in(place.folder).failure
    assert failure is not None
    assert (failure.kind, failure.message) == (
        "infrastructure",
        "Slurm job 100 was lost: its node could not be started",
    )


def test_a_partitions_limit_is_looked_up(cluster: SimulatedSlurm, tmp_path: Path, place: Place) -> None:
    (cluster.state / "held").touch()
    deployed(tmp_path).launcher(0).start(endless(time_limit_seconds=3600.0), place)
    assert "--time=60" in cluster.calls("sbatch")[0].split()


def test_a_refusal_is_slurms_own_sentence(cluster: SimulatedSlurm, tmp_path: Path, place: Place) -> None:
    launcher = deployed(tmp_path, 'partition = "closed"').launcher(0)
    with pytest.raises(LaunchError, match=r"Slurm refuses the run: .*Access/permission denied"):
        launcher.start(endless(), place)


def test_a_submission_whose_answer_was_lost_is_found_by_its_name(
    cluster: SimulatedSlurm, tmp_path: Path, place: Place
) -> None:
    for file in ("held", "lost"):
        (cluster.state / file).touch()
    run = deployed(tmp_path).launcher(0).start(endless(), place)
    assert run.id == "100"
    assert len(cluster.calls("sbatch")) == 1


def test_where_nobody_answers_a_submission_it_is_in_doubt(
    cluster: SimulatedSlurm, tmp_path: Path, place: Place
) -> None:
    (cluster.state / "down").touch()
    with pytest.raises(InDoubtError, match="may wait in Slurm, so it is not submitted again"):
        deployed(tmp_path).launcher(0).start(endless(), place)


def test_one_controller_is_asked_for_runs_with_and_without_gpus_together(
    cluster: SimulatedSlurm, tmp_path: Path, place: Place
) -> None:
    (cluster.state / "held").touch()
    deployment = deployed(tmp_path)
    other = Place(tmp_path / "other", place.python, place.code)
    other.folder.mkdir()
    first = deployment.launcher(0).start(endless(), place)
    second = deployment.launcher(1).start(endless(), other)
    assert deployment.launcher(1) is deployment.launcher(1)
    assert "--gres=gpu:1" in cluster.calls("sbatch")[1]
    while len(cluster.calls("squeue")) < 2:
        assert (first.wait(0.05), second.wait(0.05)) == (None, None)
    assert "--jobs=100,101" in cluster.calls("squeue")[1]


def test_a_stack_that_is_gone_is_not_submitted(cluster: SimulatedSlurm, tmp_path: Path, place: Place) -> None:
    with pytest.raises(LaunchError, match="stackyard stack build any"):
        deployed(tmp_path).launcher(0).start(endless(), Place(place.folder, None, place.code))
    assert cluster.calls("sbatch") == []
