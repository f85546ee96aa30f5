"""What takes too long is ended, and nothing of it stays behind."""

from __future__ import annotations

import re
import signal
import threading
import time
from typing import List

import pytest

from stackyard_task.metrics.patience import Patience, TimeUp


def test_a_piece_has_its_share_however_often_it_is_taken_up() -> None:
    patience = Patience(0.4, 2)
    done: List[int] = []
    patience.spend("a", lambda: done.append(1))
    with pytest.raises(TimeUp):
        patience.spend("a", lambda: re.match("(a+)+$", "a" * 60 + "!") and None)
    with pytest.raises(TimeUp):
        patience.spend("a", lambda: done.append(2))
    patience.spend("b", lambda: done.append(3))
    assert done == [1, 3]


def test_the_callers_alarm_and_errors_are_its_own() -> None:
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    try:
        with pytest.raises(KeyError):
            Patience(60, 1).spend("a", lambda: {}["nothing"])
        assert signal.getsignal(signal.SIGPROF) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGPROF, before)


def test_an_alarm_that_rings_late_interrupts_nothing() -> None:
    for number in range(300):  # it rings before, while and after the work ends
        began = time.monotonic()

        def work(until: float = began + number * 2e-6) -> None:
            while time.monotonic() < until:
                pass

        try:
            Patience(3e-4, 1).spend("a", work)
        except TimeUp:
            continue


def test_in_another_thread_work_is_done_without_an_alarm() -> None:
    done: List[int] = []
    thread = threading.Thread(target=lambda: Patience(60, 1).spend("a", lambda: done.append(1)))
    thread.start()
    thread.join()
    assert done == [1]


def test_time_that_is_given_back_is_there_again_up_to_the_share() -> None:
    patience = Patience(0.2, 1)
    patience.spend("a", lambda: None)
    patience._left["a"] = 0.0
    with pytest.raises(TimeUp):
        patience.spend("a", lambda: None)
    patience.refill(9.0)
    assert patience._left["a"] == patience.share
    patience.spend("a", lambda: None)
