"""Starting the workload child: its environment, its files, its cgroup and limits, then exec.

fork and exec by hand, because the child must be in its cgroup before its first page of memory, and its start
must be an instant we know. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Mapping, Optional

from stackyard_task.ending import advice
from stackyard_task.measure.cgroup import Cgroup
from stackyard_task.measure.tree import die_with_parent

#: What numerical libraries read to choose their number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
#: Room for messages while the supervisor is busy; the usual 64 KiB would block a chatty child sooner.
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


def widen(pipe: int) -> None:
    """Give a pipe or FIFO more room than the usual 64 KiB, where the user's share of pipe memory allows it."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)


class StartError(Exception):
    """The child could not be started: the message says at which step."""


class NotExecutable(StartError):
    """A program cannot be executed: there is none of that name, or it is none."""

    def __init__(self, word: str, number: int, reason: str) -> None:
        name = repr(word if len(word) <= 200 else word[:197] + "...")
        said = f"{name} cannot be executed ({reason})"
        if number in (errno.ENOENT, errno.ENOTDIR):
            said = f"there is no command {name}; is it on the PATH?"
            if "/" in word:
                said = f"there is no file {name} that can be executed, or none of the interpreter in its first line"
            if _is_line(word):
                said = f"there is no command {name}; {_AS_LINE}"
        elif number == errno.ENAMETOOLONG and _is_line(word):
            said = f"{name} is no command; {_AS_LINE}"
        elif number == errno.ENOEXEC:
            said = f"{name} is no program and has no first line #!...; name its interpreter before it"
        elif number == errno.EACCES and os.path.isdir(word):
            said = f"{name} is a folder, not a program"
        elif number == errno.EACCES:
            said = f"{name} may not be executed; chmod +x it, or name its interpreter before it"
        elif number == errno.E2BIG:
            said = f"{name} is given more words and variables than the system takes"
        super().__init__(said)
        #: As a shell exits that cannot execute it.
        self.status = 127 if number in (errno.ENOENT, errno.ENOTDIR) else 126


#: How what a shell would part into words is given.
_AS_LINE = "a line of the shell is given as: sh -c '...'"


def _is_line(word: str) -> bool:
    """Whether one word looks like several, or like what only a shell understands."""
    return any(letter.isspace() or letter in "|><;&" for letter in word)


@dataclass(frozen=True)
class Given:
    """What a command at a terminal was given and is to have back: our own processes need it otherwise."""

    #: Signals that are blocked.
    blocked: FrozenSet[int] = frozenset()
    #: Which of the descriptors 0 to 2 are closed.
    closed: FrozenSet[int] = frozenset()
    #: Whether it gets a process group of its own: what it sends its group is not meant for whoever started us. Never at
    #: a terminal, which reads from and signals one group only.
    apart: bool = False


@dataclass(frozen=True)
class Start:
    """What the child executes, with what, where."""

    #: The first is looked for on the PATH of ``variables`` where it names no path.
    words: List[str]
    variables: Mapping[str, str]
    #: Its working folder; ``None``: the supervisor's own.
    folder: Optional[Path] = None
    #: Descriptor that becomes stdout and stderr, with nothing to read on stdin; ``None``: all three are the
    #: supervisor's own, and so is its session, as for a command at a terminal.
    log: Optional[int] = None
    #: Descriptor of the channel's writing end, which the child inherits under its own number.
    channel: Optional[int] = None


def child_variables(inherited: Mapping[str, str], chosen: Mapping[str, str], threads: int) -> Dict[str, str]:
    """A function's environment: inherited, then thread counts, then what the task chose; PYTHONPATH is joined."""
    variables = dict(inherited)
    variables.setdefault("PYTHONUNBUFFERED", "1")  # what was printed before a kill is in the log
    variables.setdefault("PYTHONFAULTHANDLER", "1")
    # The code first, then what was inherited, then what the task adds: a task may add folders, never hide the code.
    path = [str(Path(__file__).resolve().parent.parent)]
    for place in (inherited, chosen):
        path += [
            entry for entry in place.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in path
        ]
    variables.update(thread_variables(threads))
    variables.update(chosen)
    variables["PYTHONPATH"] = os.pathsep.join(path)
    return variables


def thread_variables(threads: int) -> Dict[str, str]:
    """What tells numerical libraries their number of threads."""
    return {name: str(threads) for name in THREAD_VARIABLES}


def start(
    what: Start,
    cgroup: Optional[Cgroup],
    steps: List[Callable[[], None]],
    given: Optional[Given] = None,
    last: Callable[[], None] = lambda: None,
) -> int:
    """Start a child and return its process id once exec has succeeded.

    Args:
        what: what it executes.
        cgroup: joined before exec.
        steps: called in the child before exec (limits).
        given: what it gets back where it has this process' own files.
        last: called when it is about to be there.

    Raises:
        NotExecutable: there is no such program, or it cannot be executed.
        StartError: joining or limiting failed.
    """
    if what.channel is not None:
        widen(what.channel)
    report_read, report_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    last()
    pid = os.fork()
    if pid == 0:
        step = "starting its session"
        try:
            if what.log is not None:
                os.setsid()  # a Ctrl-C at the terminal reaches the supervisor alone, which ends the tree in order
            die_with_parent()
            if given is not None and given.apart:
                _leave_group()
            step = "joining its cgroup"
            if cgroup is not None:
                cgroup.join()
            step = "taking its limits"
            for action in steps:
                action()
            step = "opening its files"
            if what.log is not None:
                null = os.open(os.devnull, os.O_RDONLY)
                os.dup2(null, 0)
                os.dup2(what.log, 1)
                os.dup2(what.log, 2)
            if what.channel is not None:
                os.set_inheritable(what.channel, True)
            _usual_signals(given)
            step = "entering its folder"
            if what.folder is not None:
                os.chdir(what.folder)
            step = "executing"
            for descriptor in () if given is None else given.closed:
                os.close(descriptor)
            os.execvpe(what.words[0], what.words, dict(what.variables))
        except BaseException as error:  # noqa: BLE001 a forked child must not run on in the supervisor's code
            number = getattr(error, "errno", None) or 0
            reason = getattr(error, "strerror", None) or error
            os.write(report_write, f"{step}\0{number}\0{reason}".encode("utf-8", "replace")[:4000])
        finally:
            os._exit(127)
    os.close(report_write)
    try:
        report = os.read(report_read, 4096)  # closed without a word by a successful exec
    finally:
        os.close(report_read)
    if report:
        os.waitpid(pid, 0)
        step, number, reason = report.decode("utf-8", "replace").split("\0", 2)
        if step == "executing":
            raise NotExecutable(what.words[0], int(number), reason)
        known = advice(int(number))
        raise StartError(f"the child failed at {step}: {reason}" + (f"; {known}" if known else ""))
    return pid


def has_terminal() -> bool:
    """Whether a terminal controls this process' session."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _leave_group() -> None:
    """Join a new process group, and not as its first member: that one may not begin a session, and programs do that.

    Where that fails, the group is the one there was.
    """
    first = os.fork()
    if first == 0:
        try:
            die_with_parent()
            while True:
                signal.pause()
        finally:
            os._exit(0)
    try:
        os.setpgid(first, first)
        os.setpgid(0, first)
    except OSError:
        pass
    finally:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)


def _usual_signals(given: Optional[Given]) -> None:
    """Give signals the meaning they have for a program that a shell starts: Python ignores two of them."""
    for number in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", None)):
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, () if given is None else given.blocked)
    if given is None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
