"""What is measured: a whole installation in a folder, as ``stackyard up`` starts it, and ordinary tasks put into it.

Everything lies in one temporary folder below the home of the stacks, which is removed at the end; the stacks themselves
are only read there, and what is derived from them is built in the folder. What cannot be measured raises NotHere.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.result import Ground, NotHere
from stackyard import stacks
from stackyard.clearml.client import Client
from stackyard.settings import Settings
from stackyard_task import handing_in
from tests.installation.lab import FINAL, Lab
from tests.waiting import until

QUEUE = "cpu"
SLOT = f"{QUEUE}-0"
#: Ends what hangs; everything waited for ends sooner.
PATIENCE_SECONDS = 300.0
#: A record comes at most so long after the task's end: the agent's own end is noticed first.
RECORD_SECONDS = 60.0
_QUEUES = """
[queues.cpu]
deployment = "agent"
slots = {slots}
retries = 0
silence_seconds = 30
default_stack = "{stack}"
"""


@dataclass
class Yard(Ground):
    """One bench run's installation."""

    lab: Lab
    client: Client
    #: Name of the stack of tasks that ask for none.
    stack: str
    #: The home that holds the stacks, and what is recorded of their images.
    images: Path
    _queues: str = ""
    _slots: int = 1

    def queues(self, more: str = "", slots: int = 1) -> None:
        """Have so many agents of the first queue, which share the machine's cores, and further queues.

        Args:
            more: tables of the further ones, as ``queues.toml`` has them.
            slots: agents of the first.
        """
        text = _QUEUES.format(slots=slots, stack=self.stack) + more
        if text != self._queues:
            before = self.lab.agent(SLOT)
            self.lab.queues_file.write_text(text)
            self.lab.stackyard(*self.lab.up_words)
            if (
                slots != self._slots
            ):  # other cores: the first agent is started anew, and no task is to meet the old one
                until(lambda: not before.alive(), "the agent to start anew")
            self._queues, self._slots = text, slots
        for number in range(slots):
            self.lab.agent(f"{QUEUE}-{number}")

    def repository(self, name: str, files: Mapping[str, str]) -> str:
        """A git repository with one commit of these files; its path."""
        folder = self.new(name)
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        commit(folder)
        return str(folder)

    def send(
        self,
        name: str,
        text: str = "",
        *,
        requirements: str = "",
        repository: str = "",
        folder: str = ".",
        entry: str = "script.py",
        queue: str = QUEUE,
        project: str | None = None,
        parameters: Mapping[str, str | tuple[str, str]] | None = None,
    ) -> str:
        """Put a task into a queue as the web app does; its id.

        Args:
            name: the task's.
            text: its script, stored whole; empty where it lies in ``repository``.
            requirements: what it lists, lines of pip's.
            repository: a git repository; its branch master is run.
            folder: of the script, in the repository.
            entry: the script, or "-m module".
            queue: the queue's name.
            project: the project's; then the task is called by ``name`` alone, else it is "bench: NAME".
            parameters: "Args/name" -> value, or (value, type).
        """
        script: dict[str, Any] = {
            "binary": "python3",
            "entry_point": entry,
            "working_dir": folder,
            "repository": repository,
            "diff": text,
            "requirements": {"pip": requirements},
        }
        if repository:
            script["branch"] = "master"
        fields: dict[str, Any] = {"name": name if project else f"bench: {name}", "type": "training"}
        if project:
            fields["project"] = self._project(project)
        for path, value in (parameters or {}).items():
            section, _, key = path.partition("/")
            given, kind = (value, "") if isinstance(value, str) else value
            held = fields.setdefault("hyperparams", {}).setdefault(section, {})
            held[key] = {"section": section, "name": key, "value": given, "type": kind}
        id = str(self.client.call("tasks.create", script=script, **fields)["id"])
        self.client.call("tasks.enqueue", task=id, queue_name=queue)
        return id

    def _project(self, name: str) -> str:
        """A project's id; it is made where it is not there."""
        found = self.client.call(
            "projects.get_all", name=f"^{re.escape(name)}$", only_fields=["id"], search_hidden=True
        )["projects"]
        return str(found[0]["id"] if found else self.client.call("projects.create", name=name)["id"])

    def task(self, id: str) -> dict[str, Any]:
        """The task's document."""
        found: dict[str, Any] = self.client.call("tasks.get_by_id", task=id)["task"]
        return found

    def ended(self, id: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The task's document, once it has its final status.

        Raises:
            NotHere: it does not end; it is stopped then.
        """
        deadline = time.monotonic() + seconds
        while (task := self.task(id))["status"] not in FINAL:
            if time.monotonic() > deadline:
                self.client.call("tasks.stopped", task=id, force=True)
                raise NotHere(f"task {task.get('name')} did not end within {seconds:g} s")
            time.sleep(0.1)
        return task

    def run(self, name: str, text: str = "", **how: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A task that completes: its document and its record; ``how``: as ``send`` takes it.

        Raises:
            NotHere: it fails, or has no record.
        """
        self.check_time(10.0)
        task = self.ended(self.send(name, text, **how))
        record = self.record(task["id"])
        if task["status"] != "completed" or record is None:
            raise NotHere(
                f"task {name} ended as {task['status']}: {task.get('status_reason')}; {self.said(task['id'])}"
            )
        return task, record

    def record(self, id: str, seconds: float = 5.0) -> dict[str, Any] | None:
        """The record that a task left; ``None``: it left none, so long after its end."""
        deadline = time.monotonic() + seconds
        while True:
            held = self.task(id).get("execution", {}).get("artifacts") or []
            uri = next((one["uri"] for one in held if one["key"] == handing_in.RECORD), None)
            if uri is not None:
                found: dict[str, Any] = json.loads(self.client.content(uri, 64 << 20))
                return found
            if time.monotonic() > deadline:
                return None
            time.sleep(0.2)

    def said(self, id: str, most: int = 300) -> str:
        """The end of what a task's console has."""
        events = self.client.call("events.get_task_log", task=id, order="asc", batch_size=2000)["events"]
        return " ".join(" ".join(event["msg"] for event in events).split())[-most:]

    def agents_variables(self) -> dict[str, str]:
        """The environment of the first agent, as it is."""
        return psutil.Process(self.lab.agent(SLOT).pid).environ()


def commit(folder: Path) -> None:
    """Make a git repository of a folder, with everything in it in one commit on branch master."""
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (
        ["init", "-q", "-b", "master"],
        ["add", "-A", "-f"],
        [*who, "commit", "-q", "-m", "Everything"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


@contextlib.contextmanager
def yard(minutes: float) -> Iterator[Yard]:
    """A yard, gone at the end with all it started; after so many minutes nothing long is begun.

    Raises:
        SystemExit: the default stack is not built.
    """
    settings = Settings.from_environment()
    spec = stacks.load()[stacks.DEFAULT]
    if stacks.python_of(spec, settings) is None:
        sys.exit(f"stack {spec.name} is not built; build it: stackyard stack build {spec.name}")
    begun = time.monotonic()
    text = _QUEUES.format(slots=1, stack=spec.name)
    folder = Path(tempfile.mkdtemp(prefix="bench-tasks-", dir=settings.home))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # in order: nothing stays behind
    lab = Lab(folder / "home")
    try:
        (lab.home / "stacks").mkdir(parents=True)
        built = stacks.location(spec, settings)
        (lab.home / "stacks" / built.name).symlink_to(built)
        lab.queues_file.write_text(text)
        lab.stackyard(*lab.up_words)
        lab.agent(SLOT)
        with lab.client as client:
            yield Yard(folder, begun + 60 * minutes, lab, client, spec.name, settings.home, text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # what tidies up is not ended for taking long
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            lab.down()
        for process in lab.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
