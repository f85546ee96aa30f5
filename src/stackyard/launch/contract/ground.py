"""Where the contract's runs happen: a deployment, its launcher, and how a test sees what a run left behind."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from stackyard.launch import Launcher, Place, Started
from stackyard.launch.deployment import Deployment
from stackyard.workloads import packages
from stackyard_task.records import RECORD_FILE, RunRecord, StackPin, TaskSpec, read_json

#: Ends what hangs, and nothing else: whatever is waited for ends the waiting, on a loaded machine too.
PATIENCE_SECONDS = 300.0
#: The contract's workloads, as a module beside the packages of a snapshot.
_WORKLOADS = Path(__file__).with_name("contract_work.py")


@dataclass
class Ground:
    """A deployment under test. A subclass knows more of where its runs happen: a log, processes elsewhere."""

    deployment: Deployment
    launcher: Launcher
    #: Folder of a snapshot that holds the contract's workloads too, as ``code_in`` makes it.
    code: Path
    #: The Python that stands for the stack's.
    python: Path | None = Path(sys.executable)
    #: The stack that every task is pinned to, by name.
    stack: str = "any"
    #: The worker that takes runs from the queue, where only one does.
    worker: str | None = None
    runs: list[Started] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def task(self, workload: str, **more: Any) -> TaskSpec:
        """A task of one of the contract's workloads.

        Args:
            workload: name of a function of ``contract_work``.
            more: further fields of the task.
        """
        return TaskSpec("matrix/b01", f"{_WORKLOADS.stem}:{workload}", stack=StackPin(self.stack), **more)

    def place(self, folder: Path) -> Place:
        """A new run folder."""
        folder.mkdir(parents=True)
        self.folders.append(folder)
        return Place(folder, self.python, self.code)

    def start(self, folder: Path, task: TaskSpec) -> Started:
        """The task under way, in a new run folder."""
        run = self.launcher.start(task, self.place(folder))
        self.runs.append(run)
        return run

    def ended(self, run: Started) -> int:
        """The exit status of a run, waited for."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := run.wait(1.0)) is None:
            assert time.monotonic() < deadline, f"the run did not end\n{self.seen()}"
        return status

    def until_at_work(self, run: Started, folder: Path) -> None:
        """Wait until the workload itself has reported progress."""

        def at_work() -> bool:
            assert run.wait(0.1) is None, f"ended early\n{self.seen()}"
            try:
                return bool(json.loads((folder / "progress.json").read_text(encoding="utf-8"))["done"])
            except (OSError, ValueError):
                return False

        self._until(at_work, "the workload to be at work")

    def processes(self) -> list[int]:
        """Ids of the runs' processes that live: those that work in their folders."""
        found = []
        for process in psutil.process_iter():
            try:
                cwd = Path(process.cwd())
            except (psutil.Error, OSError):
                continue
            if any(cwd.is_relative_to(folder) for folder in self.folders):
                found.append(process.pid)
        return found

    def nothing_left(self) -> None:
        """Wait until no process of the runs lives."""
        self._until(lambda: not self.processes(), "the runs' processes to end")

    def log(self) -> str:
        """What whoever runs the runs has said lately, for a test that failed."""
        return ""

    def seen(self) -> str:
        """What is known of the runs, for a test that failed."""
        found = [self.log()]
        for folder in self.folders[-1:]:
            for name in ("progress.json", "record.json", "supervisor.log"):
                if (folder / name).exists():
                    text = (folder / name).read_text(encoding="utf-8", errors="replace")
                    found.append(f"{name}: {text[-2000:]}")
        return "\n".join(found)

    def _until(self, what: Callable[[], bool], doing: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < deadline, f"waited in vain for {doing}\n{self.seen()}"
            time.sleep(0.05)


def code_in(folder: Path) -> Path:
    """Make a folder a snapshot of the code that is installed, with the contract's workloads beside it."""
    for source in packages.folders():
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_WORKLOADS, folder)
    return folder


def record_in(folder: Path) -> RunRecord:
    """The record that lies in a run folder."""
    return read_json(RunRecord, folder / RECORD_FILE)
