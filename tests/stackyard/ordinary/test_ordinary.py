"""The process that answers which Python a task gets: it ends when it is told to, whoever asked it."""

from __future__ import annotations

import signal
import subprocess
import sys

from stackyard.ordinary import __main__ as main
from stackyard_task.wishes import Wish


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


def test_an_index_that_is_away_is_told_with_what_was_wanted_of_it() -> None:
    wish = Wish(
        requirements="# mine\nsix==1.16.0\n--index-url http://bob:s3cret@x\npk @ http://bob:s3cret@x/pk.whl\n"
    )
    assert main._away(wish, "index unreachable (connection refused)") == (
        "the task's requirements (six==1.16.0) cannot be had from this machine: index unreachable (connection "
        "refused); run the task again when it can"
    )
