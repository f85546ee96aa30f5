"""``stackyard compare tasks`` with tasks of the real SDK: what a user types, sees and gets as exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stackyard_server.clients.conftest import environment, python, run_script  # noqa: F401 - a fixture
from tests.stackyard_server.running import running_server
from tests.waiting import PATIENCE_SECONDS

SCRIPT = """
import argparse
from clearml import Task

task = Task.init("Vision/Digits", "train", reuse_last_task_id=False, auto_resource_monitoring=False)
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
given = parser.parse_args()
for epoch in range(3):
    task.get_logger().report_scalar("loss", "val", given.lr / (epoch + 1) + given.seed / 1000, epoch)
task.get_logger().report_single_value("accuracy", 0.9 + given.seed / 1000)
"""


@pytest.fixture(scope="module")
def home(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:  # noqa: F811
    """A home whose clearml.conf is of a server with four tasks that nobody measured."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "train.py").write_text(SCRIPT)
    with running_server() as server:
        env = environment(server, folder)

        def train(lr: str, seed: str) -> None:
            run_script(python, folder / "train.py", "--lr", lr, "--seed", seed, env=env, folder=folder)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(train, ["0.1", "0.1", "0.2", "0.2"], ["0", "1", "0", "1"]))
        yield folder


def stackyard(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stackyard.cli.main", *arguments]
    env = {**os.environ, "STACKYARD_HOME": str(home)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=env
    )


def test_tasks_are_compared_and_the_files_written(home: Path, tmp_path: Path) -> None:
    asked = [
        "compare",
        "tasks",
        "--project",
        "Vision",
        "--group-by",
        "Args/lr",
        "--metric",
        "loss/val:min:less",
    ]
    done = stackyard(home, *asked, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "loss/val (least) of 0.2 is" in done.stdout
    assert "None of the tasks has a measured record." in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"report.{end}" for end in ("csv", "html", "json", "md")
    ]
    done = stackyard(home, *asked, "--json")
    report = json.loads(done.stdout)["report"]
    assert [cell["axes"]["Args/lr"] for cell in report["workloads"][0]["cells"]] == ["0.1", "0.2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--project", "Vison", "--group-by", "Args/lr"], "no project is named 'Vison'; near it: Vision"),
        (["--project", "Vision"], "--group-by is missing"),
        (["--group-by", "Args/lr"], "which tasks? name their project"),
        (
            ["--project", "Vision", "--group-by", "Args/lr", "--filter", "x"],
            "--filter x: expected NAME=VALUE",
        ),
        (
            ["--project", "Vision", "--group-by", "Args/rate"],
            "--group-by Args/rate: no task has that parameter; near it: Args/lr",
        ),
        (["--project", "Vision", "--group-by", "Args/lr", "--baseline", "x"], "--baseline x: expected KEY"),
        (
            ["--project", "Vision", "--group-by", "Args/lr", "--server", "http://nobody"],
            "no key is known for it",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(home: Path, words: list[str], said: str) -> None:
    done = stackyard(home, "compare", "tasks", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
