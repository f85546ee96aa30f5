"""The small installation: what core does without its extras, and what it says of the rest."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from stackyard import extras
from tests.stackyard.fake_stacks import Built

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCENARIO = """
name = "small"
repeats = 2
[axes]
deployment = ["bare", "agent"]
[workloads.w]
workload = "simulate-firewall"
parameters = { sessions = 50 }
"""
#: Runs the command line as if what the extras bring were not installed.
WITHOUT = f"""
import sys
for name in {sorted({module for modules in extras.MODULES.values() for module in modules})}:
    sys.modules[name] = None
from stackyard.cli.main import main
main()
"""
Small = Callable[..., "subprocess.CompletedProcess[str]"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[<>=~!; \[]", line)[0]) for line in requirements}


@functools.cache
def brought_by() -> dict[str, set[str]]:
    """Module -> the distributions that have it here."""
    return {module: set(map(normal, names)) for module, names in packages_distributions().items()}


def pins(part: str) -> dict[str, str]:
    """Distribution -> everything its lock says of it: version, condition, hashes."""
    text = (ROOT / "requirements" / f"{part}.lock").read_text(encoding="utf-8")
    text = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return {normal(line.split("==")[0]): " ".join(line.split()) for line in text.splitlines()}


# --- what is declared ---


@pytest.mark.parametrize("extra", sorted(extras.MODULES))
def test_what_an_extra_is_looked_for_by_comes_with_it_and_not_with_core(extra: str) -> None:
    brought, core = wanted(PROJECT["optional-dependencies"][extra]), wanted(PROJECT["dependencies"])
    for module in extras.MODULES[extra]:
        names = brought_by()[module]
        assert names & brought, f"{module} is of {names}"
        assert not names & core


@pytest.mark.parametrize("part", ["core", *sorted(extras.MODULES)])
def test_a_lock_has_what_its_part_asks_for_as_the_whole_lock_pins_it(part: str) -> None:
    asked = wanted(PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(part, []))
    found, whole = pins(part), pins("all")
    assert asked <= set(found)
    for name, line in found.items():
        assert "--hash=sha256:" in line, name
        # whether a package is wanted on another system may differ between parts; the package itself may not
        assert set(re.findall(r"==\S+|--hash=\S+", line)) == set(re.findall(r"==\S+|--hash=\S+", whole[name]))


def test_core_brings_none_of_the_extras() -> None:
    modules = {module for brought in extras.MODULES.values() for module in brought}
    names = set().union(*(brought_by()[module] for module in modules))
    assert not names & set(pins("core"))


# --- what it does ---


def environment(built: Built) -> dict[str, str]:
    home = built.depot.home
    ours = {"STACKYARD_HOME": str(home), "STACKYARD_STACKS": str(built.depot.definitions), "HOME": str(home)}
    return {**os.environ, **ours, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}


@pytest.fixture
def small(built: Built, tmp_path: Path) -> Small:
    """Calls the command line without any extra."""
    return lambda *arguments: subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        cwd=tmp_path,
        env=environment(built),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_core_runs_a_scenario_and_leaves_the_plain_report(small: Small, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SCENARIO)
    done = small("scenario", "run", "small.toml")
    a_core_run(done, tmp_path / "runs" / "small")
    (tmp_path / "runs" / "small" / "report.html").write_text("of other runs")
    again = small("scenario", "report", "runs/small", "--json")
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert said["paths"]["html"] is None
    assert said["report"]["counts"]["completed"] == 2
    assert not (tmp_path / "runs" / "small" / "report.html").exists()


def a_core_run(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "no report.html: the extra [reports] is not installed" in done.stderr
    assert done.stdout.splitlines()[-1] == "runs/small/report.md"
    assert sorted(path.name for path in folder.glob("report.*")) == ["report.csv", "report.json", "report.md"]
    plan = json.loads((folder / "plan.json").read_text())
    (missing,) = plan["not_runnable"]
    assert "the extra [clearml] is not installed" in missing["reason"]
    assert "`make install-clearml`" in missing["reason"]


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("up", "clearml"),
        ("task list", "clearml"),
        ("pipeline list", "clearml"),
        ("data published", "clearml"),
        ("official init", "clearml"),
        ("server start", "server"),
        ("server status", "server"),
        ("stack image list", "containers"),
        ("web", "web"),
    ],
)
def test_what_an_extra_brings_is_missed_in_one_sentence(small: Small, line: str, extra: str) -> None:
    done = small(*line.split())
    assert done.returncode == 3, done.stdout + done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith("stackyard: ")
    assert said.endswith(
        f"the extra [{extra}] is not installed; add it from the checkout with `make install-{extra}`"
    )


@pytest.mark.parametrize(
    "line", ["--help", "scenario --help", "task --help", "data list", "doctor", "stack list"]
)
def test_everything_else_goes_on(small: Small, line: str) -> None:
    done = small(*line.split())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_the_core_lock_is_enough(built: Built, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    lock = str(ROOT / "requirements" / "core.lock")
    pip = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"core cannot be installed here: {' '.join(installed.stderr.split())[-200:]}")
    copy = tmp_path / "copy"  # the build leaves its own files beside what it builds
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    subprocess.run([*pip[:-3], "--no-deps", str(copy)], check=True, capture_output=True)
    (tmp_path / "small.toml").write_text(SCENARIO)
    around = environment(built)
    del around["PYTHONPATH"]
    done = subprocess.run(
        [python, "-m", "stackyard.cli.main", "scenario", "run", "small.toml"],
        cwd=tmp_path,
        env=around,
        capture_output=True,
        text=True,
        check=False,
    )
    a_core_run(done, tmp_path / "runs" / "small")
