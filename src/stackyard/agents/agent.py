"""A real ``clearml-agent`` as a process: started, watched, asked to end, and ended with all it started.

A process is known by its number and its start time, and those an agent started by the mark in their environment
(``configuration.MARK``), never by a name. Signals go to a pidfd, so a number that was given anew is never hit.
Linux. May import psutil and ``configuration``'s values; talks to no server.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackyard.agents.configuration import MARK, Prepared, clean

LOG = "agent.log"
LOG_BYTES = 2_000_000
#: Where a running agent writes, in its temporary folder.
OWN_LOGS = ".clearml_agent_daemon_out*.txt"
LAST_WORDS_BYTES = 20_000
_PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """A process, not only its number."""

    pid: int
    #: Kernel ticks since boot at its start.
    started: int

    def alive(self) -> bool:
        """Whether it still runs."""
        return started_at(self.pid) == self.started

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; whether it was there."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Whether it is gone, waiting for that at most so long."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return True
        try:
            return not self.alive() or bool(select.select([handle], [], [], max(0.0, seconds))[0])
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Usage:
    """What an agent and all it started use now."""

    processes: int
    rss_bytes: int
    cpu_seconds: float


class Agent:
    """An agent's process, whoever started it.

    Args:
        identity: its process.
        mark: its own and that of all it started.
    """

    def __init__(self, identity: Identity, mark: str) -> None:
        self.identity = identity
        self.mark = mark

    def ended(self) -> int | None:
        """0 once it is gone, however it ended; ``None``: it runs."""
        return None if self.identity.alive() else 0

    def interrupt(self) -> None:
        """Ask it to end: it unregisters its worker, and aborts its task if it has one."""
        self.identity.signal(signal.SIGINT)

    def clear(self, grace_seconds: float) -> int:
        """End whatever is left of it and what it started; how many processes there were."""
        return end_all(lambda: marked(self.mark), grace_seconds)

    def usage(self) -> Usage:
        """What it and all it started use now."""
        return usage_of(self.identity)


class Child(Agent):
    """An agent that this process starts.

    Args:
        prepared: what it is given.
    """

    def __init__(self, prepared: Prepared) -> None:
        folder = Path(prepared.folder)
        log = _opened(folder / "log" / LOG)
        _keep_last_words(folder / "tmp", log)
        clean(folder)
        try:
            self.process = subprocess.Popen(
                prepared.command,
                env=dict(prepared.environment),
                cwd=folder / "home",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(log)
        if prepared.cores:
            # it has one thread yet; all it starts inherits this
            with suppress(ProcessLookupError):
                os.sched_setaffinity(self.process.pid, prepared.cores)
        identity = Identity(self.process.pid, started_at(self.process.pid) or 0)
        super().__init__(identity, prepared.environment[MARK])

    def ended(self) -> int | None:
        """Its exit status; ``None``: it runs."""
        return self.process.poll()

    def clear(self, grace_seconds: float) -> int:
        """End whatever is left of it and what it started; how many processes there were."""
        count = super().clear(grace_seconds)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_seconds)
        return count


def started_at(pid: int) -> int | None:
    """When a process started, in the kernel's ticks since boot; ``None``: there is none, or only a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def marked(mark: str) -> list[Identity]:
    """The processes that carry a mark, the calling one excluded."""
    return [found for found, held in _marks() if held == mark]


def marked_for(prefix: str) -> list[Identity]:
    """The processes whose mark begins with ``prefix``, the calling one excluded."""
    return [found for found, held in _marks() if held.startswith(prefix)]


def _marks() -> Iterable[tuple[Identity, str]]:
    start = f"{MARK}=".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        started = started_at(int(entry.name))
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if started is None:
            continue
        for variable in variables:
            if variable.startswith(start):
                yield Identity(int(entry.name), started), variable[len(start) :].decode(errors="replace")
                break


def end_all(find: Callable[[], list[Identity]], grace_seconds: float) -> int:
    """End every process that ``find`` finds: asked first, then killed, until none is left; how many there were."""
    found = find()
    for process in found:
        process.signal(signal.SIGTERM)
    end = time.monotonic() + grace_seconds
    for process in found:
        process.wait(end - time.monotonic())
    for _ in range(50):
        left = find()
        if not left:
            break
        for process in left:
            process.signal(signal.SIGKILL)
        for process in left:
            process.wait(0.5)
    return len(found)


def usage_of(identity: Identity) -> Usage:
    """What a process and all it started use now; nothing where it is gone."""
    rss = count = 0
    cpu = 0.0
    try:
        root = psutil.Process(identity.pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        tree = []
    for process in tree:
        with suppress(psutil.Error):
            times = process.cpu_times()
            cpu += times.user + times.system
            rss += process.memory_info().rss
            count += 1
    return Usage(count, rss, cpu)


def log_of(folder: Path) -> Path | None:
    """What the agent of a folder writes now: its own file, once it has begun; else what its start printed.

    ``None``: neither is there.
    """
    written = [path for path in (folder / "tmp").glob(OWN_LOGS) if path.stat().st_size]
    printed = folder / "log" / LOG
    begun = printed if printed.is_file() else None
    return max(written, key=lambda path: path.stat().st_mtime, default=begun)


def _keep_last_words(temporary: Path, log: int) -> None:
    """Append what the agent before this one wrote for itself to the log, as far as it matters."""
    for path in sorted(temporary.glob(OWN_LOGS)):
        with suppress(OSError), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LAST_WORDS_BYTES))
            os.write(log, file.read())


def _opened(path: Path) -> int:
    """The log to write to, turned over when it grew long."""
    with suppress(OSError):
        if path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
