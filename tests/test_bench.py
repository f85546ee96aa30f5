"""Benches say how long they may take, and are held to it."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import result
from bench.__main__ import BENCHES
from bench.own import derived
from bench.own.__main__ import PARTS


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


def test_each_part_of_a_bench_of_parts_names_its_own_figures() -> None:
    names = [name for part in PARTS for name in importlib.import_module(f"bench.own.{part}").FIGURES]
    assert len(names) == len(set(names))
    assert {"run_overhead_seconds", "exit_signal_stdio_changed", "examples_failed"} <= set(names)


def test_what_is_shared_with_a_base_is_told_by_hard_links(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "folder"
    base.mkdir()
    folder.mkdir()
    (base / "shared").write_bytes(b"x" * 8192)
    os.link(base / "shared", folder / "shared")
    (folder / "own").write_bytes(b"x" * 8192)
    own, every = derived.blocks(base, folder)
    assert every - own == (base / "shared").stat().st_blocks * 512
    assert own >= (folder / "own").stat().st_blocks * 512
