"""What Slurm's programs print, as text that real ones printed or that their manual pages give; and how they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.launch import slurm_commands as commands
from stackyard.launch.outside_programs import RefusedError
from stackyard.launch.scheduled import SilentError


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(name: str, says: str = "", fails: str | None = None) -> None:
        ending = "" if fails is None else f"echo '{name}: error: {fails}' >&2; exit 1\n"
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n{ending}")
        (tmp_path / name).chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", {}),
        ("gpu:4", {"": 4}),
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:a100:2,gpu:t4:1,nic:2", {"a100": 2, "t4": 1}),
        ("gpu:a100", {"a100": 1}),
        ("gpu", {"": 1}),
    ],
)
def test_gpus_of_a_nodes_resources(gres: str, gpus: dict[str, int]) -> None:
    assert commands.gpus_of(gres) == gpus


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        ("1:00:00", 60),
        ("30:00", 30),
        ("2-12:30:00", 3630),
        ("infinite", None),
        ("UNLIMITED", None),
        ("", None),
    ],
)
def test_a_partitions_time_limit(limit: str, minutes: int | None) -> None:
    assert commands.minutes_of(limit) == minutes


def test_nodes_of_partitions(program) -> None:
    program(
        "sinfo",
        "work*|node1|2|8000|(null)|idle|up|1:00:00\nlong|node2|8+|64000+|gpu:t4:1|mixed|up|infinite\n"
        "long|node3|8|64000|(null)|idle*|up|infinite\nlong|node4|8|64000|(null)|drained|up|infinite\n"
        "shut|node1|2|8000|(null)|idle|inact|1:00:00\nnonsense",
    )
    found = commands.nodes()
    assert [(n.partition, n.is_default, n.name, n.is_up) for n in found] == [
        ("work", True, "node1", True),
        ("long", False, "node2", True),
        ("long", False, "node3", False),
        ("long", False, "node4", False),
        ("shut", False, "node1", False),
    ]
    assert (found[1].cores, found[1].memory_mib, found[1].gpus) == (8, 64000, {"t4": 1})


@pytest.mark.parametrize(
    ("state", "phase", "kind", "explains"),
    [
        ("PENDING", "waiting", None, False),
        ("CONFIGURING", "waiting", None, False),
        ("RUNNING", "running", None, False),
        ("COMPLETING", "running", None, False),
        ("SUSPENDED", "running", None, False),
        ("COMPLETED", "over", "infrastructure", False),
        ("FAILED", "over", "infrastructure", False),
        ("CANCELLED by 1000", "over", "interrupted", False),
        ("TIMEOUT", "over", "time_limit", True),
        ("DEADLINE", "over", "time_limit", True),
        ("OUT_OF_MEMORY", "over", "out_of_memory", True),
        ("NODE_FAIL", "over", "infrastructure", True),
        ("BOOT_FAIL", "over", "infrastructure", True),
        ("PREEMPTED", "over", "infrastructure", True),
        ("REVOKED", "over", "infrastructure", True),
    ],
)
def test_a_state_of_slurms_as_kinds_of_a_record(
    state: str, phase: str, kind: str | None, explains: bool
) -> None:
    seen = commands.seen_as("7", state, "None", "node1")
    assert (seen.phase, seen.failure and seen.failure.kind, seen.explains) == (phase, kind, explains)


def test_a_run_that_can_never_begin_is_told_from_one_that_waits() -> None:
    assert commands.seen_as("7", "PENDING", "Resources", "").hopeless is None
    assert commands.seen_as("7", "PENDING", "Resources", "").words == "waiting in Slurm (Resources)"
    hopeless = commands.seen_as("7", "PENDING", "PartitionTimeLimit", "").hopeless
    assert hopeless is not None
    assert "(PartitionTimeLimit)" in hopeless


def test_runs_that_slurm_has_forgotten_are_asked_of_its_accounting(program) -> None:
    program("squeue", "7|RUNNING|None|node1")
    assert set(commands.seen(["7", "8"])) == {"7"}
    program("sacct", "8|NODE_FAIL||node2")
    found = commands.seen(["7", "8"])
    assert (found["7"].phase, found["8"].phase) == ("running", "over")
    assert found["8"].failure is not None
    assert "node2" in found["8"].failure.message


def test_the_only_run_that_is_asked_for_may_be_unknown(program) -> None:
    program("squeue", fails="slurm_load_jobs error: Invalid job id specified")
    assert commands.seen(["7"]) == {}


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "slurm_load_jobs error: Zero Bytes were transmitted or received",
    ],
)
def test_a_controller_that_does_not_answer_is_no_refusal(program, said: str) -> None:
    program("squeue", fails=said)
    with pytest.raises(SilentError, match="controller does not answer squeue"):
        commands.seen(["7"])
    program("sbatch", fails="Batch job submission failed: Invalid partition name specified")
    with pytest.raises(RefusedError, match="Invalid partition name specified"):
        commands.called("sbatch", [])
    with pytest.raises(SilentError, match="sinfo cannot be started"):
        commands.nodes()


def test_a_run_that_is_over_may_be_cancelled(program) -> None:
    program("scancel", fails="Kill job error on job id 7: Job/step already completing or completed")
    commands.cancelled([], "7")
    program("scancel", fails="Kill job error on job id 7: Access/permission denied")
    with pytest.raises(SilentError, match="Access/permission denied"):
        commands.cancelled([], "7")


def test_of_the_users_variables_only_those_for_slurm_reach_its_programs(
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SBATCH_ACCOUNT", "SLURM_CONF", "SLURM_JOB_ID", "SQUEUE_USERS", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    program("squeue")
    file = tmp_path / "squeue"
    file.write_text(f"#!/bin/sh\nexec env > {tmp_path}/seen\n")
    commands.seen(["7"])
    found = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert {"PATH", "HOME", "SBATCH_ACCOUNT", "SLURM_CONF"} <= found
    assert not {"SLURM_JOB_ID", "SQUEUE_USERS", "AWS_SECRET_ACCESS_KEY"} & found
