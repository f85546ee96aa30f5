"""What a page shows of a report: all of a small one; of a very large one a part, and it says which."""

from __future__ import annotations

import random

from stackyard.reports.analysis import analyse
from stackyard.reports.loading import Run, Study
from stackyard.reports.report import OwnMetric, Report, ReportOptions
from stackyard.web import shown
from tests.stackyard.reports.synthetic import record


def report(groups: int, metrics: int, tasks: int) -> Report:
    """A report on tasks with results m0, m1, ... in groups."""
    chance, runs = random.Random(1), []
    for group in range(groups):
        for task in range(tasks):
            run = record({"Args/lr": f"{group:04}"}, None, 1.0)
            run.results = {f"m{n}": 1.0 + n + chance.random() / 10 for n in range(metrics)}
            runs.append(Run(run, 0, f"task {group} {task}"))
    own = tuple(OwnMetric(f"m{n}", f"m{n}", "a result") for n in range(metrics))
    options = ReportOptions(draws=50, own=own, only=tuple(f"results.m{n}" for n in range(metrics)))
    study = Study(tuple(runs), sources=("here",), hosts_apart=False, blocks=False, title="P")
    return analyse(study, options, rows=False)


def test_a_small_report_is_shown_whole() -> None:
    found = shown.result(report(3, 2, 6), {}, "http://server")
    assert [m.label for m in found.metrics] == ["m0", "m1"]
    assert [row.group for row in found.metrics[0].rows] == ["0000", "0001", "0002"]
    assert [row.n for row in found.metrics[0].rows] == [6, 6, 6]
    assert found.metrics[0].rows[0].is_baseline
    assert found.metrics[0].rows[1].badge is not None
    assert found.left_out == []


def test_a_large_one_says_what_it_leaves_out() -> None:
    found = shown.result(report(150, 22, 2), {}, "http://server")
    assert len(found.metrics) == shown.MOST_METRICS
    rows = sum(len(m.rows) for m in found.metrics)
    assert rows <= shown.MOST_ROWS
    assert len(found.verdicts) <= shown.MOST_VERDICTS
    said = " ".join(found.left_out)
    assert "2 metrics beyond 20 left out of this page: m20, m21." in said
    assert "75 of 150 groups are shown" in said


def test_dots_are_thinned_and_keep_the_ends() -> None:
    found = shown.result(report(2, 1, 200), {}, "http://server")
    for bar in found.metrics[0].bars[0].bars:
        assert len(bar.dots) == shown.MOST_DOTS
        assert max(bar.dots) > 90
    assert "A bar shows up to 24 of its tasks as dots." in found.left_out


def test_too_few_runs_are_said_once() -> None:
    found = shown.result(report(3, 2, 4), {}, "http://server")
    assert [(v.badge[2], v.text) for v in found.verdicts] == [
        (
            "too few runs",
            "6 comparisons of 2 metrics: a verdict needs 6 tasks, or pairs, in each group. "
            "The tables have their figures.",
        )
    ]
    assert {v.badge[2] for v in shown.result(report(3, 2, 6), {}, "http://server").verdicts} & {
        "different",
        "undecided",
        "parity",
    }
