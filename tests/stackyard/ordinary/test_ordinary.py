"""The process that answers which Python a task gets: it ends when it is told to, whoever asked it."""

from __future__ import annotations

import signal
import subprocess
import sys


def test_an_abort_reaches_it_though_who_asked_has_signals_blocked() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        asked = subprocess.Popen(
            [sys.executable, "-I", "-m", "stackyard.ordinary"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with asked:
        asked.send_signal(signal.SIGTERM)  # it waits for its question
        assert asked.wait(60) == 1
        assert asked.stdout is not None
        assert asked.stdout.read() == b""
