"""Deployment ``bare``: the supervisor as a direct child process, no ClearML, no container.

Nothing of the user's shell (tokens, proxies, PYTHONPATH) reaches a run: its environment is ``workloads.environment``'s.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import subprocess
from pathlib import Path

import psutil

from stackyard import stacks
from stackyard.launch import LaunchError, Place
from stackyard.launch.deployment import Deployment
from stackyard.machine.hardware import why_not as machine_lacks
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.stacks import contents, environment
from stackyard.workloads import snapshot
from stackyard.workloads.environment import clean_environment
from stackyard_task import records
from stackyard_task.records import SUPERVISOR_LOG, TaskSpec


class BareDeployment(Deployment):
    """Runs are child processes of the runner, on the stacks that are built on this machine."""

    name = "bare"
    about = "runs are started directly"

    def why_not(self, stack: str, hardware: HardwareSpec, workers: int) -> str | None:
        """What this machine or the stack lacks, or ``None``."""
        premises = self.premises
        obstacle = machine_lacks(hardware, premises.machine, workers)
        return obstacle or stacks.why_not(
            premises.built(stack), premises.settings, premises.machine, hardware.gpus
        )

    def launcher(self, gpus: int) -> BareLauncher:
        """One launcher for all: which GPUs a run sees stands in its task."""
        return BareLauncher()


@functools.cache
def _compiled_once(code: Path, python: Path) -> None:
    """Byte code for a Python, made before this process starts its first run of the code with it."""
    snapshot.compiled(code, python)


@functools.cache
def _hooked_once(python: Path) -> None:
    """The start-up hook in an environment that was built before there was one."""
    environment.tend(python)


def supervisor(python: Path, folder: Path) -> list[str]:
    """The words of a supervisor on a stack as it is built on a machine."""
    return [str(python), "-m", "stackyard_task.run", str(folder)]


def made_ready(task: TaskSpec, place: Place) -> Path:
    """The Python of a run's stack, seen to be as it was built, with the code compiled for it.

    Raises:
        LaunchError: the stack is not built, or not as it was built.
    """
    stack = task.stack.name if task.stack else "?"
    if place.python is None:
        raise LaunchError(f"stack {stack} is gone; build it again with: stackyard stack build {stack}")
    # an earlier run may have installed something there
    changes = contents.changes(place.python.parent.parent)
    if changes is not None:
        raise LaunchError(
            f"stack {stack} has other packages than it was built with ({changes}); build it again with: "
            f"stackyard stack build {stack}"
        )
    _compiled_once(place.code, place.python)
    if task.stack is not None and task.command is not None:
        _hooked_once(place.python)
    return place.python


class BareLauncher:
    """Starts runs as child processes of this one."""

    def start(self, task: TaskSpec, place: Place) -> BareRun:
        """Write ``task.json`` and start the supervisor in the stack's Python.

        Raises:
            LaunchError: the stack is not built or not as it was built, or its Python cannot be executed.
            OSError: the folder cannot be written.
        """
        python = made_ready(task, place)
        records.write_json(task, place.folder / records.TASK_FILE)
        log = place.folder / SUPERVISOR_LOG
        environment = clean_environment(place.code)
        if task.command is not None and task.command.folder is not None:
            # it works where the user works, as the user works there
            path = [environment["PYTHONPATH"], *filter(None, [os.environ.get("PYTHONPATH")])]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    self.command(python, place.folder),
                    cwd=place.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=tuple(place.inherited),
                    # A Ctrl-C at the terminal reaches the runner only, which passes it on in order.
                    start_new_session=True,
                )
            except OSError as error:
                stack = task.stack.name if task.stack else "?"
                raise LaunchError(
                    f"stack {stack}: its Python cannot be started ({python}: {error.strerror}); "
                    f"build it again with: stackyard stack build {stack}"
                ) from error
        return BareRun(process, log)

    def command(self, python: Path, folder: Path) -> list[str]:
        """How the supervisor of a run folder is called; what is put before it must become it, as ``nice`` does."""
        return supervisor(python, folder)

    def again(self, task: TaskSpec, place: Place) -> BareRun | None:
        """``None``: a supervisor that outlives its runner holds the run folder until its record lies there."""
        return None


class BareRun:
    """A supervisor that is a child of this process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        # Waiting on a descriptor wakes at once and, unlike polling, costs the measured machine nothing.
        self._descriptor = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The supervisor's exit status, or ``None`` if it is still at work after ``seconds``."""
        if self._descriptor is not None:
            select.select([self._descriptor], [], [], seconds)
            status = self._process.poll()
        else:
            try:
                status = self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
        if status is not None:
            if status < 0:
                self._end_the_rest()
            self._close()
        return status

    def interrupt(self) -> None:
        """Ask the supervisor to end its tree and write a record."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the supervisor and every process below it."""
        if self._process.poll() is not None:
            return
        try:
            below = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            below = []
        self._process.kill()
        for process in below:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._end_the_rest()

    def _end_the_rest(self) -> None:
        from stackyard.launch import leftovers

        leftovers.ended(self._log.parent, self._process.pid)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._log.exists() and self._log.stat().st_size == 0:
            self._log.unlink()
