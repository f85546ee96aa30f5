"""One run of a command at the terminal: its files, signals and exit status stay its own, and a record is left.

The supervisor is a child of this process, in the same session and group, and the command is a child of the supervisor.
A signal that somebody sends to this process goes on to the command; the terminal's own (Ctrl-C) reaches all three.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import NoReturn

from stackyard.errors import StackyardError
from stackyard_task import records
from stackyard_task.records import RecordError, RunRecord

#: Of a signal that the terminal sent, to the whole group (sigaction(2)).
_SI_KERNEL = 0x80
#: Signals that are told to this process alone, of its own faults, children and place at the terminal.
_OURS = ("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGWINCH", "SIGURG", "SIGKILL", "SIGSTOP", "SIGPIPE")
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")
#: Signals by whose default a process leaves a core; the command has left its own.
_CORES = ("SIGQUIT", "SIGABRT", "SIGXCPU", "SIGXFSZ", *_FAULTS)


def run(place: Path, python: str, code: Path) -> RunRecord:
    """Run the task that lies in ``place``, and answer its record.

    Args:
        place: the run folder, with ``task.json``.
        python: the interpreter of the supervisor.
        code: the folder that holds the harness.

    Raises:
        StackyardError: the supervisor cannot be started, or left no record.
    """
    passed_on = {number for number in signal.valid_signals() if number not in _numbers(*_OURS, *_FAULTS)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    program = f"import sys; sys.path.insert(0, {str(code)!r}); from stackyard_task.run import main; sys.exit(main())"
    try:
        # the command gets every file that this process was given, and nothing of the harness in its environment
        supervisor = subprocess.Popen(
            [python, "-I", "-S", "-c", program, "--here", str(place)],
            close_fds=False,
        )
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise StackyardError(f"{python}: cannot be started ({error.strerror})") from error
    while supervisor.poll() is None:
        told = signal.sigwaitinfo(passed_on)
        if told.si_signo != signal.SIGCHLD and told.si_code != _SI_KERNEL:
            supervisor.send_signal(told.si_signo)
    try:
        return records.read_json(RunRecord, place / records.RECORD_FILE)
    except RecordError as error:
        status = supervisor.returncode
        raise StackyardError(
            f"the supervisor ended with status {status} and left no record ({error})"
        ) from error


def leave_as(record: RunRecord) -> NoReturn:
    """End this process as the command ended: with its exit status, or by the same signal."""
    failure = record.failure
    if failure is not None and failure.signal is not None:
        if failure.signal in _numbers(*_CORES):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.signal(failure.signal, signal.SIG_DFL)
        os.kill(os.getpid(), failure.signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {failure.signal})
    os._exit(0 if failure is None else 1 if failure.exit_code is None else failure.exit_code)


def _numbers(*names: str) -> set[int]:
    return {getattr(signal, name) for name in names if hasattr(signal, name)}
