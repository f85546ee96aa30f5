"""A deployment of another package: installed as anybody would, it holds the contract and is used by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.settings import base
from tests.counts import LONG

SCENARIO = """
name = "polite"
[axes]
deployment = ["bare", "nice"]
[workloads.w]
workload = "simulate-firewall"
"""
Called = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, copied: building a package leaves files beside it."""
    folder = tmp_path_factory.mktemp("guest") / "deployment"
    shutil.copytree(base() / "examples" / "deployment", folder)
    return folder


@pytest.fixture(scope="module")
def python(example: Path) -> Called:
    """Python with the example installed beside Stackyard."""
    site = example.parent / "site"
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    subprocess.run([sys.executable, "-m", *pip, str(site), str(example)], check=True, cwd=example)
    environment = {**os.environ, "PYTHONPATH": str(site), "STACKYARD_HOME": str(example.parent / "home")}

    def called(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=example,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return called


def test_it_holds_the_contract_that_it_inherits(python: Called) -> None:
    chosen = [] if LONG else ["-k", "found_by or same_task or kill"]
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, "test_stackyard_nice.py")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    assert "passed" in done.stdout


def test_a_scenario_names_it_as_it_names_ours(python: Called, example: Path) -> None:
    (example / "polite.toml").write_text(SCENARIO)
    done = python("-m", "stackyard.cli.main", "scenario", "validate", "polite.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "good; 2 cells" in done.stdout
    (example / "rude.toml").write_text(SCENARIO.replace("nice", "rude"))
    done = python("-m", "stackyard.cli.main", "scenario", "validate", "rude.toml")
    assert done.returncode == 2
    assert "bare, agent, container, kubernetes, nice, slurm" in done.stderr


@pytest.mark.long
def test_the_doctor_says_what_it_says_of_itself(python: Called) -> None:
    done = python("-m", "stackyard.cli.main", "doctor")
    assert "nice: runs are started directly, at low priority" in done.stdout, done.stderr
