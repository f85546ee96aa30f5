"""Who belongs to an agent: all that it and its tasks started, however it hid.

Three things tell. An agent is a subreaper (prctl(2)), so whatever its tasks leave behind becomes its child, in
another session and with an empty environment too. Where a cgroup may be made, an agent has one, which also
tells when the agent is gone. The services process is a subreaper as well: what outlives an agent becomes its child. A
mark in the environment tells where none of the three does: beside a services process that was killed, without a cgroup.

A process is known by its number and its start time, never by a name. Linux. Reads /proc, talks to no server.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stackyard.agents.configuration import MARK

_PROC = Path("/proc")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True)
#: v1 hierarchies that serve to hold processes together: none of them measures or limits a run.
_V1 = ("pids", "freezer", "name=systemd")
_GROUP_PREFIX = "stackyard-agent-"


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
            gone = select.poll()  # select knows no descriptor from 1024 on
            gone.register(handle, select.POLLIN)
            return not self.alive() or bool(gone.poll(1000 * max(0.0, seconds)))
        finally:
            os.close(handle)


def become_subreaper() -> None:
    """Have the orphans among this process' descendants become its children (Linux 3.4)."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """Have this process asked to end when the thread that started it has gone, whatever ended it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def ticks() -> int:
    """This instant in the unit of ``Identity.started``.

    An instant on another clock cannot be turned into it later: this one goes on while the machine sleeps.
    """
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def started_at(pid: int) -> int | None:
    """When a process started, in the kernel's ticks since boot; ``None``: there is none, or only a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def children(pid: int) -> list[Identity]:
    """The children of a process that still run."""
    return [found for child in _children(pid) if (found := _identity(child)) is not None]


def dead_children(pid: int) -> int:
    """How many children of a process have ended and were not waited for."""
    return sum((fields := _stat(child)) is not None and fields[0] == "Z" for child in _children(pid))


def descendants(pid: int) -> list[Identity]:
    """All below a process that still run."""
    found: dict[int, Identity] = {}
    left = children(pid)
    while left:
        process = left.pop()
        if process.pid not in found:
            found[process.pid] = process
            left += children(process.pid)
    return list(found.values())


class Adopted:
    """What outlived the agents of this process, and has become its child.

    Args:
        known: numbers of the children that this process started in sessions of their own.
    """

    def __init__(self, known: Callable[[], set[int]]) -> None:
        self._known = known
        self._session = os.getsid(0)
        #: When a server began to be started, and when that was over: it stays, though its starter goes.
        self._spared: list[tuple[int, int]] = []

    def spare(self, since: int, until: int) -> None:
        """Let live what began between these instants (``ticks``)."""
        self._spared.append((since, until))

    def left(self) -> list[Identity]:
        """Those that still run; those that do not are reaped."""
        found = []
        known = self._known()
        for pid in _children(os.getpid()):
            fields = _stat(pid)
            # a child of our own in our own session: a docker client, waited for by who started it
            if fields is None or pid in known or int(fields[3]) == self._session:
                continue
            started = int(fields[19])
            if fields[0] in ("Z", "X"):
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            elif not any(since <= started <= until for since, until in self._spared):
                found.append(Identity(pid, started))
        return found


class Group:
    """A cgroup that holds one agent and all it starts; of v2 where that is mounted, else of a v1 hierarchy.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls, mark: str) -> Group | None:
        """A new one below our own; ``None``: none may be made here."""
        for parent in _own_groups():
            folder = parent / _name(mark)
            with suppress(OSError):
                folder.mkdir(exist_ok=True)
                if os.access(folder / "cgroup.procs", os.W_OK):
                    return cls(folder)
        return None

    @classmethod
    def at(cls, folder: str, mark: str) -> Group | None:
        """The one that a services process before this one had made for a slot; ``None``: it is gone, or another's."""
        found = Path(folder)
        return cls(found) if found.name == _name(mark) and (found / "cgroup.procs").is_file() else None

    @classmethod
    def of(cls, agent: int) -> Group | None:
        """The one that an agent's process is in; ``None``: in none of ours."""
        for folder in _own_groups(agent):
            if folder.name.startswith(_GROUP_PREFIX):
                return cls(folder)
        return None

    def join(self, pid: int) -> bool:
        """Put a process in; whether that could be done."""
        try:
            (self.folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            return False
        return True

    def members(self) -> list[Identity]:
        """Who is in it and below it."""
        found = []
        for folder, _, _ in os.walk(self.folder):
            with suppress(OSError, ValueError):
                for word in (Path(folder) / "cgroup.procs").read_text().split():
                    if (process := _identity(int(word))) is not None:
                        found.append(process)
        return found

    def kill(self) -> None:
        """Kill all in it at once, those being forked too, where the kernel can (v2, Linux 5.14)."""
        with suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove it, once all in it have ended."""
        for folder, _, _ in os.walk(self.folder, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)


def marked(mark: str) -> list[Identity]:
    """The processes that carry a mark, the calling one excluded."""
    return [found for found, held in _marks() if held == mark]


def marked_for(prefix: str) -> list[Identity]:
    """The processes whose mark begins with ``prefix``, the calling one excluded."""
    return [found for found, held in _marks() if held.startswith(prefix)]


def end_all(
    find: Callable[[], Iterable[Identity]], grace_seconds: float, kill: Callable[[], None] | None = None
) -> int:
    """End every process that ``find`` finds: asked first, then killed, until none is left; how many there were.

    Args:
        find: tells who is left.
        grace_seconds: how long they may take after they were asked.
        kill: kills them all at once, where that can be done.
    """
    found = list(find())
    for process in found:
        process.signal(signal.SIGTERM)
    end = time.monotonic() + grace_seconds
    for process in found:
        process.wait(end - time.monotonic())
    for _ in range(50):
        left = list(find())
        if not left:
            break
        if kill is not None:
            kill()
        for process in left:
            process.signal(signal.SIGKILL)
        for process in left:
            process.wait(0.5)
    return len(found)


def _marks() -> Iterator[tuple[Identity, str]]:
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


def _identity(pid: int) -> Identity | None:
    started = started_at(pid)
    return None if started is None else Identity(pid, started)


def _stat(pid: int) -> list[str] | None:
    """The words of /proc/PID/stat from the state on."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _children(pid: int) -> list[int]:
    """Numbers of a process' children, zombies too."""
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        try:
            found += [int(word) for word in (thread / "children").read_text().split()]
        except FileNotFoundError:
            if thread.exists():  # a kernel without these files
                return [
                    int(entry.name)
                    for entry in _PROC.iterdir()
                    if entry.name.isdigit() and (fields := _stat(int(entry.name))) and int(fields[1]) == pid
                ]
        except OSError:
            continue
    return found


def _name(mark: str) -> str:
    return _GROUP_PREFIX + hashlib.sha256(mark.encode()).hexdigest()[:16]


def _own_groups(pid: int | str = "self") -> Iterator[Path]:
    """Folders of the cgroups that a process is in and that serve to hold others; v2 first."""
    own: dict[str, str] = {}
    mounts: list[list[str]] = []
    with suppress(OSError):
        for line in (_PROC / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own |= dict.fromkeys(controllers.split(","), path)  # "" is v2
        mounts = [line.split(" ") for line in (_PROC / "self" / "mountinfo").read_text().splitlines()]
    for wanted in ("", *_V1):
        for words in mounts:
            kind, options = words[words.index("-") + 1], words[-1].split(",")
            serves = kind == "cgroup2" if not wanted else kind == "cgroup" and wanted in options
            if serves and wanted in own:
                root, point = words[3], Path(words[4])
                # in a container our path may lie outside what is mounted
                below = own[wanted].removeprefix(root.rstrip("/")).lstrip("/")
                yield point / below if (point / below).is_dir() else point
                break
