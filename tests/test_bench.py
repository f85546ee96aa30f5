"""Benches say how long they may take, and are held to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from bench import result
from bench.__main__ import BENCHES


@pytest.fixture
def alarm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("bench", result.MINUTES)
def test_the_help_says_how_long_it_may_take(bench: str) -> None:
    full, quick = result.MINUTES[bench]
    told = " ".join(result.arguments(bench, "measures").format_help().split())
    assert f"Ends within {full:g} minutes on two cores, with --quick within {quick:g}" in told


def test_make_bench_runs_what_has_a_limit() -> None:
    assert set(BENCHES) == set(result.MINUTES)


def test_what_takes_longer_is_ended_in_a_sentence(monkeypatch: pytest.MonkeyPatch, alarm: None) -> None:
    monkeypatch.setitem(result.MINUTES, "server", (60, 0.001))
    result.arguments("server", "measures").parse_args(["--quick"])
    with pytest.raises(SystemExit, match=r"^python -m bench.server: not done after 0.001 minutes: ended$"):
        signal.pause()
