"""The examples run as their pages say, small, on this machine and through an agent; what they print is what is read."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from stackyard.cli.main import run
from stackyard.launch.deployment import Deployment
from stackyard.settings import Settings
from stackyard.stacks import derived
from stackyard_task.records import RunRecord, read_json
from tests.counts import LONG
from tests.installation.site import Site, site

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class Small:
    """One cell of an example, small enough for a test."""

    example: str
    #: What the cell is, in words as ``--only`` takes them.
    only: str
    #: Parameters of the file -> what a test gives instead.
    less: dict[str, float] = field(default_factory=dict)
    #: Results that its record must hold: numbers.
    figures: tuple[str, ...] = ()
    #: A file that it leaves, as it lies in the run folder.
    leaves: str = ""
    #: Whether it also goes through an agent at reduced counts.
    sent: bool = False


SMALL = (
    Small("own-script", "batch=batch-64", {"epochs": 1}, ("accuracy", "loss"), "outputs/metrics.json", True),
    Small("own-function", "hardware=one-core", {"throws": 1000, "rounds": 2}, ("pi",), "outputs/pi.json"),
    Small("shell-command", "level=level-1", {"lines": 2000}, ("compressed_bytes",), "outputs/access.log.gz"),
    Small("program-in-c", "block=blocks-of-32", {"side": 64}, ("gigabytes_per_second",), sent=True),
    Small("dataloader", "loaders=two-workers", {"pictures": 32}, ("mean", "pictures_per_second")),
    Small("scikit-learn", "jobs=one-thread", {"rows": 500, "trees": 5}, ("accuracy", "trees_per_second")),
    Small("hydra", "degree=degree-3", {"data.points": 100}, ("loss",)),
    Small("notebook", "data=few-points", {"steps": 10}, ("loss", "slope"), "outputs/train.ipynb"),
    # its preparations are the other three steps
    Small(
        "cnn-digits",
        "workload=infer hardware=one-core",
        {"count": 300, "epochs": 1},
        ("accuracy", "images_per_second"),
    ),
    Small("captioning", "batch=batch-128", {"pictures": 200}, ("captions_right", "images_per_second")),
)


@pytest.fixture(autouse=True)
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compared here, so no stack is loaded beforehand."""
    monkeypatch.setattr(Deployment, "warm", lambda *asked: None)


@pytest.fixture(scope="module")
def installed() -> Iterator[Site]:
    """A server and an agent in a home of their own, which has the stacks that are built here.

    Its path is short: a DataLoader's workers have sockets below the agent's temporary folder, whose paths the kernel
    holds to 107 letters.
    """
    settings = Settings.from_environment()
    home = Path(tempfile.mkdtemp(prefix="e-"))
    for shared in ("stacks", "stacks.d"):
        if (settings.home / shared).is_dir():
            (home / shared).symlink_to(settings.home / shared)
    with site(home) as made:
        yield made


def small(example: Small, deployment: str, folder: Path) -> Path:
    """The scenario file of a copy of the example, made small."""
    shutil.copytree(EXAMPLES / example.example, folder)
    file = folder / "scenario.toml"
    text = file.read_text(encoding="utf-8")
    for name, value in example.less.items():
        text, changed = re.subn(rf'("?\b{re.escape(name)}"?) = [0-9]+', rf"\g<1> = {value}", text)
        assert changed, f"{example.example} has no parameter {name}"
    axis = f'[axes]\ndeployment = ["{deployment}"]\n'
    text = text.replace("[axes]\n", axis) if "[axes]" in text else f"{text}\n{axis}"
    file.write_text(text, encoding="utf-8")
    return file


def why_not(example: Small) -> str | None:
    """Why an example cannot run here: a stack is not built, or its packages are not here; ``None``: it can."""
    settings, defined = Settings.from_environment(), stacks.load()
    described = tomllib.loads((EXAMPLES / example.example / "scenario.toml").read_text(encoding="utf-8"))
    for name in described.get("axes", {}).get("stack", [stacks.DEFAULT]):
        if stacks.python_of(defined[name], settings) is None:
            return f"stack {name} is not built: stackyard stack build {name}"
    for workload in described["workloads"].values():
        if "requirements" in workload and not LONG and not os.environ.get("STACKYARD_WHEELS"):
            file = EXAMPLES / example.example / workload["requirements"]
            known = derived.foreseen(defined[stacks.DEFAULT], file, settings)
            if known is None or stacks.python_of(known, settings) is None:
                return (
                    f"the packages of examples/{example.example} are not here: run the example once, "
                    "or give a folder of wheels in STACKYARD_WHEELS"
                )
    if example.example == "program-in-c" and shutil.which("cc") is None:
        return "no C compiler: install cc"
    return None


def ran(example: Small, deployment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run one cell of an example, and look at its record."""
    if reason := why_not(example):
        pytest.skip(reason)
    file, out = small(example, deployment, tmp_path / example.example), tmp_path / "runs"
    only = [word for value in example.only.split() for word in ("--only", value)]
    status = run(["scenario", "run", str(file), *only, "--repeats", "1", "--out", str(out), "--json"])
    said = capsys.readouterr()
    if status == 3 and LONG:
        pytest.skip(said.err.strip().splitlines()[-1])
    logs = "\n".join(log.read_text(errors="replace")[-2000:] for log in out.rglob("output.log"))
    assert status == 0, f"{said.err}\n{logs}"
    (record_file,) = out.glob("runs/*/record.json")
    record = read_json(RunRecord, record_file)
    assert record.status == "completed"
    assert record.notes == [], record.notes
    for name in example.figures:
        assert isinstance(record.results.get(name), (int, float)), f"{name}: {record.results}\n{logs}"
    if example.leaves:
        assert (record_file.parent / example.leaves).exists()
    assert (record.dispatch is not None) == (deployment == "agent")


@pytest.mark.parametrize("example", SMALL, ids=lambda example: example.example)
def test_an_example_runs_here(example: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(example, "bare", tmp_path, capsys)


@pytest.mark.parametrize(
    "example",
    [pytest.param(one, marks=() if one.sent else pytest.mark.long, id=one.example) for one in SMALL],
)
def test_an_example_runs_through_an_agent(
    example: Small,
    installed: Site,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(installed.home))
    ran(example, "agent", tmp_path, capsys)


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("scenario.toml")), ids=lambda file: file.parent.name)
def test_a_scenario_asks_for_as_many_blocks_as_a_verdict_needs(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scenario", "validate", str(file)]) == 0, capsys.readouterr().err
    assert tomllib.loads(file.read_text(encoding="utf-8")).get("repeats", 6) >= 6


def test_every_example_is_tested_and_stands_in_the_table() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert {example.example for example in SMALL} == folders - {"deployment", "tuning"}
    shown = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(folders) if f"]({name}/" not in shown] == []
    pages = [name for name in sorted(folders) if not (EXAMPLES / name / "README.md").exists()]
    assert pages == ["deployment"], "an example has a page"


def test_the_own_script_knows_nothing_of_stackyard() -> None:
    text = (EXAMPLES / "own-script" / "train.py").read_text(encoding="utf-8")
    assert "stackyard" not in text.lower()
    imports: list[Any] = re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)
    assert set(imports) == {"argparse", "json", "torch"}


def test_the_notebook_has_no_output_of_a_run() -> None:
    notebook = json.loads((EXAMPLES / "notebook" / "train.ipynb").read_text(encoding="utf-8"))
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"])
