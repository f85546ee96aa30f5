"""``stackyard tune`` as a user meets it: real runs of a small script, limits, resume, output, exit status."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackyard import errors
from stackyard.cli import main
from stackyard_task import clearml_tuning, report
from tests.waiting import PATIENCE_SECONDS

#: A script of the user's own, that knows nothing of us.
SCRIPT = """
import argparse, json, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--batch", type=int)
parser.add_argument("--out")
asked = parser.parse_args()
if asked.batch == 13:
    sys.exit("thirteen is no batch size")
if asked.batch == 300:
    hoard = bytearray(300_000_000)
    time.sleep(60)
value = float("nan") if asked.batch == 7 else asked.lr * asked.batch
json.dump({"accuracy": value}, open(asked.out + "/metrics.json", "w"))
print("done", asked)
"""
FILE = """
name = "small"
[axes]
stack = ["none"]
[workloads.w]
command = ["python3", "train.py", "--out", "{outputs}"]
arguments = "gnu"
code = "."
metrics = { accuracy = "json:metrics.json#accuracy" }
[space]
lr = [0.1, 0.2]
batch = [1, 2]
[objectives]
accuracy = "maximise"
[search]
sampler = "grid"
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a study file beside the script, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text(SCRIPT)

    def writer(*changes: tuple[str, str]) -> Path:
        text = FILE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "work" / "study.toml"
        file.write_text(text)
        return file

    return writer


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit status, what stands on stdout as JSON, and stderr."""
    status = main.run(["tune", *arguments, "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else None, said.err


@pytest.mark.slow
def test_a_grid_is_searched_and_the_best_is_named(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, err = ran(capsys, "run", str(write()))
    assert status == 0
    assert (said["state"], said["completed"], said["trials"]) == ("finished", 4, 4)
    assert said["best"][0]["parameters"] == {"lr": 0.2, "batch": 2}
    assert said["best"][0]["values"] == {"accuracy": 0.4}
    assert said["best"][0]["used"]["cpu_seconds"] > 0
    assert "t0001  lr=0.1 batch=1  accuracy 0.1" in err
    paths = said.pop("paths")
    assert "t0004" in Path(paths["md"]).read_text()
    assert ran(capsys, "report", "runs/small")[1] == paths
    assert ran(capsys, "status", "runs/small")[1] == said
    assert ran(capsys, "best", "runs/small")[1] == said["best"]
    assert ran(capsys, "show", "runs/small", "t0003")[1]["parameters"] == {"lr": 0.2, "batch": 1}
    again, _, err = ran(capsys, "run", str(write()))
    assert again == 2
    assert "already holds runs" in err


@pytest.mark.slow
def test_a_trial_that_breaks_a_limit_is_stopped_and_not_failed(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(("[1, 2]", "[300, 2]"), ("[search]", '[limits]\nmax_ram = "150 MB"\n[search]'))
    status, said, err = ran(capsys, "run", str(file))
    assert status == 0
    assert (said["completed"], said["stopped"], said["failed"]) == (2, 2, 0)
    assert said["stopped_by"] == {"ram_bytes": 2}
    trial = ran(capsys, "show", "runs/small", "1")[1]
    assert trial["reason"]["kind"] == "limit"
    assert trial["used"]["ram_bytes"] > 150e6
    assert "STOPPED" in err


@pytest.mark.slow
def test_what_fails_is_counted_and_the_search_goes_on(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, err = ran(capsys, "run", str(write(("[1, 2]", "[13, 7, 2]"))))
    assert status == 4
    assert (said["completed"], said["failed"]) == (2, 4)
    assert "4 of 6 trials failed (the first: t0001: the command exited with status 1" in err
    not_a_number = ran(capsys, "show", "runs/small", "2")[1]["reason"]["message"]
    assert not_a_number == "accuracy is 'nan', expected a finite number"
    script = tmp_path / "work" / "train.py"
    script.write_text(
        SCRIPT.replace("asked.batch == 13", "asked.batch == 14").replace("asked.batch == 7", "False")
    )
    status, _, err = ran(capsys, "resume", "runs/small", "--retry-failed")
    assert status == 2
    assert "(code of w: changed: train.py); give the same, go on with --accept-changes, or search anew" in err
    status, said, _ = ran(capsys, "resume", "runs/small", "--retry-failed", "--accept-changes")
    assert (status, said["completed"], said["failed"]) == (0, 6, 0)
    assert said["changes"] == [
        "after 6 trials (4 of them failed and are made again): code of w: changed: train.py"
    ]


@pytest.mark.slow
def test_an_objective_that_the_workload_never_reports_ends_the_study(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, err = ran(capsys, "run", str(write(('accuracy = "maximise"', 'f1 = "maximise"'))))
    assert status == 4
    assert said["trials"] == 1
    assert "the run reports no 'f1'; it reports: accuracy" in err


def test_a_study_that_was_interrupted_goes_on_and_repeats_nothing(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed in the middle of a trial: what has finished stays as it is, what had begun is made again."""
    file = write()
    process = subprocess.Popen(
        [sys.executable, "-m", "stackyard.cli.main", "tune", "run", str(file), "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
    watchdog.start()
    for line in process.stderr:
        if line.startswith("t0002"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    watchdog.cancel()
    first = (tmp_path / "runs" / "small" / "runs" / "t0001.json").read_text()
    changed = json.loads(first)
    status = 2
    while status == 2:  # the supervisor of the trial under way ends first
        status, said, _ = ran(capsys, "resume", "runs/small")
    assert status == 0
    assert (said["completed"], said["trials"]) == (4, 4)
    assert json.loads((tmp_path / "runs" / "small" / "runs" / "t0001.json").read_text()) == changed


@pytest.mark.slow
def test_a_trial_that_ended_while_no_controller_was_there_is_not_made_again(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, "run", str(write()))[0] == 0
    kept = tmp_path / "runs" / "small" / "runs" / "t0002.json"
    trial = json.loads(kept.read_text())
    kept.write_text(json.dumps({**trial, "state": "running", "values": {}, "used": {}}))
    status, said, _ = ran(capsys, "resume", "runs/small")
    assert (status, said["completed"]) == (0, 4)
    assert json.loads(kept.read_text())["used"] == trial["used"]
    assert not (tmp_path / "runs" / "small" / "abandoned").exists()


@pytest.mark.slow
def test_a_second_controller_is_refused(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stackyard.matrix.runs import RunFolder

    file = write()
    with RunFolder(tmp_path / "runs" / "small").locked():
        status, _, err = ran(capsys, "run", str(file))
    assert status == 2
    assert "another runner" in err


@pytest.mark.slow
def test_a_study_file_that_changed_is_refused_by_what_differs(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, "run", str(write()))[0] == 0
    write(("[1, 2]", "[1, 2, 4]"))
    status, _, err = ran(capsys, "resume", "runs/small")
    assert status == 2
    assert "is not the one that began there" in err
    write(('accuracy = "maximise"', 'accuracy = "minimise"'))
    assert "objectives.accuracy: 'maximise' then, 'minimise' now" in ran(capsys, "resume", "runs/small")[2]


def test_a_cell_that_no_machine_can_run_is_the_file_s_fault(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write()
    text = file.read_text()
    axes = '[axes]\ndeployment = ["agent"]\n'
    assert "[axes]\n" in text
    file.write_text(text.replace("[axes]\n", axes))
    status, _, err = ran(capsys, "run", str(file))
    assert status == 2
    assert "name a stack" in err


def test_exit_statuses_mean_to_the_task_of_a_study_what_they_mean_here() -> None:
    meant = {
        errors.BadInputError: "bad_input",
        errors.NotRunnableError: "infrastructure",
        errors.RunsFailedError: "code",
    }
    assert {error.exit_code: kind for error, kind in meant.items()} == clearml_tuning.KINDS


def test_a_dry_run_writes_nothing(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = ran(capsys, "run", str(write()), "--dry-run")
    assert (status, said["combinations"], said["search"]["sampler"]) == (0, 4, "grid")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_what_an_interrupted_trial_used_counts_against_the_budget(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, "run", str(write()))[0] == 0
    folder = tmp_path / "runs" / "small" / "runs"
    trial, record = json.loads((folder / "t0002.json").read_text()), folder / "t0002" / "record.json"
    lost = {"kind": "interrupted", "message": "stopped by SIGINT"}
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "status": "failed", "failure": lost}))
    (folder / "t0002.json").write_text(json.dumps({**trial, "state": "planned", "values": {}, "used": {}}))
    status, said, _ = ran(capsys, "resume", "runs/small")
    assert (status, said["completed"]) == (0, 4)
    again = json.loads((folder / "t0002.json").read_text())
    assert again["lost_cpu_seconds"] == told["measurement"]["cpu_seconds"]
    assert said["cpu_seconds"] > again["lost_cpu_seconds"] + again["used"]["cpu_seconds"]


@pytest.mark.slow
def test_a_pruner_that_hears_nothing_is_said(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = ran(
        capsys, "run", str(write(('sampler = "grid"', 'sampler = "grid"\npruner = "median"')))
    )
    assert status == 0
    assert err.count("it told no accuracy on its way, so no pruner can end such a trial") == 1


def test_a_study_whose_tuner_is_gone_is_not_called_running(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, "run", str(write(("[1, 2]", "[1]"))))[0] == 0
    file = tmp_path / "runs" / "small" / "study.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "running"}))
    said = ran(capsys, "status", "runs/small")[1]
    assert (said["state"], said["message"]) == (
        "interrupted",
        "no tuner is at work; go on with: stackyard tune resume runs/small",
    )


@pytest.mark.slow
def test_an_objective_that_comes_after_many_metrics_is_found(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source = 'metrics = { accuracy = "json:metrics.json#accuracy" }\n'
    file = write(("[0.1, 0.2]", "[0.1]"), ("[1, 2]", "[1]"), (source, ""))
    shutil.copy(str(report.__file__), str(file.parent / "telling.py"))
    (file.parent / "train.py").write_text(
        "import telling\n"
        "for number in range(150):\n"
        "    telling.metrics(1, **{f'm{number}': 1.0})\n"
        "telling.metrics(1, accuracy=0.5)\n"
    )
    status, said, _ = ran(capsys, "run", str(file))
    assert (status, said["best"][0]["values"]) == (0, {"accuracy": 0.5})
