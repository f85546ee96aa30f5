"""One run from the command line: declared parameters as options, a record in the folder asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from stackyard_task import command
from stackyard_task.records import RunRecord, read_json
from stackyard_task.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]


def run(script: List[str], *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, *script, *options], capture_output=True, text=True, check=False, env=environment
    )


def test_a_run_leaves_its_record_where_asked_and_says_so(tmp_path: Path) -> None:
    script = [
        "-c",
        "import sys; from stackyard_task import command; sys.exit(command.main('simulate-firewall'))",
    ]
    out = tmp_path / "run"
    done = run(script, "--out", str(out), "--sessions", "20", "--seed", "3", "--cores", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out / "record.json")
    record = read_json(RunRecord, out / "record.json")
    assert record.status == "completed"
    assert record.parameters["sessions"] == 20
    assert record.environment.allowed_cores == 1
    assert (out / "outputs" / "benign.txt").exists()
    again = run(script, "--out", str(out), "--sessions", "20")
    assert again.returncode == 2
    assert "already holds a run" in again.stderr


@pytest.mark.parametrize("name", ["detector_train", "detector_infer"])
def test_entry_scripts_offer_every_declared_parameter(name: str) -> None:
    done = run([str(ROOT / "tasks" / f"{name}.py")], "--help")
    assert done.returncode == 0, done.stderr
    for parameter in WORKLOADS[name.replace("_", "-")].parameters:
        assert "--" + parameter.name.replace("_", "-") in done.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--data", "{"], "is not JSON"),
        (["--data", "absent.json"], "neither JSON"),
        (["--data", '{"sources": []}'], "'data' is"),
        (["--data", '{"sources": [{}]}', "--epochs", "0"], "expected at least 1"),
        (["--data", '{"sources": [{}]}', "--cores", "-1"], "is not above 0"),
        (["--data", '{"sources": [{}]}', "--quantitative", "maybe"], "neither true nor false"),
    ],
)
def test_options_that_cannot_be_used_are_status_2(
    options: List[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main("detector-train", ["--out", str(tmp_path / "o"), *options])
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
