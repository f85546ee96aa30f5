"""A small real site for matrices: real supervisors and children in the Python that runs the tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stackyard import scenarios, workloads
from stackyard.launch import installed
from stackyard.launch.bare import BareLauncher
from stackyard.launch.deployment import Deployment, Premises
from stackyard.launch.retries import RetryPolicy
from stackyard.matrix import planning
from stackyard.matrix.plan import Plan
from stackyard.matrix.runner import Outcome, Runner
from stackyard.matrix.runs import RunFolder
from stackyard.matrix.site import Site
from stackyard.matrix.stop import Stop
from stackyard.scenarios import Known
from stackyard.settings import Settings
from stackyard.workloads import packages
from stackyard_task.records import Code, RunRecord, StackPin
from stackyard_task.workloads import Workload
from tests.engine import base_image, engine, no_containers_left, stack_image  # noqa: F401 - fixtures too
from tests.stackyard.fake_stacks import built, depot, serve  # noqa: F401 - fixtures for every test below

#: A workload that does what its parameters say. It lies in the snapshot, as the package's own ones do.
WORK = '''
import os, signal, sys, time
from pathlib import Path


def work(parameters, channel, output_folder):
    """Tiny: writes a file, then does what "do" says; "log" collects the order in which runs happened."""
    channel.phase("data")
    if parameters.get("log"):
        with open(parameters["log"], "a") as stream:
            stream.write(parameters.get("say", "x") + "\\n")
    (Path(str(output_folder)) / "made.txt").write_text("made")
    if parameters.get("read"):
        channel.results(read=Path(parameters["read"]).read_text())
    channel.phase("steady")
    print("said to stdout")
    do = parameters.get("do", "nothing")
    if parameters.get("note"):
        channel.note(parameters["note"])
    if parameters.get("bad_while") and os.path.exists(parameters["bad_while"]):
        raise ValueError("the flag is up")
    if do == "raise":
        raise ValueError("wanted")
    if do == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if do == "meet":  # over only where all parts of the run are under way at once
        shards = parameters["shards"]
        Path(f"{parameters['at']}.{shards}.{parameters['shard']}").touch()
        while not all(os.path.exists(f"{parameters['at']}.{shards}.{n}") for n in range(1, shards + 1)):
            time.sleep(0.02)
    if do == "hang" or (parameters.get("hang_while") and os.path.exists(parameters["hang_while"])):
        Path(parameters["log"] + ".hanging").write_text(str(os.getpid()))
        while True:
            time.sleep(0.02)
    channel.results(environment=sorted(os.environ), path=sys.path, answer=parameters.get("answer", 42))
'''


@dataclass
class Yard:
    """A site with two stacks that are both the Python of the tests, and a folder to run in."""

    folder: Path
    code: Path
    python: dict[str, Path | None] = field(
        default_factory=lambda: {"old": Path(sys.executable), "new": Path(sys.executable)}
    )
    tunables: Mapping[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    ended_labels: list[str] = field(default_factory=list)
    seen: list[tuple[int, int, float | None]] = field(default_factory=list)
    on_tick: Any = None
    pins: dict[str, StackPin] = field(default_factory=dict)
    #: (deployment, GPUs) -> launcher.
    launcher: Any = field(default_factory=lambda: lambda deployment, gpus: BareLauncher())
    retries: RetryPolicy | None = None
    #: Declared workloads, by name.
    declared: Mapping[str, Workload] = field(default_factory=lambda: workloads.load().declared)

    @property
    def out(self) -> RunFolder:
        return RunFolder(self.folder / "out")

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def site(self) -> Site:
        return Site(
            python_of=lambda name: self.python[name],
            pin_of=lambda name: self.pins.get(name) or StackPin(name=name, digest=f"digest of {name}"),
            environment_of=lambda name: ({"STACK_VARIABLE": name}, self.tunables),
            declared=self.declared.get,
            dataset=lambda reference: self.folder / reference.removeprefix("dataset:"),
            deployment=self.deployment,
        )

    def deployment(self, name: str) -> Deployment:
        """The real deployment, but for what it finds on the machine: that is the yard's."""
        yard, real = self, installed.named(name)

        class Here(real):  # type: ignore[misc, valid-type]
            def why_not(self, stack: str, hardware: Any, workers: int) -> str | None:
                return yard.reasons.get(stack)

            def launcher(self, gpus: int) -> Any:
                return yard.launcher(name, gpus)

            def warm(self, stack: str, code: Path) -> None:
                return None

        here: Deployment = Here(Premises.here(Settings(home=self.folder), {}))
        return here

    def plan(self, text: str, **options: Any) -> tuple[scenarios.Scenario, Plan]:
        known = Known(["old", "new"], "new", installed.names(), installed.DEFAULT, self.declared)
        scenario = scenarios.read(text, "test.toml", known)
        return scenario, planning.planned(scenario, self.site, Code(version="v", digest="d"), **options)

    def run(
        self,
        text: str,
        *,
        resume: bool = False,
        fresh: bool = False,
        stop: Stop | None = None,
        gives_up: bool = False,
        **options: Any,
    ) -> Outcome:
        scenario, plan = self.plan(text, **options)
        runner = Runner(
            *(
                scenario,
                plan,
                self.out,
                self.site,
                self.code,
                self.folder,
                self,
                stop or Stop(),
                self.retries,
            ),
            gives_up=gives_up,
        )
        return runner.run(text, resume=resume, fresh=fresh)

    def record(self, name: str) -> RunRecord:
        record = self.out.record(self.out.path / "runs" / name)
        assert record is not None
        return record

    def lines(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    # The watcher's side.

    def message(self, text: str) -> None:
        self.messages.append(text)

    def started(self, label: str, done: int, total: int) -> None:
        self.messages.append(label)

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        if self.on_tick is not None:
            self.on_tick()

    def ended(
        self, label: str, record: RunRecord, done: int, total: int, remaining_seconds: float | None
    ) -> None:
        self.ended_labels.append(label)
        self.seen.append((done, total, remaining_seconds))


@pytest.fixture(scope="session")
def code_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of this checkout and the workload above."""
    folder = tmp_path_factory.mktemp("code")
    for source in packages.folders():
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "work_for_tests.py").write_text(WORK)
    return folder


@pytest.fixture
def yard(tmp_path: Path, code_folder: Path) -> Yard:
    return Yard(tmp_path, code_folder)
