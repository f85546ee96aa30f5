"""A real ``clearml-agent`` daemon for a test: its own home, paused, resumed and ended with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_SECONDS

from .clients.conftest import environment
from .running import Running


class Agent:
    """An agent on the given queue, with a home of its own.

    Args:
        server: Whom it works for.
        python: An interpreter with clearml and clearml-agent; also runs the tasks.
        home: Its own folder.
        worker: Its worker id.
        queue: The queue's name.
    """

    def __init__(self, server: Running, python: str, home: Path, worker: str, queue: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.worker = home, worker
        self.log = home / "agent.log"
        config = environment(server, home)
        with open(config["CLEARML_CONFIG_FILE"], "a") as file:
            file.write(
                f'agent {{ worker_id: "{worker}", venvs_dir: "{home}/venvs", python_binary: "{python}" }}\n'
            )
        self.environment = {
            **config,
            "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": python,
            "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",
            "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5",
            "CLEARML_AGENT_STATUS_REPORT_FREQ_SEC": "2",
            "TMPDIR": str(home),
        }
        command = [python, "-m", "clearml_agent", "daemon", "--queue", queue, "--foreground", "--cpu-only"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=home, stdout=out, stderr=out, start_new_session=True
            )

    def processes(self) -> list[int]:
        """The daemon and everything it started, by the home in their environment."""
        mark, found = f"HOME={self.home}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def signal(self, number: signal.Signals, *, daemon: bool = True) -> None:
        """Send a signal to all of its processes, or to those of its tasks only."""
        for process in self.processes():
            if daemon or process != self.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process, number)

    def stop(self) -> int:
        """Stop as ``Ctrl-C`` does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End everything it started."""
        while left := self.processes():
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)


@contextmanager
def agent(server: Running, python: str, home: Path, worker: str, queue: str) -> Iterator[Agent]:
    """An agent that works until the block is left."""
    running = Agent(server, python, home, worker, queue)
    try:
        yield running
    except BaseException:
        print(f"--- {worker}:\n{running.log.read_text(errors='replace')[-6000:]}")
        raise
    finally:
        running.kill()


def script_task(server: Running, code: str, queue: str, name: str = "a script") -> str:
    """A task whose code is in its ``diff``, waiting in the queue of that name; its id."""
    script = {
        "binary": "python",
        "entry_point": "script.py",
        "working_dir": ".",
        "diff": code,
        "requirements": {},
    }
    task: str = server.call("tasks.create", name=name, type="training", script=script)["id"]
    server.call("tasks.enqueue", task=task, queue_name=queue)
    return task


def task_of(server: Running, task: str) -> dict[str, Any]:
    """The task's document."""
    found: dict[str, Any] = server.call("tasks.get_by_id", task=task)["task"]
    return found


def console(server: Running, task: str) -> str:
    """The task's console, oldest line first."""
    events = server.call(
        "events.get_task_log", task=task, batch_size=1000, order="asc", navigate_earlier=False
    )
    return "".join(event.get("msg", "") for event in events["events"])
