"""Each warning appears for its cause, and a quiet study has none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.reports import Report, ReportOptions, Study, analyse, load
from stackyard.reports.loading import Run
from stackyard.reports.warning_codes import ADVICE
from stackyard_task.records import Alarm, Failure, RunRecord
from tests.stackyard.reports.synthetic import record, write_plan, write_run

FAST = ReportOptions(permutations=49, draws=500)
Change = Callable[[RunRecord], object]


def report_of(folder: Path) -> Report:
    return analyse(load([folder]), FAST)


def codes(report: Report) -> set[str]:
    return {warning.code for warning in report.warnings}


def test_a_quiet_study_has_no_warnings(two_cells: Callable[..., Path]) -> None:
    assert codes(report_of(two_cells())) == set()


def busy(run: RunRecord) -> None:
    run.environment.other_cpu_percent_of_machine = 60.0 if run.block == 2 else 0.0


def throttle(run: RunRecord) -> None:
    run.environment.throttled_seconds = 4.0


def jump(run: RunRecord) -> None:
    run.environment.clock_jump_seconds = -3600.0 if run.block == 3 else 0.0


def fail(run: RunRecord) -> None:
    if run.block == 1 and run.cell["stack"] == "new":
        run.status, run.failure = "failed", Failure("code", "it raised")


def two_groups(run: RunRecord) -> None:
    run.measurement.wall_seconds = 10.0 + 0.01 * (run.block or 0) + (8.0 if (run.block or 0) % 2 else 0.0)


def drift(run: RunRecord) -> None:
    run.measurement.wall_seconds = 10.0 * 1.1 ** (run.block or 0)


def cold(run: RunRecord) -> None:
    run.measurement.wall_seconds = 10.0 * (1.5 if run.block == 1 else 1.0) + 0.01 * ((run.block or 0) * 5 % 3)


def other_method(run: RunRecord) -> None:
    run.measurement.peak_rss_method = "polling" if run.cell["stack"] == "new" else "cgroup v2"


def unpinned(run: RunRecord) -> None:
    run.environment.stack_digest = None


def two_locks(run: RunRecord) -> None:
    run.environment.stack_digest = f"digest-{(run.block or 0) % 2}"


def dirty(run: RunRecord) -> None:
    run.environment.code_dirty = True


def other_code(run: RunRecord) -> None:
    run.environment.code_digest = f"code-{(run.block or 0) % 2}"


def other_kernel(run: RunRecord) -> None:
    run.environment.kernel = f"6.{(run.block or 0) % 2}"


def other_parameters(run: RunRecord) -> None:
    run.parameters["batch_size"] = run.block


def wide(run: RunRecord) -> None:
    run.measurement.peak_rss_low_bytes = int((run.measurement.peak_rss_bytes or 0) * 0.5)


def costly(run: RunRecord) -> None:
    run.measurement.overhead_cpu_seconds = run.measurement.cpu_seconds


def imports_only(run: RunRecord) -> None:
    run.measurement.startup_seconds = 0.9 * (run.measurement.wall_seconds or 0)
    run.measurement.steady_seconds = 0.08 * (run.measurement.wall_seconds or 0)


def phaseless(run: RunRecord) -> None:
    run.measurement.startup_seconds = run.measurement.wall_seconds
    run.measurement.data_seconds = run.measurement.warmup_seconds = run.measurement.steady_seconds = None


def unheard(run: RunRecord) -> None:
    run.not_understood = 5 if run.cell["stack"] == "new" else 0


def other_results(run: RunRecord) -> None:
    run.results["verdict_digest"] = run.cell["stack"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (busy, "busy-machine"),
        (throttle, "throttled"),
        (jump, "clock-jump"),
        (fail, "failed-runs"),
        (fail, "too-few-runs"),
        (two_groups, "bimodal"),
        (drift, "drift"),
        (cold, "slow-first-block"),
        (other_method, "method-differs"),
        (unpinned, "stack-pin-missing"),
        (two_locks, "stack-differs"),
        (dirty, "dirty-code"),
        (other_code, "code-differs"),
        (other_kernel, "environment-differs"),
        (other_parameters, "parameters-differ"),
        (wide, "wide-memory-bounds"),
        (costly, "costly-measuring"),
        (imports_only, "short-runs"),
        (other_results, "results-differ"),
        (unheard, "values-left-out"),
    ],
)
def test_a_cause_gives_its_warning_with_advice(
    two_cells: Callable[..., Path], change: Change, code: str
) -> None:
    report = report_of(two_cells(change))
    (found,) = [warning for warning in report.warnings if warning.code == code]
    assert found.message.endswith(".")
    assert found.advice == ADVICE[code][1]


def test_a_function_without_phases_is_compared_as_a_whole(two_cells: Callable[..., Path]) -> None:
    report = report_of(two_cells(phaseless))
    assert "short-runs" not in codes(report)
    assert not {"startup_seconds", "finish_seconds"} & {metric.key for metric in report.metrics}


def test_a_run_that_told_no_version_has_no_other_version(two_cells: Callable[..., Path]) -> None:
    def silent(run: RunRecord) -> None:
        run.environment.torch = None if run.block == 2 else "2.13.0"

    assert "environment-differs" not in codes(report_of(two_cells(silent)))


def test_texts_that_differ_are_not_said_to_differ_by_percents(two_cells: Callable[..., Path]) -> None:
    (found,) = [w for w in report_of(two_cells(other_results)).warnings if w.code == "results-differ"]
    assert found.message == "train: cells disagree on the text of verdict_digest."


def test_a_worst_value_is_shown_beyond_its_bound(two_cells: Callable[..., Path]) -> None:
    def barely(run: RunRecord) -> None:
        run.measurement.peak_rss_high_bytes = int((run.measurement.peak_rss_bytes or 0) * 1.0404)
        run.environment.other_cpu_percent_of_machine = 10.04

    messages = {w.code: w.message for w in report_of(two_cells(barely)).warnings}
    assert "more than 5 % apart in 12 runs (most: 5.04 %)" in messages["wide-memory-bounds"]
    assert "more than 10 % of the machine in 12 runs (most: 10.04 %)" in messages["busy-machine"]


def test_work_that_no_worker_takes_a_part_of_is_named(two_cells: Callable[..., Path]) -> None:
    def workers(run: RunRecord) -> None:
        run.cell["workers"] = "2" if run.cell.pop("stack") == "new" else "1"

    folder = two_cells(workers)
    write_plan(folder, [run.record.cell for run in load([folder]).runs[:2]], 6, undivided=["train"])
    (found,) = [w for w in report_of(folder).warnings if w.code == "undivided-work"]
    assert found.message.endswith("so no worker does a part in train: 2.")


def test_an_unfinished_matrix_says_which_runs_are_missing(two_cells: Callable[..., Path]) -> None:
    folder = two_cells()
    cells = [run.record.cell for run in load([folder]).runs[:2]]
    write_plan(folder, cells, 10)
    (found,) = [w for w in report_of(folder).warnings if w.code == "missing-runs"]
    assert "(6 of 10)" in found.message
    write_plan(folder, [*cells, {**cells[0], "stack": "third"}], 10)
    (found,) = [w for w in report_of(folder).warnings if w.code == "missing-runs"]
    assert "in 3 cells: train: new (6 of 10), train: old (6 of 10), train: third (0 of 10)" in found.message


def test_graver_warnings_come_first(report: Report) -> None:
    severities = [warning.severity for warning in report.warnings]
    assert severities == sorted(severities, key=lambda severity: severity != "warning")
    assert {"failed-runs", "busy-machine", "not-runnable"} <= codes(report)


def test_the_page_about_reports_names_every_warning() -> None:
    page = Path(__file__).parents[3] / "docs" / "reports.md"
    text = page.read_text(encoding="utf-8")
    assert [code for code in ADVICE if f"`{code}`" not in text] == []


def test_a_warm_up_run_is_not_advised_where_one_was_made(two_cells: Callable[..., Path]) -> None:
    def cold(run: RunRecord) -> None:
        run.measurement.wall_seconds = (run.measurement.wall_seconds or 0) * (1.5 if run.block == 1 else 1)

    folder = two_cells(cold)
    warm = record({"stack": "new", "workload": "train"}, 1, 10.0, at=0)
    warm.warm_up, warm.run_id, warm.cell = True, "w01", load([folder]).runs[0].record.cell
    write_run(folder, warm)
    (found,) = [w for w in report_of(folder).warnings if "first block" in w.message]
    assert found.code == "slow-after-warm-up"
    assert "add a warm-up" not in found.advice


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("stack torch-2+1a2b3c4d: the first that is here; the task asks for no torch", False),
        ("stack torch-2: the task asks for torch==2.0", False),
        ("stack torch-2: the default of queue old", False),
        ("stack torch-2: named by Run/stack", False),
        ("stack torch-2: the first that is here; the default torch-1 does not fit", True),
        ("runs with Python 3.9, the task's script names 3.11", True),
    ],
)
def test_which_stack_a_task_was_given_is_nothing_to_be_warned_of(note: str, told: bool) -> None:
    run = record({"workload": "w"}, None, 1.0)
    run.notes = [note]
    report = analyse(Study((Run(run, 0, "one"),)))
    assert any(warning.code == "run-notes" for warning in report.warnings) is told


def test_a_run_that_repeats_itself_counts_once() -> None:
    run = record({"workload": "w"}, None, 1.0)
    run.notes = [f"lost {n} values" for n in range(1000)]
    (found,) = [w for w in analyse(Study((Run(run, 0, "one"),))).warnings if w.code == "run-notes"]
    assert found.message == "In 1 run: lost 0 values."


def test_a_warning_of_some_runs_names_their_cells() -> None:
    runs = [record({"workload": "w", "p": p}, None, 1.0) for p in ("1", "2", "3")]
    said = "RAM left its level 13 s after the start: 137 MB at first, above the 90 MB of its first steps"
    runs[1].alarms = [Alarm("rss_bytes", 90e6, 137e6, "bytes", 13.0, said)]
    for run in runs:
        run.notes = ["the table has 3 columns"]
    found = {w.code: w for w in analyse(Study(tuple(Run(run, 0, "one") for run in runs))).warnings}
    assert found["left-level"].message == f"In 1 run (w: 2): {said}."
    assert found["run-notes"].message == "In 3 runs (every cell): the table has 3 columns."
