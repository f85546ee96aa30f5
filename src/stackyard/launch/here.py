"""One run of a command at the terminal: its files, signals and exit status stay its own, and a record is left.

The supervisor is a child of this process, in the same session and group, and the command is a child of the supervisor.
A signal that somebody sends to this process goes on to the command. One that goes to the whole group, such as the
terminal's own (Ctrl-C), reaches all three, and is not passed on.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

from stackyard.errors import RunsStoppedError, StackyardError
from stackyard_task import records
from stackyard_task.records import RecordError, RunRecord

#: Of a signal that the kernel sent: the terminal's go to the whole group (sigaction(2)).
_SI_KERNEL = 0x80
#: Kernel's signals that are for this process alone, and were set up by whoever executed it.
_OURS_TO_PASS_ON = ("SIGALRM",)
#: So long is a signal held back that may have gone to the whole group: the supervisor then has had it as well.
_TOGETHER_SECONDS = 0.01
#: Signals by whose default a process leaves a core; the command has left its own.
_CORES = (
    *("SIGQUIT", "SIGABRT", "SIGXCPU", "SIGXFSZ"),
    *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"),
)


def run(
    place: Path,
    python: str,
    code: Path,
    closed: Collection[int] = (),
    meanwhile: Callable[[], object] = lambda: None,
) -> RunRecord:
    """Run the task that lies in ``place``, and answer its record.

    Args:
        place: the run folder, with ``task.json``.
        python: the interpreter of the supervisor.
        code: the folder that holds the harness.
        closed: descriptors that ``hold_closed`` holds, and that the command is to find closed.
        meanwhile: called in a thread while the supervisor begins, which takes longer; for what is needed afterwards.

    Raises:
        StackyardError: the supervisor cannot be started, or left no record.
        SystemExit: it has said why there is no record; with the command's exit status where that failed.
    """
    passed_on = signal.valid_signals() - _numbers("SIGKILL", "SIGSTOP")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    # it leaves without tidying up its memory: whoever waits for the command waits for that too
    program = (
        f"import os, sys; sys.path.insert(0, {str(code)!r})\n"
        "from stackyard_task.run import main; os._exit(main())"
    )
    given = [",".join(str(int(number)) for number in numbers) for numbers in (before, closed)]
    try:
        # the command gets every file that this process was given, and nothing of the harness in its environment
        supervisor = subprocess.Popen(
            [python, "-I", "-S", "-c", program, "--here", *given, str(place)],
            close_fds=False,
            preexec_fn=_nothing,
        )
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        undone(place)
        raise StackyardError(f"{python}: cannot be started ({error.strerror})") from error
    loading = threading.Thread(target=meanwhile, daemon=True)
    loading.start()  # a signal is passed on at once all the same
    while supervisor.poll() is None:
        told = signal.sigwaitinfo(passed_on)
        if told.si_signo == signal.SIGCHLD:
            _stop_like(supervisor.pid)
        elif told.si_code != _SI_KERNEL or told.si_signo in _numbers(*_OURS_TO_PASS_ON):
            time.sleep(_TOGETHER_SECONDS)
            supervisor.send_signal(told.si_signo)
    loading.join()
    try:
        return records.read_json(RunRecord, place / records.RECORD_FILE)
    except RecordError as error:
        status = supervisor.returncode
        if status < 0:
            return _record_of_the_lost(place, supervisor.pid, -status)
        if status > 0:  # it has said why
            undone(place)
            raise SystemExit(status) from error
        raise StackyardError(f"somebody took away what the supervisor wrote ({error})") from error


def leave_as(record: RunRecord) -> NoReturn:
    """End this process as the command ended: with its exit status, or by the same signal."""
    failure = record.failure
    if failure is not None and failure.signal is not None:
        if failure.signal in _numbers(*_CORES):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if failure.signal != signal.SIGKILL:
            signal.signal(failure.signal, signal.SIG_DFL)
        os.kill(os.getpid(), failure.signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {failure.signal})
    if record.stopped is not None:
        os._exit(RunsStoppedError.exit_code)
    os._exit(0 if failure is None else 1 if failure.exit_code is None else failure.exit_code)


def undone(place: Path) -> None:
    """Remove a run folder in which nothing is but its task."""
    with contextlib.suppress(OSError):
        if {found.name for found in place.iterdir()} <= {records.TASK_FILE, records.OUTPUTS_FOLDER}:
            (place / records.TASK_FILE).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (place / records.OUTPUTS_FOLDER).rmdir()
            place.rmdir()


def hold_closed() -> set[int]:
    """Which of the descriptors 0 to 2 this process was given closed; they lead nowhere from now on.

    Called before anything is opened: a file that lands under one of these numbers would be taken for it.
    """
    closed = set()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            closed.add(number)
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the least free number is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 of this process, as the other one
    return closed


def _record_of_the_lost(place: Path, supervisor: int, number: int) -> RunRecord:
    """The record of a run whose supervisor was killed; nothing of the run goes on unseen."""
    from stackyard.launch import leftovers

    leftovers.ended(place, supervisor)
    spec = records.read_json(records.TaskSpec, place / records.TASK_FILE)
    moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    said = f"the supervisor was ended by {name}, and the command with it: nothing of the run is known"
    failure = records.Failure("infrastructure", said)
    record = RunRecord(spec.run_id, spec.workload, "failed", moment, moment, failure=failure)
    with contextlib.suppress(OSError):
        (place / records.PROGRESS_FILE).unlink(missing_ok=True)
        records.write_json(record, place / records.RECORD_FILE)
    return record


def _stop_like(pid: int) -> None:
    """Where a child is stopped, stop by the same signal until somebody lets us go on: a shell looks at this process."""
    try:
        told = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:  # it has ended
        return
    if told is None:
        return
    # whoever lets the child alone go on means us too, and what is stopped learns of nothing
    beside = os.fork()
    if beside == 0:
        _go_on_with(pid)
    os.kill(os.getpid(), told.si_status)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {told.si_status})  # here it stops, and goes on
    signal.pthread_sigmask(signal.SIG_BLOCK, {told.si_status})
    with contextlib.suppress(ProcessLookupError):
        os.kill(beside, signal.SIGKILL)
    os.waitpid(beside, 0)


def _go_on_with(child: int) -> NoReturn:
    """Let our parent go on as soon as it is stopped and its child is not, or ended; until somebody else did."""
    parent = os.getppid()
    while os.getppid() == parent:
        if _state(child) != "T" and _state(parent) == "T":
            os.kill(parent, signal.SIGCONT)
        time.sleep(_TOGETHER_SECONDS)
    os._exit(0)


def _state(pid: int) -> str:
    """A process's state as proc(5) has it; "Z" where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "Z"


def _nothing() -> None:
    """Called between fork and exec. Without it Popen takes glibc's posix_spawn, which leaves two signals ignored."""


def _numbers(*names: str) -> set[int]:
    return {getattr(signal, name) for name in names if hasattr(signal, name)}
