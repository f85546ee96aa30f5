"""A real installation for tests: embedded server, services process and agents, in a home of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stackyard.agents import lineage
from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.services import control, status
from stackyard.services.files import ABORT, ServicesFiles
from stackyard.settings import Settings
from tests.waiting import until

ONE_QUEUE = "[queues.cpu]\nretries = 1\n"
QUICK = "print('worked', flush=True)\n"
#: Works until the file is there.
UNTIL = """
import os, time
print('began', flush=True)
while not os.path.exists({path!r}):
    time.sleep(0.05)
print('worked', flush=True)
"""


@dataclass
class Yard:
    """An installation in a temporary folder."""

    home: Path
    queues: str = ONE_QUEUE
    said: list[str] = field(default_factory=list)
    found: tuple[int, connection.Connection] | None = None

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def files(self) -> ServicesFiles:
        return ServicesFiles(self.home)

    def up(self, **wishes: Any) -> dict[str, Any]:
        path = self.home.parent / "queues.toml"
        # no stack is built here: what tasks run on is the agents' own Python
        path.write_text(re.sub(r"(?m)^(\[queues\.cpu\])$", r'\1\ndefault_stack = "none"', self.queues))
        ports = {"web_port": 0, "api_port": 0, "files_port": 0}
        options = {"options": ports} if not self.files.plan_file.exists() else {}
        return control.up(
            self.settings, control.Wishes(queues_file=path, **{**options, **wishes}), self.said.append
        )

    def down(self, mode: str = ABORT, limit: float = 60.0) -> dict[str, Any]:
        return control.down(self.settings, mode, limit, self.said.append)

    def status(self) -> dict[str, Any]:
        return status.status(self.settings)

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        file = self.home / connection.CONFIG_FILE
        written = file.stat().st_mtime_ns
        if self.found is None or self.found[0] != written:
            self.found = written, connection.find(self.settings, file)
        with Client(self.found[1], patience_seconds=10) as client:
            return client.call(method, **fields)

    def submit(self, code: str = QUICK, queue: str = "cpu", **fields: Any) -> str:
        script = {
            "binary": "python",
            "entry_point": "script.py",
            "working_dir": ".",
            "diff": code,
            "requirements": {},
        }
        task = str(self.call("tasks.create", name="a task", type="training", script=script, **fields)["id"])
        self.call("tasks.enqueue", task=task, queue_name=queue)
        return task

    def task(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("tasks.get_by_id", task=id)["task"]
        return found

    def console(self, id: str) -> str:
        events = self.call(
            "events.get_task_log", task=id, batch_size=1000, order="asc", navigate_earlier=False
        )
        return "".join(event.get("msg", "") for event in events["events"])

    def waits(self, id: str) -> str:
        """Its status, once that is final."""
        final = ("completed", "failed", "stopped")
        until(lambda: self.task(id)["status"] in final, f"the end of task {id}")
        return str(self.task(id)["status"])

    def begun(self, id: str) -> None:
        until(lambda: "began" in self.console(id), f"task {id}'s first line")

    def at_work(self, code: str) -> str:
        """Up, with a task that has begun: its id."""
        self.up()
        task = self.submit(code)
        self.begun(task)
        return task

    def slot(self, number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.files.state()["slots"][number]
        return found

    def kill_services(self) -> lineage.Identity:
        """Kill the services process, and see it gone: the lock goes with the last of its threads."""
        holder = self.files.holder()
        assert holder is not None
        assert holder.signal(signal.SIGKILL)
        until(lambda: self.files.holder() is None, "the lock to be free")
        return holder

    def left(self) -> list[lineage.Identity]:
        """Processes of its agents."""
        return lineage.marked_for(self.files.mark_prefix)


@contextmanager
def installation(home: Path) -> Iterator[Yard]:
    """An installation that is down again, whatever was done to it."""
    made = Yard(home)
    try:
        yield made
    except BaseException:
        for path in (made.files.log_file, made.files.folder / "services.out"):
            print(f"--- {path.name}\n{path.read_text() if path.exists() else ''}")
        raise
    finally:
        made.down()
        assert made.left() == [], "processes were left behind"
        assert made.files.holder() is None


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """An installation for this test alone."""
    with installation(tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """One for the tests of a file that leave it whole."""
    with installation(tmp_path_factory.mktemp("standing") / "home") as made:
        yield made


@pytest.fixture
def waiting(tmp_path: Path) -> tuple[str, Path]:
    """The code of a task that works until a file is there, and the file."""
    path = tmp_path / "go on"
    return UNTIL.format(path=str(path)), path
