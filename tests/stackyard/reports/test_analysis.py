"""What a report says about studies whose truth is known."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.reports import Report, ReportOptions, analyse, load, markdown
from stackyard.reports.cells import natural
from stackyard.reports.report import OwnMetric
from stackyard_task.criteria import Stopped
from stackyard_task.records import Failure, RunRecord
from tests.stackyard.reports.synthetic import record, write_plan, write_run

FAST = ReportOptions(permutations=199)


def comparison(report: Report, metric: str, workload: int = 0):
    return next(c for c in report.workloads[workload].comparisons if c.metric == metric)


def test_the_headline_says_how_many_times_faster(two_cells: Callable[..., Path]) -> None:
    report = analyse(load([two_cells(factor=0.5)]), FAST)
    lines = [h.text for h in report.workloads[0].headlines if h.metric == "wall_seconds"]
    assert lines[0].startswith("new is 1.99× faster than old [")
    assert report.workloads[0].fastest is not None
    assert report.workloads[0].fastest.cell == "bare-new-1c-train"
    assert not report.workloads[0].fastest.not_separable


def test_equal_cells_are_parity_and_neither_is_clearly_fastest(two_cells: Callable[..., Path]) -> None:
    report = analyse(load([two_cells(factor=1.0)]), FAST)
    found = comparison(report, "wall_seconds")
    assert found.verdict == "parity"
    assert "parity, within ±5 %" in found.sentence
    assert report.workloads[0].fastest is not None
    assert len(report.workloads[0].fastest.not_separable) == 1
    assert "; within ±5 % of " in report.workloads[0].fastest.sentence
    assert "not yet told apart" not in report.workloads[0].fastest.sentence


def test_warm_up_and_failed_runs_are_counted_but_not_averaged(two_cells: Callable[..., Path]) -> None:
    def spoil(run: RunRecord) -> None:
        if run.block == 6:
            run.measurement.wall_seconds = 1e6
            if run.cell["stack"] == "new":
                run.status, run.failure = (
                    "failed",
                    Failure("code", "it raised ValueError: look at output.log"),
                )
            else:
                run.warm_up = True

    report = analyse(load([two_cells(spoil)]), FAST)
    assert report.counts["warm_up"] == 1
    assert report.counts["failed"] == 1
    assert max(c.metrics["wall_seconds"].maximum for c in report.workloads[0].cells) < 100
    assert [f.message for f in report.failed] == ["it raised ValueError: look at output.log"]
    found = comparison(report, "wall_seconds")
    assert (found.verdict, found.n) == ("too few runs", 5)
    assert "have 5, need 6" in found.sentence


def test_not_runnable_cells_are_listed_with_their_reason_and_never_filled_in(report: Report) -> None:
    assert report.counts["not_runnable"] == 1
    assert "does not answer" in report.not_runnable[0].reason
    assert not any("2.6.0" in cell.slug for w in report.workloads for cell in w.cells)


def test_what_was_not_measured_is_absent_not_zero(two_cells: Callable[..., Path]) -> None:
    def forget(run: RunRecord) -> None:
        run.measurement.peak_rss_bytes = None

    report = analyse(load([two_cells(forget)]), FAST)
    assert all("peak_rss_bytes" not in cell.metrics for cell in report.workloads[0].cells)
    assert report.workloads[0].leanest is None
    assert "energy_joules" not in [metric.key for metric in report.metrics]


def test_the_baseline_can_be_chosen_and_turns_the_ratio_round(two_cells: Callable[..., Path]) -> None:
    folder = two_cells(factor=0.5)
    report = analyse(load([folder]), ReportOptions(permutations=99, baseline={"stack": "new"}))
    found = comparison(report, "wall_seconds")
    assert report.workloads[0].baseline == "bare-new-1c-train"
    assert found.ratio == pytest.approx(2.0, rel=0.02)
    assert "old is 1.99× slower than new" in found.sentence


@pytest.mark.parametrize(
    ("baseline", "words"),
    [({"stak": "new"}, "axis 'stak' is unknown"), ({"stack": "odd"}, "stack has old, new")],
)
def test_an_unknown_baseline_is_one_clear_sentence(
    two_cells: Callable[..., Path], baseline: dict[str, str], words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        analyse(load([two_cells()]), ReportOptions(baseline=baseline))


def test_the_same_records_give_the_same_report(two_cells: Callable[..., Path]) -> None:
    folder = two_cells()
    assert analyse(load([folder]), FAST) == analyse(load([folder]), FAST)


def test_machines_are_told_apart_and_compared_unpaired(tmp_path: Path) -> None:
    for host, factor in (("yard-1", 1.0), ("yard-2", 2.0)):
        for block in range(1, 7):
            cell = {"stack": "new", "hardware": "2c", "workload": "train"}
            write_run(tmp_path / host, record(cell, block, 10 * factor * (1 + block / 500), host=host))
    report = analyse(load([tmp_path / "yard-1", tmp_path / "yard-2"]), FAST)
    assert report.axes["hardware"] == ["2c @ yard-1", "2c @ yard-2"]
    found = comparison(report, "wall_seconds")
    assert (found.pairing, found.verdict) == ("unpaired", "different")
    assert found.ratio == pytest.approx(2.0, rel=0.02)
    assert "several-machines" in [warning.code for warning in report.warnings]


def test_blocks_of_two_folders_of_one_machine_add_up(two_cells: Callable[..., Path]) -> None:
    def later(run: RunRecord) -> None:
        run.started_at = run.started_at.replace("2026-11-21", "2026-11-22")

    report = analyse(load([two_cells(name="a"), two_cells(later, name="b")]), FAST)
    assert comparison(report, "wall_seconds").n == 12


def test_throughput_in_the_results_is_compared_and_more_is_better(report: Report) -> None:
    note = report.metric("results.sessions_per_second")
    assert note.less_is_better is False
    assert comparison(report, "results.sessions_per_second").ratio is not None


def test_a_faster_stack_that_finds_something_else_is_noticed(two_cells: Callable[..., Path]) -> None:
    def change(run: RunRecord) -> None:
        run.results["f1"] = 0.97 if run.cell["stack"] == "old" else 0.80

    report = analyse(load([two_cells(change)]), FAST)
    assert report.workloads[0].results_differing == ["f1"]
    assert "results-differ" in [warning.code for warning in report.warnings]


def test_times_that_differ_are_no_doubt_about_quality(two_cells: Callable[..., Path]) -> None:
    def change(run: RunRecord) -> None:
        old = run.cell["stack"] == "old"
        run.results.update(
            {"ms_per_step": 5 if old else 9, "it/s": 200 if old else 111, "fit_seconds": 2 - old}
        )

    report = analyse(load([two_cells(change)]), FAST)
    assert report.workloads[0].results_differing == []
    assert "results-differ" not in [warning.code for warning in report.warnings]


def test_the_pareto_front_keeps_what_nothing_beats(tmp_path: Path) -> None:
    cells = {"fast": (5.0, 900e6), "lean": (9.0, 200e6), "neither": (9.5, 950e6)}
    for name, (wall, rss) in cells.items():
        for block in range(1, 7):
            write_run(
                tmp_path, record({"stack": name, "workload": "train"}, block, wall + block / 100, rss=rss)
            )
    report = analyse(load([tmp_path]), FAST)
    assert sorted(slug.split("-")[0] for slug in report.workloads[0].pareto) == ["fast", "lean"]


def test_a_plan_without_runs_reports_what_could_not_run(tmp_path: Path) -> None:
    axes = {"stack": "old", "workload": "train"}
    write_plan(
        tmp_path, [], 6, not_runnable=[{"name": "x", "axes": axes, "reason": "no GPU in this machine"}]
    )
    report = analyse(load([tmp_path]), FAST)
    assert report.workloads == []
    assert report.not_runnable[0].reason == "no GPU in this machine"


def test_levels_keep_the_order_of_the_plan_else_count_naturally(report: Report) -> None:
    assert report.axes["stack"] == ["torch-1.10.2-cu102", "torch-2.13.0-cpu"]
    assert sorted(["10c", "2c", "0.5c"], key=natural) == ["0.5c", "2c", "10c"]


def test_gpu_memory_of_several_devices_adds_up(report: Report) -> None:
    cell = next(c for c in report.workloads[0].cells if "2.13" in c.slug)
    assert cell.metrics["gpu_peak_memory_bytes"].median == 1.75e9


CHANGED = {"fit.2": {"of": "fit", "differs": ["stack mine: other packages (lock 1 then, 2 now)"]}}


def two_versions(folder: Path) -> Path:
    """A matrix whose stack was changed and accepted: one stack name, two workloads, two locks."""
    cells = [{"stack": "mine", "workload": name} for name in ("fit", "fit.2")]
    write_plan(folder, cells[1:], 2, changes=CHANGED)
    for cell in cells:
        for block in (1, 2):
            run = record(cell, block, 10 + block / 100)
            run.environment.stack_digest = {"fit": "11", "fit.2": "22"}[cell["workload"]] * 32
            write_run(
                folder, run, {"interval_seconds": 0.1, "t_seconds": [0.1], "cpu_percent_of_core": [1.0]}
            )
    return folder


def test_what_a_changed_stack_made_anew_is_said_and_the_stack_is_not_called_the_same(tmp_path: Path) -> None:
    report = analyse(load([two_versions(tmp_path)]), FAST)
    since = "fit.2 is fit since this changed: stack mine: other packages (lock 1 then, 2 now)."
    assert [w.since for w in report.workloads] == [None, since]
    assert "stack" not in report.constant
    locks = next(row for row in report.environment if row.name == "Lock digest")
    assert [locks.where(value) for value in locks.values] == [": fit", ": fit.2"]


def test_one_lock_everywhere_is_the_same_everywhere_and_names_no_cells(tmp_path: Path) -> None:
    for block in (1, 2):
        write_run(tmp_path, record({"stack": "mine", "workload": "fit"}, block, 10.0))
    report = analyse(load([tmp_path]), FAST)
    assert report.constant["stack"] == "mine"
    assert not any(row.cells for row in report.environment + report.methods)


def test_a_chosen_result_is_compared_and_has_a_best_where_its_direction_was_said(
    two_cells: Callable[..., Path],
) -> None:
    def found(run: RunRecord) -> None:
        run.results = {
            "score": (0.9 if run.cell["stack"] == "new" else 0.5) + (run.block or 0) / 1000,
            "text": "a",
        }

    study = load([two_cells(found)])
    own = OwnMetric("score", "Score/val", "What it scored.", less_is_better=False)
    report = analyse(study, ReportOptions(permutations=199, own=(own,), only=("results.score",)))
    (workload,) = report.workloads
    assert [metric.key for metric in report.metrics] == ["results.score"]
    assert [h.text.split(" [")[0] for h in workload.headlines if h.verdict == "different"] == [
        "new has 1.79× the Score/val of old"
    ]
    assert workload.best[0].sentence.startswith("Best Score/val: new, median 0.903")
    assert "score" not in workload.cells[0].results
    silent = analyse(study, ReportOptions(permutations=199, own=(OwnMetric("score", "Score", ""),)))
    assert silent.workloads[0].best == []
    assert silent.headline[0] == "wall_seconds"
    assert silent.headline[-1] == "results.score"


def test_stopped_runs_are_named_with_their_reason_and_are_neither_failed_nor_averaged(
    two_cells: Callable[..., Path],
) -> None:
    said = "stopped at its limit of RAM: 3 GB seen, 2 GB allowed"

    def spoil(run: RunRecord) -> None:
        if run.block == 6 and run.cell["stack"] == "new":
            run.measurement.wall_seconds = 1e-6
            run.status = "stopped"
            run.stopped = Stopped("ram_bytes", 2e9, 3e9, "bytes", 4.0, said)

    report = analyse(load([two_cells(spoil)]), FAST)
    assert (report.counts["stopped"], report.counts["failed"], report.failed) == (1, 0, [])
    assert [(run.criterion, run.message, run.at_seconds) for run in report.stopped] == [
        ("ram_bytes", said, 4.0)
    ]
    assert min(c.metrics["wall_seconds"].minimum for c in report.workloads[0].cells) > 1
    assert sorted((cell.completed, cell.stopped) for cell in report.workloads[0].cells) == [(5, 1), (6, 0)]
    assert comparison(report, "wall_seconds").n == 5
    assert [w.code for w in report.warnings if w.code in ("stopped-runs", "failed-runs", "missing-runs")] == [
        "stopped-runs"
    ]
    assert "1 stopped at a limit" in markdown.render(report)
    assert said in markdown.render(report).replace("\\", "")
