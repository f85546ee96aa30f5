"""Tasks on a real server compared: what a reader of the report would see."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from stackyard import reports
from stackyard.errors import BadInputError
from tests.stackyard.comparing.lab import Lab, codes, measured


def test_tasks_that_nobody_measured_are_compared_by_their_scalars(lab: Lab) -> None:
    for seed in range(6):
        for rate in (0.1, 0.2):
            lab.task(
                {"Args/lr": rate, "Args/seed": seed},
                {"loss/val": [1.0, rate + seed / 1000, 0.9], "Summary/accuracy": [0.9 + seed / 1000]},
            )
    report = lab.compared("Args/lr", metrics=["loss/val:min:less", "accuracy"])
    (workload,) = report.workloads
    assert [cell.label for cell in workload.cells] == ["0.1", "0.2"]
    low, high = (cell.metrics["results.loss/val:min"] for cell in workload.cells)
    assert (low.n, low.median, high.median) == (6, pytest.approx(0.1025), pytest.approx(0.2025))
    assert low.mean == pytest.approx(0.1025)
    assert low.mean_low is not None
    assert low.mean_high is not None
    assert low.mean_low < low.mean < low.mean_high
    found = {c.metric: c for c in workload.comparisons}
    assert found["results.loss/val:min"].verdict == "different"
    assert found["results.loss/val:min"].ratio == pytest.approx(0.2025 / 0.1025, rel=1e-3)
    assert found["results.accuracy"].verdict == "parity"
    assert [best.metric for best in workload.best] == ["results.loss/val:min"], (
        "nobody said a direction of accuracy"
    )
    assert "wall_seconds" not in {metric.key for metric in report.metrics}
    assert codes(report)["not-measured"] == "None of the tasks has a measured record."
    assert "Args/seed (up to 6 values)" in codes(report)["parameters-mixed"]


def test_measured_tasks_are_compared_by_their_records(lab: Lab) -> None:
    for block in range(6):
        for stack, wall in (("old", 10.0), ("new", 5.0)):
            run = measured(wall + block / 100)
            run.environment.stack = stack
            lab.task({"Args/seed": block}, run=run)
    lab.task({"Args/seed": 9}, run=None, name="never measured", properties={})
    report = lab.compared("stack")
    (workload,) = report.workloads
    assert [cell.label for cell in workload.cells] == ["new", "not set", "old"]
    medians = {
        c.label: c.metrics["wall_seconds"].median for c in workload.cells if "wall_seconds" in c.metrics
    }
    assert medians == {"new": pytest.approx(5.025), "old": pytest.approx(10.025)}
    assert any(
        h.text.startswith("old is 2.00× slower than new") or "faster" in h.text for h in workload.headlines
    )
    assert codes(report)["not-measured"] == "1 of 13 tasks has no measured record."


def test_failed_and_aborted_tasks_are_counted_and_in_no_figure(lab: Lab) -> None:
    lab.task({"Args/lr": 1}, {"loss/val": [1.0]})
    lab.task({"Args/lr": 1}, {"loss/val": [99.0]}, end="failed")
    lab.task({"Args/lr": 1}, {"loss/val": [99.0]}, end="stopped")
    lab.task({"Args/lr": 1}, {"loss/val": [99.0]}, end="in_progress")
    report = lab.compared("Args/lr", metrics=["loss/val"])
    (cell,) = report.workloads[0].cells
    assert cell.metrics["results.loss/val"].values == [1.0]
    assert (cell.completed, cell.failed) == (1, 2)
    assert {(f.kind, f.message) for f in report.failed} == {
        ("code", "it raised ValueError"),
        ("interrupted", "the task was aborted (somebody pressed abort)"),
    }
    assert codes(report)["not-ended"] == "1 task not ended yet: left out."


def test_what_is_not_there_is_one_sentence_with_what_is(lab: Lab) -> None:
    lab.task({"Args/lr": 1}, {"loss/val": [1.0]})
    for asked, said in (
        ({"project": lab.project + "x"}, f"no project is named .*; near it: {lab.project}"),
        ({"tags": ["none"]}, "no task fits: .*tag none"),
        ({"ids": ["0" * 32], "project": None}, "no server that was asked has that task"),
        ({"group_by": "Args/lrr"}, "no task has that parameter; near it: Args/lr"),
        ({"group_by": "lr"}, "nothing is grouped by that; near it: Args/lr"),
        ({"group_by": "stack"}, "no task of these has a stack"),
        ({"group_by": "all-but:Args/sed"}, "no task has that parameter; near it: Args/lr"),
        ({"metrics": ["loss/vall"]}, "no task has it; near it: loss/val"),
        ({"metrics": ["wall_seconds"]}, "none of 1 task has a record"),
    ):
        with pytest.raises(BadInputError, match=said):
            lab.compared(str(asked.pop("group_by", "Args/lr")), **asked)  # type: ignore[arg-type]


def test_values_below_nought_are_compared_by_differences_everywhere(lab: Lab) -> None:
    for seed in range(6):
        for rate in (1, 2, 3):
            lab.task({"Args/lr": rate, "Args/seed": seed}, {"reward/mean": [rate - 1.5 + seed / 100]})
    report = lab.compared("Args/lr", metrics=["reward/mean"])
    (workload,) = report.workloads
    assert [c.ratio for c in workload.comparisons] == [None] * 3
    assert [round(c.difference or 0, 2) for c in workload.comparisons] == [1.0, 2.0, 1.0]
    assert {c.verdict for c in workload.comparisons} == {"different"}
    assert any(h.text.startswith("reward/mean: 2 minus 1 is +1.00 [") for h in workload.headlines)


def test_every_output_says_of_unmeasured_tasks_what_is_known_and_no_more(lab: Lab, tmp_path: Path) -> None:
    for n in (1, 2):
        lab.task(
            {"Args/n": n, "Args/x": "<b>=1+1"},
            {"loss/<i>val": [-1.0]},
            name="=cmd|calc",
            runtime={"hostname": "yard"},
        )
    report = lab.compared("Args/n,Args/x", metrics=["loss/<i>val"])
    paths = reports.write(report, tmp_path)
    assert paths.html is not None
    page = paths.html.read_text()
    assert "<i>val" not in page.replace("&lt;i&gt;val", "").split('id="plotly"')[0]
    assert "no CUDA recorded" not in page
    assert "Peak RAM" not in page.split('id="plotly"')[0]
    assert {row.name: list(row.values) for row in report.environment} == {"Host": ["yard"]}
    assert report.methods == []
    row = next(csv.DictReader(paths.csv.read_text().splitlines()))
    assert row["folder"].startswith("'=cmd|calc (")
    assert row["measurement.wall_seconds"] == ""
    assert json.loads(paths.json.read_text())["rows"][0]["parameters.Args/x"] == "<b>=1+1"
    printed = Console(width=110, record=True, file=io.StringIO())
    reports.print_table(report, printed)
    assert "loss/<i>val" in printed.export_text()


def test_tasks_of_one_seed_are_pairs_where_somebody_says_so(lab: Lab) -> None:
    for seed in range(8):
        for rate in (1, 2):
            # the seeds differ by far more than the rates
            lab.task(
                {"Args/lr": rate, "Args/seed": seed}, {"loss/val": [(1 + seed) * (1.2 if rate == 2 else 1.0)]}
            )
    (alone,) = lab.compared("Args/lr", metrics=["loss/val"]).workloads[0].comparisons
    assert (alone.verdict, alone.pairing) == ("undecided", "unpaired")
    report = lab.compared("Args/lr", metrics=["loss/val"], pair_by="Args/seed")
    (paired,) = report.workloads[0].comparisons
    assert (paired.verdict, paired.pairing, paired.n) == ("different", "within block", 8)
    assert paired.ratio == pytest.approx(1.2)
    assert "not-paired" not in codes(report)
    lab.task({"Args/lr": 1, "Args/seed": 0}, {"loss/val": [1.0]})
    lab.task({"Args/lr": 1}, {"loss/val": [1.0]})
    told = codes(lab.compared("Args/lr", metrics=["loss/val"], pair_by="Args/seed"))
    assert told["not-paired"] == (
        "Not in pairs: 1 task with the value of another in its group, 1 task without a value."
    )
    for key, said in (
        ("Args/lr", "grouped by it"),
        ("Args/sed", "pair by Args/sed: .*; near it: Args/seed"),
    ):
        with pytest.raises(BadInputError, match=said):
            lab.compared("Args/lr", pair_by=key)
