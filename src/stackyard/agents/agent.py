"""A real ``clearml-agent`` as a process: started, watched, asked to end, and ended with all it started.

Who belongs to it is ``lineage``'s to say. Signals go to a pidfd, so a number that was given anew is never hit.
Linux. May import psutil, ``lineage`` and ``configuration``'s values; talks to no server.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackyard.agents import lineage
from stackyard.agents.configuration import MARK, Prepared, clean
from stackyard.agents.lineage import Group, Identity

LOG = "agent.log"
LOG_BYTES = 2_000_000
#: Where a running agent writes, in its temporary folder.
OWN_LOGS = ".clearml_agent_daemon_out*.txt"
LAST_WORDS_BYTES = 20_000


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
        #: The cgroup that holds it and all it started; ``None``: none could be made.
        self.group = Group.of(identity.pid)

    def ended(self) -> int | None:
        """0 once it is gone, however it ended; ``None``: it runs."""
        return None if self.identity.alive() else 0

    def interrupt(self) -> None:
        """Ask it to end: it unregisters its worker, and aborts its task if it has one."""
        self.identity.signal(signal.SIGINT)

    def started(self, before: float = float("inf")) -> list[Identity]:
        """What it and its tasks started, and still runs.

        Args:
            before: only what began before this instant (``lineage.ticks``).
        """
        found = set(lineage.descendants(self.identity.pid) if self.identity.alive() else ())
        found |= set(self.group.members() if self.group else ())
        return [
            process
            for process in found
            if process != self.identity and process.pid != os.getpid() and process.started < before
        ]

    def clear(self, grace_seconds: float) -> int:
        """End whatever is left of it and what it started; how many processes there were."""

        def left() -> set[Identity]:
            rest = {*self.started(), *lineage.marked(self.mark)}
            return rest | {self.identity} if self.identity.alive() else rest

        count = lineage.end_all(left, grace_seconds, self.group.kill if self.group else None)
        if self.group is not None:
            self.group.remove()
        return count

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
                preexec_fn=lineage.become_subreaper,  # one system call, which takes no lock
            )
        finally:
            os.close(log)
        mark = prepared.environment[MARK]
        # it has one thread yet; all it starts inherits cgroup and cores
        if (group := Group.make(mark)) is not None and not group.join(self.process.pid):
            group.remove()
        if prepared.cores:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(self.process.pid, prepared.cores)
        identity = Identity(self.process.pid, lineage.started_at(self.process.pid) or 0)
        super().__init__(identity, mark)

    def ended(self) -> int | None:
        """Its exit status; ``None``: it runs."""
        return self.process.poll()

    def clear(self, grace_seconds: float) -> int:
        """End whatever is left of it and what it started; how many processes there were."""
        count = super().clear(grace_seconds)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_seconds)
        return count


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
