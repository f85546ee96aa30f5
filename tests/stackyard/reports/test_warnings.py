"""Each warning appears for its cause, and a quiet study has none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.reports import Report, ReportOptions, analyse, load
from stackyard.reports.warnings import ADVICE
from stackyard_task.records import Failure, RunRecord
from tests.stackyard.reports.synthetic import write_plan

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
        (imports_only, "mostly-start-up"),
        (other_results, "results-differ"),
    ],
)
def test_a_cause_gives_its_warning_with_advice(
    two_cells: Callable[..., Path], change: Change, code: str
) -> None:
    report = report_of(two_cells(change))
    (found,) = [warning for warning in report.warnings if warning.code == code]
    assert found.message.endswith(".")
    assert found.advice == ADVICE[code][1]


def test_an_unfinished_matrix_says_which_runs_are_missing(two_cells: Callable[..., Path]) -> None:
    folder = two_cells()
    cells = [run.record.cell for run in load([folder]).runs[:2]]
    write_plan(folder, cells, 10)
    (found,) = [w for w in report_of(folder).warnings if w.code == "missing-runs"]
    assert "(6 of 10)" in found.message


def test_graver_warnings_come_first(report: Report) -> None:
    severities = [warning.severity for warning in report.warnings]
    assert severities == sorted(severities, key=lambda severity: severity != "warning")
    assert {"failed-runs", "busy-machine", "not-runnable"} <= codes(report)


def test_the_page_about_reports_names_every_warning() -> None:
    page = Path(__file__).parents[3] / "docs" / "reports.md"
    text = page.read_text(encoding="utf-8")
    assert [code for code in ADVICE if f"`{code}`" not in text] == []
