"""Benches say how long they may take, and are held to it."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench import result
from bench.__main__ import BENCHES
from bench.own import derived
from bench.own.__main__ import PARTS
from bench.study import pages
from bench.tasks import examples, pins
from bench.tasks.__main__ import PARTS as TASKS
from bench.tuning import stop_tables
from bench.tuning.kept_runs import KeptRuns


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


@pytest.mark.parametrize(
    ("bench", "parts", "some"),
    [
        ("own", PARTS, {"run_overhead_seconds", "exit_signal_stdio_changed", "examples_failed"}),
        ("tasks", TASKS, {"second_task_start_seconds", "wrong_versions_run", "compare_1000_tasks_seconds"}),
    ],
)
def test_each_part_of_a_bench_of_parts_names_its_own_figures(
    bench: str, parts: tuple[str, ...], some: set[str]
) -> None:
    names = [name for part in parts for name in importlib.import_module(f"bench.{bench}.{part}").FIGURES]
    assert len(names) == len(set(names))
    assert some <= set(names)


def test_a_part_that_cannot_be_measured_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    def absent(*_: object) -> None:
        raise result.NotHere("there is no engine")

    def measured(into: result.Result, quick: bool, place: str, options: argparse.Namespace) -> None:
        into.figure("seconds", 1.5 if quick and place == "here" else None)

    modules = {name: ModuleType(name) for name in ("boxes", "starts")}
    vars(modules["boxes"]).update(figures=absent)
    vars(modules["starts"]).update(figures=measured)
    made = result.Result("tasks", ["seconds"])
    file = tmp_path / "tasks.json"
    result.run_parts(made, modules, argparse.Namespace(quick=True, json=file), "here")
    assert made.rows == [{"part": "boxes", "not_measured": "there is no engine"}]
    assert json.loads(file.read_text())["figures"] == {"seconds": 1.5}


@pytest.mark.parametrize(
    ("requirements", "loaded", "wrong"),
    [
        ("numpy==1.26.4", {"numpy": ["1.26.4", "1.26.4"]}, []),
        ("numpy==1.26.4", {"numpy": ["1.26.4", "2.1.3"]}, ["numpy 2.1.3 for numpy==1.26.4"]),
        ("numpy==1.26.4", {"numpy": []}, ["numpy is not there"]),
        ("torch==2.13.0", {"torch": ["2.13.0+cpu"]}, []),
        ("torch==2.13.0+cu128", {"torch": ["2.13.0+cpu"]}, ["torch 2.13.0+cpu for torch==2.13.0+cu128"]),
        ('numpy==1.26.4; python_version < "3.0"', {"numpy": ["2.1.3"]}, []),
    ],
    ids=["met", "another is loaded", "missing", "a build of it", "another build", "a marker that is false"],
)
def test_another_version_than_is_listed_is_noticed(
    requirements: str, loaded: dict[str, list[str]], wrong: list[str]
) -> None:
    assert pins.others(requirements, {"python": "3.11.7", "loaded": loaded}) == wrong


def test_thirty_tasks_have_pins() -> None:
    assert len({*pins.MET, *pins.UNMET}) == 30


def test_an_example_is_left_out_with_all_of_its_folder_and_comes_after_what_it_builds_on() -> None:
    assert examples.reason("datasets/any/deeper.py") == examples.reason("datasets/other.py") is not None
    assert examples.reason("reporting/artifacts.py") is None
    ordered = examples.in_order(["reporting/artifacts_retrieval.py", "reporting/artifacts.py"])
    assert ordered == ["reporting/artifacts.py", "reporting/artifacts_retrieval.py"]


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


def test_a_table_gets_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- run -->\nold\n<!-- /run -->\nafter\n")
    pages.put(page, {"run": "new"})
    assert page.read_text() == "before\n<!-- run -->\nnew\n<!-- /run -->\nafter\n"
    with pytest.raises(SystemExit, match="the markers of 'level' are there 0 times"):
        pages.put(page, {"level": "x"})
    assert "new" in page.read_text()


def test_a_run_on_a_table_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    job = {"tuner": "random", "table": "hpobench-car", "seed": 1, "with_stop": True, "most_trials": 9}
    run = {**job, "course": [[2.0, 0.5]], "cost": 3.0}
    kept = KeptRuns(tmp_path)
    assert kept.find(job) is None
    kept.keep(run)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text() + '{"tuner": "ran')  # killed while it wrote
    assert KeptRuns(tmp_path).find(job) == run
    assert KeptRuns(tmp_path).find({**job, "most_trials": 10}) is None


def test_what_is_not_solved_counts_with_the_budget_or_with_what_it_had_used() -> None:
    run = {"course": [[2.0, 0.5], [7.0, 0.01]], "cost": 9.0}
    assert stop_tables.counted(run) == 7.0
    assert stop_tables.counted(run, 0.001) == 300.0
    assert stop_tables.counted(run, 0.001, at_its_best=True) == 9.0
