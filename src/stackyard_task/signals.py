"""Signals that reach a supervisor: taken as a wish to end the run, or passed on to a command at a terminal.

Both are read from a descriptor that a poll waits on beside others. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import threading
from typing import Any, Dict, Set

#: Of a signal that the terminal sent, to the whole group: the command has it already (signalfd(2), sigaction(2)).
_SI_KERNEL = 0x80
_INFO_BYTES = 128
#: Signals that a program stops, goes on or is told of its children or its window by; the command's own affair.
_OWN_AFFAIR = (
    "SIGCHLD",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGCONT",
    "SIGWINCH",
    "SIGURG",
    "SIGKILL",
    "SIGSTOP",
)
#: Signals that a fault of this very process raises.
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGPIPE")


class Taken:
    """Signals by which somebody ends a run: the first wakes the poll, and its number stays here."""

    def __init__(self) -> None:
        #: 0: none so far.
        self.received = 0
        self.descriptor, self._wake = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._wake, False)
        self._before: Dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # started with nohup
                numbers.append(signal.SIGHUP)
            self._before = {number: signal.signal(number, self._told) for number in numbers}

    def read(self, main_pid: int) -> None:
        """Nothing more to do: the handler has run."""

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.descriptor)
        os.close(self._wake)

    def _told(self, number: int, _frame: Any) -> None:
        self.received = number
        with contextlib.suppress(OSError):
            os.write(self._wake, b"x")


class PassedOn:
    """Signals that are the command's: what the parent of this process sends goes on to it, and nothing else.

    The terminal's own (Ctrl-C) reach the command without us.
    """

    received = 0

    def __init__(self) -> None:
        numbers = passed_on()
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        mask = sum(1 << (number - 1) for number in numbers)
        library = ctypes.CDLL(None, use_errno=True)
        self.descriptor = library.signalfd(
            -1, ctypes.byref(ctypes.c_uint64(mask)), os.O_NONBLOCK | os.O_CLOEXEC
        )
        if self.descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def read(self, main_pid: int) -> None:
        """Send on what has come from the parent since."""
        while True:
            try:
                told = os.read(self.descriptor, _INFO_BYTES)
            except OSError:
                return
            number, _, code, sender = struct.unpack_from("IiiI", told)
            if code != _SI_KERNEL and sender == os.getppid():
                with contextlib.suppress(OSError):
                    os.kill(main_pid, number)

    def close(self) -> None:
        """Signals stay blocked: what came late is for a command that is over."""
        os.close(self.descriptor)


def passed_on() -> Set[int]:
    """The signals that a command at a terminal gets from whoever started it, through us."""
    kept = {getattr(signal, name) for name in (*_OWN_AFFAIR, *_FAULTS) if hasattr(signal, name)}
    return {number for number in signal.valid_signals() if number not in kept}
