"""The web app beside server and agents: one process, started, kept running, ended with the services process.

It runs from this machine's own ``clearml.conf`` for the server's addresses; nobody's key is given to it. The kernel
ends it with the services process, whatever ends that.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from stackyard.agents import lineage
from stackyard.services.files import ServicesFiles, WebApp

log = logging.getLogger(__name__)

#: The first pause before one that died is started again, and the longest; each is twice the one before.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
#: One that ran so long did not die young.
STEADY_SECONDS = 60.0
#: How long one that was asked to end may take.
END_SECONDS = 10.0
LOG_BYTES = 2_000_000
#: How long a look whether it listens may take.
_LOOK_SECONDS = 0.2


class Running(Protocol):
    """Its process."""

    pid: int

    def ended(self) -> int | None:
        """Its exit status; ``None``: it runs."""

    def answers(self) -> bool:
        """Whether it takes connections."""

    def end(self, seconds: float) -> None:
        """Ask it to end, and kill it after a while."""


class Child:
    """The process, started here.

    Args:
        files: of the installation.
        wanted: what it is to be.
    """

    def __init__(self, files: ServicesFiles, wanted: WebApp) -> None:
        self._wanted = wanted
        command = [sys.executable, "-m", "stackyard.cli.main", "web"]
        command += ["--host", wanted.host, "--port", str(wanted.port), "--config", str(files.own_config)]
        for folder in wanted.reports:
            command += ["--reports", folder]
        # ClearML's variables go before what the file says, and are those of the shell that called `up`
        around = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
        number = _opened(files.web_log)
        try:
            self._process = subprocess.Popen(
                command,
                env={**around, "STACKYARD_HOME": str(files.home)},
                cwd=files.home,
                stdin=subprocess.DEVNULL,
                stdout=number,
                stderr=number,
                start_new_session=True,
                umask=0o077,
                preexec_fn=lineage.end_with_parent,  # one system call, which takes no lock
            )
        finally:
            os.close(number)
        self.pid = self._process.pid

    def ended(self) -> int | None:
        """Its exit status; ``None``: it runs."""
        return self._process.poll()

    def answers(self) -> bool:
        """Whether it takes connections."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._wanted.host, self._wanted.host)
        with suppress(OSError):
            socket.create_connection((host, self._wanted.port), _LOOK_SECONDS).close()
            return True
        return False

    def end(self, seconds: float) -> None:
        """Ask it to end, and kill it after a while."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                return


class WebAppKeeper:
    """Keeps the web app as it is wanted.

    Args:
        files: of the installation.
        start: starts one.
    """

    def __init__(
        self, files: ServicesFiles, start: Callable[[ServicesFiles, WebApp], Running] = Child
    ) -> None:
        self.process: Running | None = None
        self.restarts = 0
        self._files, self._start = files, start
        self._given: WebApp | None = None
        self._answered = False
        self._started_at = self._next_start_at = 0.0
        self._failures = 0
        #: What went wrong last, for people.
        self._trouble: str | None = None

    def step(self, now: float, wanted: WebApp | None) -> None:
        """Do what is due.

        Args:
            now: monotonic seconds.
            wanted: what it is to be; ``None``: none is to run.
        """
        if self.process is not None and (status := self.process.ended()) is not None:
            self.process = None
            self.restarts += 1
            self._fail(now, f"the web app ended by itself (exit status {status}); see `stackyard logs web`")
        if self.process is not None and wanted != self._given:
            self.end()
        if wanted != self._given:
            self._given, self._failures, self._next_start_at, self._trouble = wanted, 0, 0.0, None
        if wanted is None:
            return
        if self.process is None:
            if now >= self._next_start_at:
                self._begin(now, wanted)
            return
        if not self._answered and self.process.answers():
            self._answered = True
            log.info("the web app answers at %s (process %d)", wanted.address, self.process.pid)
        if now - self._started_at > STEADY_SECONDS:
            self._failures = 0
        _turn_over(self._files.web_log)

    def end(self) -> None:
        """End it, if it runs; waits for it."""
        if self.process is not None:
            self.process.end(END_SECONDS)
            self.process = None

    def describe(self) -> dict[str, Any] | None:
        """The web app as the state file shows it; ``None``: none is wanted."""
        if self._given is None:
            return None
        phase = "waiting" if self.process is None else "running" if self._answered else "starting"
        return {
            "address": self._given.address,
            "phase": phase,
            "pid": self.process.pid if self.process else None,
            "restarts": self.restarts,
            "trouble": self._trouble,
        }

    def _begin(self, now: float, wanted: WebApp) -> None:
        try:
            self.process = self._start(self._files, wanted)
        except OSError as error:
            self._fail(now, f"the web app cannot be started ({error})")
            return
        self._started_at, self._answered = now, False

    def _fail(self, now: float, words: str) -> None:
        self._failures += 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), LONGEST_PAUSE_SECONDS)
        self._next_start_at, self._trouble = now + pause, words
        log.warning("%s; started again in %.0f s", words, pause)


def _opened(path: Path) -> int:
    """The log to write to, turned over when it grew long."""
    _turn_over(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _turn_over(path: Path) -> None:
    """Begin a log anew that grew long; the process that writes to it goes on at its new end."""
    with suppress(OSError):
        if path.stat().st_size > LOG_BYTES:
            os.truncate(path, 0)
