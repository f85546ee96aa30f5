"""Signals that reach a supervisor: taken as a wish to end the run, or passed on to a command at a terminal.

Both are read from a descriptor that a poll waits on beside others. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import struct
import threading
import time
from typing import Any, Dict, Iterator, Set, Tuple

#: Of a signal that the terminal sent, to the whole group: the command has it already (signalfd(2), sigaction(2)).
_SI_KERNEL = 0x80
_INFO_BYTES = 128
_PR_SET_PDEATHSIG = 1
#: Signals that nobody can catch, and that of our own children.
_NOT_PASSED_ON = ("SIGKILL", "SIGSTOP", "SIGCHLD")
#: What the kernel sends a process that writes where nobody reads, such as to a server that closed the connection, or
#: more than it may: by itself it means nothing but itself. A blocked signal waits even where it is ignored.
_OF_WRITING = (signal.SIGPIPE, getattr(signal, "SIGXFSZ", None))
#: A signal that our parent passes on so soon after somebody sent it to this process too went to the whole group, or to
#: each process of it: the command has it already.
_TOGETHER_SECONDS = 2.0


class Taken:
    """Signals by which somebody ends a run: the first wakes the poll, and its number stays here."""

    #: Whoever started this process tells it by a signal, or ends it.
    alone = False
    #: Whether the run has had what was sent to this process: then it is not told a second time.
    is_told = False

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

    def look(self) -> None:
        """Nothing to note: the handler does."""

    def begin(self, main_pid: int) -> None:
        """Nothing to do: what came before is in ``received``."""

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
    """Signals that are the command's: what the parent of this process passes on goes on to it, and nothing else.

    What the terminal (Ctrl-C) or somebody else sends to the whole group reaches the command without us, and once. When
    the command is stopped (Ctrl-Z), so is this process, and its parent sees that.
    """

    is_told = False

    def __init__(self) -> None:
        #: 0, until there is no parent any more that anything could come from: then the run ends.
        self.received = 0
        self.alone = False
        self._parent = os.getppid()
        self._had: Dict[int, float] = {}
        self._early: Set[int] = set()
        self.descriptor = _blocked_and_read({*passed_on(), signal.SIGCHLD})
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    def look(self) -> None:
        """Note what has come before the command is there; called when it is about to be."""
        self._early |= {number for number, _ in self._told()}

    def begin(self, main_pid: int) -> None:
        """Send on, once each, what was there before the command: nobody else could give it that."""
        told = self._early
        for number in told - {signal.SIGCHLD}:
            _send(main_pid, number)
        if signal.SIGCHLD in told:
            _stop_like(main_pid)

    def read(self, main_pid: int) -> None:
        """Send on what has come from the parent since, and stop where the command has stopped."""
        for number, is_passed_on in self._told():
            if os.getppid() != self._parent:
                self.received, self.alone = signal.SIGTERM, True
            elif number == signal.SIGCHLD:
                _stop_like(main_pid)
            elif is_passed_on:
                _send(main_pid, number)

    def close(self) -> None:
        """Signals stay blocked: what came late is for a command that is over."""
        os.close(self.descriptor)

    def _told(self) -> Iterator[Tuple[int, bool]]:
        """Signals that have come, and of each whether the parent sent it to this process alone."""
        while True:
            try:
                told = os.read(self.descriptor, _INFO_BYTES)
            except OSError:
                return
            number, _, code, sender = struct.unpack_from("IiiI", told)
            now = time.monotonic()
            if number == signal.SIGCHLD or code == _SI_KERNEL:
                yield number, False
            elif sender == os.getppid():
                yield number, now - self._had.get(number, -math.inf) > _TOGETHER_SECONDS
            elif sender != os.getpid():
                self._had[number] = now
                yield number, False


class Forwarded:
    """Signals of a process that stands in for a command: whoever sends it one means the command.

    Each goes on to the command as it is. Those that ask for an end are noted too: what has not ended after them is
    ended by the supervisor, which leaves the record.
    """

    alone = False
    is_told = True

    def __init__(self) -> None:
        #: The signal that asked for an end; 0: none has.
        self.received = 0
        self.descriptor = _blocked_and_read(passed_on())

    def look(self) -> None:
        """Nothing to note: what has come is sent on however late."""

    def begin(self, main_pid: int) -> None:
        """Send on what was there before the command."""
        self.read(main_pid)

    def read(self, main_pid: int) -> None:
        """Send on what has come since."""
        while True:
            try:
                number, _, _, sender = struct.unpack_from("IiiI", os.read(self.descriptor, _INFO_BYTES))
            except OSError:
                return
            if number in _OF_WRITING and sender == os.getpid():
                continue
            if number in (signal.SIGINT, signal.SIGTERM):
                self.received = self.received or number
            _send(main_pid, number)

    def close(self) -> None:
        """Signals stay blocked: what comes late is for a command that is over."""
        os.close(self.descriptor)


def _blocked_and_read(numbers: Set[int]) -> int:
    """A descriptor to read signals from, which do nothing else any more (signalfd(2))."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    mask = sum(1 << (number - 1) for number in numbers)
    library = ctypes.CDLL(None, use_errno=True)
    descriptor: int = library.signalfd(-1, ctypes.byref(ctypes.c_uint64(mask)), os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def passed_on() -> Set[int]:
    """The signals that a command at a terminal gets from whoever started it, through us."""
    kept = {getattr(signal, name) for name in _NOT_PASSED_ON}
    return {number for number in signal.valid_signals() if number not in kept}


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _stop_like(pid: int) -> None:
    """Where a child is stopped, stop by the same signal, until somebody lets this process go on."""
    try:
        told = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
    except OSError:
        return
    if told is not None:
        os.kill(os.getpid(), told.si_status)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {told.si_status})  # here it stops, and goes on
        signal.pthread_sigmask(signal.SIG_BLOCK, {told.si_status})
