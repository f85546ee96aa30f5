"""``stackyard workload``: what can be run, and one run by hand, as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.cli import main
from stackyard.settings import base
from stackyard.stacks.definition import StackSpec
from stackyard_task.records import RunRecord, StackPin, read_json
from tests.stackyard import own_commands

EXAMPLE = base() / "examples" / "own-function"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python in place of a stack's, in a home of its own."""
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(stacks, "python_of", lambda stack, settings: Path(sys.executable))
    monkeypatch.setattr(stacks, "why_not", lambda *asked: None)
    monkeypatch.setattr(StackSpec, "pin", property(lambda stack: StackPin(stack.name)))


def test_a_declared_workload_runs_and_its_record_lies_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    line = ["workload", "run", "simulate-firewall", "--out", str(out), "--set", "sessions=20", "--cores", "1"]
    assert main.run(line) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "record.json")
    record = read_json(RunRecord, out / "record.json")
    assert (record.status, record.parameters["sessions"]) == ("completed", 20)
    assert record.environment.allowed_cores == 1
    assert record.environment.code_own_digest is None
    assert (out / "outputs" / "benign.txt").exists()
    assert main.run(line) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_a_function_of_ones_own_runs_with_the_module_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLE)
    out = tmp_path / "run"
    line = ["workload", "run", "work.py:main", "--out", str(out), "--set", "throws=1000", "--set", "rounds=2"]
    assert main.run(line) == 0
    record = read_json(RunRecord, out / "record.json")
    assert record.results["throws"] == 2000
    assert 3 < record.results["pi"] < 3.3
    assert record.environment.code_own_digest
    assert json.loads((out / "outputs" / "pi.json").read_text())["throws"] == 2000


def test_a_declared_command_runs_in_a_copy_of_its_folder_with_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(own_commands.written(tmp_path))
    (tmp_path / "workloads.toml").write_text(own_commands.DECLARED)
    assert main.run(["workload", "list"]) == 0
    said = capsys.readouterr().out
    assert "train  learn something\n  command: python train.py --lr" in said
    assert "  inputs.data=data.txt" in said
    assert "  epochs=3" in said
    (tmp_path / "other.txt").write_text("letters")
    line = ["workload", "run", "train", "--set", "lr=0.25", "--input", "data=other.txt", "--out"]
    assert main.run([*line, "run"]) == 0, capsys.readouterr().err
    record = read_json(RunRecord, tmp_path / "run" / "record.json")
    assert record.parameters == {"lr": 0.25, "epochs": 3}
    assert record.results == {"accuracy": 0.125, "read": "letters", "mode": "plain"}
    assert record.environment.code_own_digest
    assert (tmp_path / "run" / "outputs" / "model.txt").read_text() == "letters+0.25x3"
    for wrong, says in (
        ("data=gone.txt", "there is no"),
        ("dat=other.txt", "reads no such input; it reads: data"),
        ("data", "expected NAME=PATH"),
    ):
        assert main.run([*line[:-3], "--input", wrong, "--out", "second"]) == 2
        assert says in capsys.readouterr().err
    assert main.run([*line[:-1], "--input", "data=data.txt", "--out", "second"]) == 2
    assert capsys.readouterr().err == "stackyard: --input data: given twice\n"
    assert not (tmp_path / "second").exists()
    (tmp_path / "code").rename(tmp_path / "moved")
    assert main.run([*line, "second"]) == 2
    assert "train: its code is 'code': there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["detector-trai", "--out", "o"],
            "there is no workload 'detector-trai'; there are: detector-evaluate",
        ),
        (["work.py:main", "--out", "o"], "there is no file"),
        (["detector-train", "--out", "o"], "needs parameter 'data'"),
        (["detector-train", "--out", "o", "--set", "data={"], "expected a table"),
        (["detector-train", "--out", "o", "--set", "data=absent.json"], "neither JSON"),
        (["detector-train", "--out", "o", "--set", 'data={"sources": []}'], "'data' is"),
        (["simulate-firewall", "--out", "o", "--set", "sessions=x"], "expected a whole number"),
        (["simulate-firewall", "--out", "o", "--set", "sessions"], "expected NAME=VALUE"),
        (
            ["simulate-firewall", "--out", "o", "--set", "seed=3", "--set", "seed=3"],
            "--set seed: given twice",
        ),
        (["simulate-firewall", "--out", "o", "--set", "session=3"], "has no parameter 'session'"),
        (["simulate-firewall", "--out", "o", "--set", f"sessions=1{'0' * 400}"], "expected a whole number"),
        (["simulate-firewall", "--out", "o", "--set", "test_share=Infinity"], "expected a number"),
        (["simulate-firewall", "--out", "o", "--set", "sessions=\udcff"], "is not UTF-8 text"),
        (["simulate-firewall", "--out", "full"], "full is not empty; choose another --out"),
        (["simulate-firewall", "--out", "file/inside"], "file/inside: cannot be written (Not a directory)"),
        (["simulate-firewall", "--out", "file"], "file is no folder; choose another --out"),
        (["simulate-firewall", "--out", "o", "--stack", "none"], "no stack is named 'none'"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_made(
    options: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.txt").write_text("")
    (tmp_path / "file").write_text("")
    assert main.run(["workload", "run", *options]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert not (tmp_path / "o").exists()


def test_a_run_that_fails_leaves_its_record_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.py").write_text(
        "def main(parameters, channel, output_folder):\n    raise KeyError('lost')\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main.run(["workload", "run", "bad.py:main", "--out", "o"]) == 4
    assert "code: KeyError: 'lost'" in capsys.readouterr().err
    assert read_json(RunRecord, tmp_path / "o" / "record.json").status == "failed"


def test_more_cores_than_the_machine_has_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["workload", "run", "simulate-firewall", "--out", str(tmp_path / "o"), "--cores", "9999"]
    assert main.run(line) == 3
    assert "core" in capsys.readouterr().err


def test_a_supervisor_that_dies_leaves_a_record_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.py").write_text(
        "import os, signal\ndef main(parameters, channel, output_folder):\n    os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main.run(["workload", "run", "bad.py:main", "--out", "o"]) == 4
    assert (
        "infrastructure: the supervisor was ended by signal 9 and left no record" in capsys.readouterr().err
    )
    assert read_json(RunRecord, tmp_path / "o" / "record.json").status == "failed"


def test_the_list_says_what_each_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["workload", "list"]) == 0
    said = capsys.readouterr().out
    assert "detector-train  train a next-event LSTM" in said
    assert "  epochs=8  passes over the training windows (at least 1; default 8)" in said
    assert main.run(["workload", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["workloads"]
    assert {"detector-prepare", "simulate-firewall"} <= {row["name"] for row in rows}
