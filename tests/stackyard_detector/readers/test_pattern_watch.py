from __future__ import annotations

import signal
import threading

import pytest

from stackyard_detector.readers import pattern_watch
from stackyard_detector.readers.pattern_watch import PatternWatch
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

#: Takes longer than the universe is old.
HOSTILE = "k=1 e=" + "a" * 60 + "!\n"


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "lines", "key_pattern": r"k=(\d)", "event_pattern": r"e=((?:a+)+)$"},
        {"format": "lines", "key_pattern": r"k=(\d)", "message_pattern": r"e=((?:a+)+)$"},
        {"format": "key-value", "key_column": "k", "event_column": "f", "fields": r"e=(?P<f>(?:a+)+)$"},
    ],
)
def test_a_pattern_that_backtracks_for_ever_is_given_up(write, read, monkeypatch, settings):
    monkeypatch.setattr(pattern_watch, "SECONDS", 0.05)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(BadInput, match=r"line 2: the source's patterns take more than 0.05 s of CPU on it"):
        read(write("a", "k=1 e=a\n" + HOSTILE), **settings)
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_time_on_many_lines_or_between_them_is_no_reason(write, read, monkeypatch):
    monkeypatch.setattr(pattern_watch, "SECONDS", 0.02)
    text = "k=1 e=a\n" * 20_000 + "\n" * 100_000 + "k=1 e=b\n"
    (session,), _ = read(write("a", text), format="lines", key_pattern=r"k=(\d)", event_pattern=r"e=(\w)")
    assert len(session.events) == 20_001


def test_several_are_looked_after_at_once_and_in_another_thread_none(tmp_path):
    before = signal.getsignal(signal.SIGVTALRM)
    with PatternWatch(tmp_path) as outer:
        with PatternWatch(tmp_path) as inner:
            inner.line = 3
            assert inner.refusal() is None
            assert "line 3" in str(inner.refusal())
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[1] > 0
        outer.line = 0
        assert outer.refusal() is None
        assert outer.refusal() is None
    assert signal.getsignal(signal.SIGVTALRM) == before
    said = []

    def elsewhere():
        with PatternWatch(tmp_path):
            said.append(signal.getitimer(signal.ITIMER_VIRTUAL))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said == [(0.0, 0.0)]
