"""The supervisor, for real: processes, signals, limits; with a cgroup where one can be made, and without."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from stackyard_task.measure import cgroup
from stackyard_task.records import Progress, RunRecord, read_json
from tests.waiting import PATIENCE_SECONDS, until

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "src"
METHODS = ["auto", "processes"]


def started(folder: Path, method: str, workload: str, **fields: Any) -> subprocess.Popen[str]:
    task: Dict[str, Any] = {"run_id": "r", "workload": workload, **fields}
    if ":" not in workload and not workload.startswith("no-"):
        task["workload"] = f"run_workloads:{workload}"
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    paths = os.pathsep.join([str(SOURCE), str(HERE)])
    environment = {**os.environ, "PYTHONPATH": paths, "STACKYARD_MEASURE": method}
    command = [sys.executable, "-m", "stackyard_task.run", str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def ran(folder: Path, method: str, workload: str, **fields: Any) -> RunRecord:
    process = started(folder, method, workload, **fields)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in errors
    record = read_json(RunRecord, folder / "record.json")
    assert process.returncode == (0 if record.status == "completed" else 1), errors
    assert not (folder / "progress.json").exists()
    return record


def writable_cgroup() -> bool:
    made = cgroup.create(f"{os.getpid()}-try")
    if made is None:
        return False
    limits_hold = made.can_limit("cpu") and made.can_limit("memory")
    made.remove()
    return limits_hold


needs_cgroup = pytest.mark.skipif(not writable_cgroup(), reason="no writable cgroup on this machine")


@pytest.mark.parametrize("method", METHODS)
def test_a_completed_run_says_what_it_used(tmp_path: Path, method: str) -> None:
    record = ran(tmp_path, method, "complete", parameters={"text": "given"}, cell={"stack": "s"}, block=2)
    used = record.measurement
    assert record.failure is None
    assert (record.cell, record.block, record.parameters) == ({"stack": "s"}, 2, {"text": "given"})
    assert record.results == {"answer": 42, "nothing": "nan", "word": "x", "loss/training": 0.5}
    assert [p["name"] for p in record.phases] == ["startup", "data", "warmup", "steady", "finish"]
    parts = [
        used.startup_seconds,
        used.data_seconds,
        used.warmup_seconds,
        used.steady_seconds,
        used.finish_seconds,
    ]
    assert sum(p or 0 for p in parts) == pytest.approx(used.wall_seconds)
    assert used.steps is not None
    assert (used.steps.count, used.steps.p50_seconds) == (20, pytest.approx(0.010))
    assert used.steps.p95_seconds == pytest.approx(0.019)
    assert used.cpu_seconds == pytest.approx((used.cpu_user_seconds or 0) + (used.cpu_system_seconds or 0))
    assert used.cpu_seconds > 0.005
    assert used.cpu_percent_of_core == pytest.approx(100 * used.cpu_seconds / used.wall_seconds)
    # an interpreter: more than 4 MB, less than 60 MB
    assert 4e6 < used.peak_rss_low_bytes <= used.peak_rss_bytes <= used.peak_rss_high_bytes < 60e6
    assert used.overhead_cpu_seconds > 0
    assert used.disk_written_bytes is not None
    assert record.environment.python.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert record.environment.kernel == os.uname().release
    assert record.environment.cpu_model
    assert record.environment.limit_mechanism is None
    assert 0 <= record.environment.other_cpu_percent_of_machine <= 100
    assert abs(record.environment.clock_jump_seconds) < 0.5
    assert (tmp_path / "outputs" / "made.txt").read_text(encoding="utf-8") == "given"
    assert "printed by the workload" in (tmp_path / "output.log").read_text(encoding="utf-8")
    timeline = json.loads((tmp_path / "timeline.json").read_text(encoding="utf-8"))
    assert (
        len(timeline["t_seconds"]) == len(timeline["rss_bytes"]) == len(timeline["cpu_percent_of_core"]) > 0
    )


@needs_cgroup
@pytest.mark.slow
def test_results_that_no_record_holds_are_the_workloads_failure_not_an_unreadable_record(
    tmp_path: Path,
) -> None:
    record = ran(tmp_path, "processes", "telling")
    assert record.failure is not None
    assert (record.failure.kind, record.results) == ("code", {})
    assert "more results or phases than a record holds" in record.failure.message


def test_with_a_cgroup_the_record_says_so_and_none_is_left(tmp_path: Path) -> None:
    process = started(tmp_path, "auto", "complete")
    process.communicate(timeout=PATIENCE_SECONDS)
    record = read_json(RunRecord, tmp_path / "record.json")
    assert record.measurement.cpu_method == f"cgroup v{record.environment.cgroup_version}"
    assert record.measurement.cgroup_peak_bytes is not None
    places = cgroup.find_places()
    for place in [*places.v1.values(), places.v2]:
        if place is not None:
            assert not list(Path(place.folder).glob(f"stackyard-{process.pid}-*"))


def test_without_one_the_record_says_so(tmp_path: Path) -> None:
    record = ran(tmp_path, "processes", "complete")
    assert "wait4" in record.measurement.cpu_method
    assert "high-water" in record.measurement.peak_rss_method
    assert record.measurement.cgroup_peak_bytes is None


@pytest.mark.parametrize(
    ("workload", "parameters", "kind", "words"),
    [
        ("raising", {}, "code", "KeyError: 'missing column'"),
        ("refusing", {}, "bad_input", "the file is empty, expected at least one session"),
        ("gated", {}, "gate", "F1 0.4, at least 0.9 is demanded"),
        ("exiting", {}, "code", "status 7"),
        ("leaving", {}, "code", "ended with status 0 before its function returned"),
        ("killing_itself", {"signal": "SIGKILL"}, "killed", "SIGKILL"),
        ("killing_itself", {"signal": "SIGSEGV"}, "code", "SIGSEGV"),
        ("no-such", {}, "bad_input", "'no-such' comes without its declaration"),
        ("no_such_module:function", {}, "bad_input", "no module 'no_such_module'"),
        ("run_workloads:no_such", {}, "bad_input", "no function 'no_such'"),
    ],
)
def test_a_failing_run_is_a_record_too(
    tmp_path: Path, workload: str, parameters: Dict[str, Any], kind: str, words: str
) -> None:
    record = ran(tmp_path, "auto", workload, parameters=parameters)
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.kind == kind
    assert words in record.failure.message
    assert "\n" not in record.failure.message
    assert record.measurement.wall_seconds > 0
    log = (tmp_path / "output.log").read_text(encoding="utf-8")
    assert ("Traceback" in log) == (workload == "raising")


@pytest.mark.parametrize("method", METHODS)
def test_the_time_limit_ends_the_whole_tree(tmp_path: Path, method: str) -> None:
    record = ran(tmp_path, method, "endless", parameters={"stubborn": True}, time_limit_seconds=1.0)
    assert record.failure is not None
    assert (record.failure.kind, record.failure.signal) == ("time_limit", signal.SIGKILL)
    assert "1 s" in record.failure.message
    pids = [int(p.name.split("-")[1]) for p in (tmp_path / "outputs").glob("pid-*")]
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_ends_the_tree_and_leaves_a_record(tmp_path: Path, method: str, number: int) -> None:
    process = started(tmp_path, method, "endless")
    until((tmp_path / "outputs" / "ready").exists, "ready")
    until((tmp_path / "progress.json").exists, "progress.json")
    shown = json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))
    assert set(shown) == {field.name for field in dataclasses.fields(Progress)}
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "interrupted" in errors
    record = read_json(RunRecord, tmp_path / "record.json")
    assert record.failure is not None
    assert record.failure.kind == "interrupted"
    assert signal.Signals(number).name in record.failure.message
    for path in (tmp_path / "outputs").glob("pid-*"):
        assert not Path(f"/proc/{path.name.split('-')[1]}").exists()
    assert not (tmp_path / "progress.json").exists()


@pytest.mark.slow
def test_the_child_dies_with_a_killed_supervisor(tmp_path: Path) -> None:
    process = started(tmp_path, "processes", "spawning", parameters={"megabytes": 1})
    process.communicate(timeout=PATIENCE_SECONDS)
    process = started(tmp_path, "processes", "run_workloads:endless")
    until((tmp_path / "outputs" / "ready").exists, "ready")
    pids = [int(p.name.split("-")[1]) for p in (tmp_path / "outputs").glob("pid-*")]
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    main = min(pids)
    until(lambda: not Path(f"/proc/{main}").exists() or b"\nState:\tZ" in status_of(main), "its end")
    for pid in pids:  # the fork of the workload has no such tie: nobody is left to end it but us
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def status_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return b"\nState:\tZ"


@pytest.mark.parametrize("method", METHODS)
def test_an_orphan_at_work_is_waited_for_and_counted(tmp_path: Path, method: str) -> None:
    record = ran(tmp_path, method, "orphaned", parameters={"burn": 0.5})
    assert record.status == "completed"
    assert record.measurement.orphans_ended == 0
    assert 0.5 <= record.measurement.cpu_seconds < 1.2


def test_an_idle_orphan_is_ended(tmp_path: Path) -> None:
    record = ran(tmp_path, "auto", "orphaned", parameters={"idle": 600})
    assert record.status == "completed"
    assert record.measurement.orphans_ended == 1
    assert record.measurement.wall_seconds < 30


@pytest.mark.parametrize("method", METHODS)
def test_memory_of_children_of_children_is_seen(tmp_path: Path, method: str) -> None:
    record = ran(tmp_path, method, "spawning", parameters={"megabytes": 80})
    assert 80e6 < record.measurement.peak_rss_bytes < 180e6


@needs_cgroup
def test_a_memory_limit_is_held_by_the_cgroup(tmp_path: Path) -> None:
    limits = {"memory_bytes": 120_000_000}
    record = ran(tmp_path, "auto", "allocate", parameters={"megabytes": 400}, limits=limits)
    assert record.failure is not None
    assert record.failure.kind == "out_of_memory"
    assert "120 MB" in record.failure.message
    assert record.environment.limit_mechanism.startswith("cgroup v")
    assert record.environment.ram_limit_bytes == 120_000_000
    assert record.measurement.cgroup_peak_bytes <= 121_000_000
    assert record.measurement.peak_rss_bytes > 90_000_000


def test_a_memory_limit_is_held_without_a_cgroup(tmp_path: Path) -> None:
    limits = {"memory_bytes": 120_000_000}
    record = ran(tmp_path, "processes", "allocate", parameters={"megabytes": 400}, limits=limits)
    assert record.failure is not None
    assert record.failure.kind == "out_of_memory"
    assert record.environment.limit_mechanism == "affinity + rlimit"
    assert record.measurement.peak_rss_bytes < 140_000_000


@needs_cgroup
def test_half_a_core_is_held_by_the_cgroup_and_threads_follow(tmp_path: Path) -> None:
    record = ran(tmp_path, "auto", "variables", limits={"cores": 0.5})
    assert record.environment.quota_cores == 0.5
    assert record.environment.allowed_cores == 0.5
    assert record.environment.threads == 1
    assert record.results["threads"] == "1"
    assert record.measurement.cpu_percent_of_allowed == pytest.approx(
        2 * record.measurement.cpu_percent_of_core
    )
    assert record.environment.throttled_seconds is not None


def test_a_core_without_a_cgroup_is_affinity(tmp_path: Path) -> None:
    record = ran(tmp_path, "processes", "variables", limits={"cores": 1})
    assert record.environment.limit_mechanism == "affinity + rlimit"
    assert (record.results["cores"], record.results["threads"]) == (1, "1")


def test_half_a_core_without_a_cgroup_is_refused_not_pretended(tmp_path: Path) -> None:
    record = ran(tmp_path, "processes", "variables", limits={"cores": 0.5})
    assert record.failure is not None
    assert record.failure.kind == "infrastructure"
    assert "0.5 cores needs a writable cgroup" in record.failure.message


def test_one_process_is_not_counted_beside_itself(tmp_path: Path) -> None:
    """Its peak at the end is known from wait4: the bounds of a run of one process are close together."""
    record = ran(tmp_path, "processes", "allocate", parameters={"megabytes": 100})
    measured = record.measurement
    assert measured.peak_rss_low_bytes > 100_000_000
    assert measured.peak_rss_high_bytes < 1.1 * measured.peak_rss_low_bytes


@needs_cgroup
def test_measured_alike_means_limits_by_cgroup_and_figures_from_the_processes(tmp_path: Path) -> None:
    record = ran(tmp_path, "auto", "variables", limits={"cores": 0.5}, measure="alike")
    assert record.environment.limit_mechanism.startswith("cgroup v")
    assert record.environment.quota_cores == 0.5
    assert "cgroup" not in record.measurement.cpu_method + record.measurement.peak_rss_method
    folder = tmp_path / "unlimited"
    folder.mkdir()
    record = ran(folder, "auto", "variables", measure="alike")
    assert record.environment.limit_mechanism is None
    assert "cgroup" not in record.measurement.cpu_method + record.measurement.peak_rss_method


@pytest.mark.parametrize("limits", [{"cores": -1}, {"memory_bytes": 0}])
def test_a_senseless_limit_is_refused(tmp_path: Path, limits: Dict[str, Any]) -> None:
    record = ran(tmp_path, "auto", "variables", limits=limits)
    assert record.failure is not None
    assert next(iter(limits)) in record.failure.message


def test_the_child_gets_what_the_task_chose(tmp_path: Path) -> None:
    record = ran(tmp_path, "auto", "variables", threads=3, environment={"CHOSEN": "yes"})
    assert record.results == {
        "threads": "3",
        "chosen": "yes",
        "cores": len(os.sched_getaffinity(0)),
        "torch": False,
        "channel": "hidden",
    }
    assert record.environment.tunables["CHOSEN"] == "yes"
    assert record.environment.tunables["OMP_NUM_THREADS"] == "3"
    assert record.environment.threads == 3
    assert record.environment.torch is None


def test_a_wrong_stack_fails_with_both_values(tmp_path: Path) -> None:
    record = ran(tmp_path, "auto", "complete", stack={"name": "old", "digest": "d", "python": "3.6"})
    assert record.failure is not None
    assert record.failure.kind == "stack_mismatch"
    assert "3.6" in record.failure.message
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in record.failure.message
    assert (record.environment.stack, record.environment.stack_digest) == ("old", "d")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"run_id": "x"}', "'workload' is missing"),
    ],
)
def test_an_unusable_task_is_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    if content is not None:
        (tmp_path / "task.json").write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "stackyard_task.run", str(tmp_path)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "record.json").exists()


def test_a_full_disk_is_one_sentence_and_no_half_record(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: root would write to a read-only folder."""
    task = {"run_id": "r", "workload": "run_workloads:complete", "environment": {"FILL": "x" * 40_000}}
    (tmp_path / "task.json").write_text(json.dumps(task), encoding="utf-8")
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from stackyard_task.run import main; sys.exit(main([sys.argv[1]]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE)])}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "output.log",
        "outputs",
        "series.json",
        "task.json",
        "timeline.json",
    ]
