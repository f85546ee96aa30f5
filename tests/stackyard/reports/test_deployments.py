"""Deployments at a fixed stack, dispatch apart from the work, shares of variance, failures by kind."""

from __future__ import annotations

import datetime
import itertools
import random
from pathlib import Path

import pytest

from stackyard import reports
from stackyard.reports.report import Report
from stackyard_task.records import Dispatch, Failure
from tests.stackyard.reports.synthetic import START, record, write_plan, write_run

STACKS = ("torch-1.10.2-cu102", "torch-2.13.0-cpu")
DEPLOYMENTS = ("bare", "agent", "container")


def instant(seconds: float) -> str:
    return (START + datetime.timedelta(seconds=seconds)).isoformat()


def dispatched(at: float, wall: float, container: bool) -> Dispatch:
    return Dispatch(
        task_id="t",
        queue="cpu",
        enqueued_at=instant(at - 4.0),
        pulled_at=instant(at - 3.0),
        container_started_at=instant(at - 2.5) if container else None,
        user_code_at=instant(at - 1.0),
        workload_started_at=instant(at),
        finished_at=instant(at + wall + 0.75),
        retries=1 if container else 0,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Old and new stack, three deployments: the container costs 1 %, the old stack 60 %."""
    folder = tmp_path_factory.mktemp("study")
    generator = random.Random(3)
    cells = [
        {"deployment": d, "stack": s, "hardware": "1c", "workload": "train"}
        for d, s in itertools.product(DEPLOYMENTS, STACKS)
    ]
    write_plan(folder, cells, 8)
    at = 0.0
    for block in range(1, 9):
        drift = generator.gauss(1, 0.05)
        for cell in cells:
            wall = 20.0 * (1.6 if "1.10" in cell["stack"] else 1.0) * drift
            wall *= (1.01 if cell["deployment"] == "container" else 1.0) * generator.gauss(1, 0.004)
            run = record(cell, block, wall, at=at)
            run.run_id += f"-{block}"
            if cell["deployment"] != "bare":
                run.dispatch = dispatched(at, wall, cell["deployment"] == "container")
            if block == 8 and cell["deployment"] == "agent":
                run.status, run.failure = "failed", Failure("infrastructure", "the agent went away")
            if block == 8 and cell["deployment"] == "container":
                run.status, run.failure = "failed", Failure("code", "ValueError")
            write_run(folder, run)
            at += wall + 5
    return reports.analyse(reports.load([folder]))


def test_a_container_is_judged_against_bare_at_a_fixed_stack(report: Report) -> None:
    (workload,) = report.workloads
    (found,) = [
        p
        for p in workload.parities
        if (p.metric, p.reference, p.other) == ("steady_seconds", "bare", "container")
    ]
    assert found.verdict == "parity"
    assert found.ratio == pytest.approx(1.01, abs=0.004)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.ratio < found.high
    assert [s.setting for s in found.settings] == list(STACKS)
    assert found.sentence.startswith("Steady phase of container to bare over 2 settings: 1.01× [")
    assert found.sentence.endswith("parity within ±5 %.")
    spoken = [h.text for h in workload.headlines if h.axis == "deployment" and h.metric == "steady_seconds"]
    assert len(spoken) == 2  # one sentence for each other deployment, not one per setting


def test_the_variation_is_shared_out_between_stack_and_deployment(report: Report) -> None:
    shares = {s.metric: s for s in report.workloads[0].shares}
    assert shares["wall_seconds"].stack > 0.9
    assert shares["wall_seconds"].deployment < 0.02
    assert "the stack explains 9" in shares["wall_seconds"].sentence
    assert "the deployment under 1 %" in shares["wall_seconds"].sentence


def test_dispatch_stands_apart_and_only_where_there_was_one(report: Report) -> None:
    by_label = {cell.label: cell.metrics for cell in report.workloads[0].cells}
    bare, agent, container = (by_label[f"{d} · {STACKS[1]}"] for d in DEPLOYMENTS)
    assert "dispatch_seconds" not in bare
    assert agent["dispatch_seconds"].median == pytest.approx(4.0)
    assert agent["dispatch_pickup_seconds"].median == pytest.approx(1.0)
    assert "dispatch_container_seconds" not in agent
    assert agent["dispatch_agent_seconds"].median == pytest.approx(2.0)
    assert container["dispatch_container_seconds"].median == pytest.approx(0.5)
    assert container["dispatch_agent_seconds"].median == pytest.approx(1.5)
    assert container["dispatch_prepare_seconds"].median == pytest.approx(1.0)
    assert container["dispatch_deliver_seconds"].median == pytest.approx(0.75)
    wall = container["wall_seconds"].median
    assert container["turnaround_seconds"].median == pytest.approx(4.0 + wall, rel=0.01)


def test_clocks_that_disagree_give_no_figure(tmp_path: Path) -> None:
    run = record({"deployment": "agent", "stack": "s", "workload": "train"}, 1, 5.0)
    run.dispatch = Dispatch(enqueued_at=instant(10), pulled_at=instant(9), user_code_at="not an instant")
    write_run(tmp_path, run)
    (cell,) = reports.analyse(reports.load([tmp_path])).workloads[0].cells
    assert not [name for name in cell.metrics if name.startswith("dispatch")]


def test_failures_are_counted_by_kind_with_the_infrastructure_apart(report: Report) -> None:
    assert [(f.kind, f.runs, f.infrastructure) for f in report.failures] == [
        ("code", 2, False),
        ("infrastructure", 2, True),
    ]
    assert report.retries == 16
    said = {w.code: w.message for w in report.warnings}
    assert said["infrastructure-failures"].endswith("no fault of the workload: 2 infrastructure.")
    assert said["retried-starts"].startswith("16 starts")


def test_every_output_says_it(report: Report, tmp_path: Path) -> None:
    paths = reports.write(report, tmp_path)
    page, text = paths.html.read_text(), paths.markdown.read_text()
    assert "Deployment at a fixed stack" in page
    assert "Start-up of dispatched runs, apart from the work" in page
    assert "container to bare" in page
    assert "all settings" in text
    assert "2 infrastructure" in text


def test_sums_over_workers_are_called_sums(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        for block in range(1, 7):
            cell = {"deployment": "agent", "stack": "s", "workload": "infer", "workers": workers}
            run = record(cell, block, 10.0 / int(workers) + 1)
            run.run_id += f"-{block}"
            run.parameters = {"shards": int(workers)}
            write_run(tmp_path, run)
    report = reports.analyse(reports.load([tmp_path]))
    (note,) = [w for w in report.warnings if w.code == "summed-over-workers"]
    assert "sums over the workers in infer: 2" in note.message
    (fit,) = [a for a in report.workloads[0].amdahl if a.metric == "wall_seconds"]
    assert (fit.axis, fit.cores) == ("workers", [1.0, 2.0])
