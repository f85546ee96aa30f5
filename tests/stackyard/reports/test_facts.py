"""Facts on where runs happened: which cells had which value."""

from pathlib import Path

from stackyard.reports import Report, ReportOptions, analyse, load
from stackyard_task.records import Witness
from tests.stackyard.reports.synthetic import record, write_run

FAST = ReportOptions(permutations=199)


def test_facts_name_the_axis_that_decides_them_or_few_cells(report: Report, tmp_path: Path) -> None:
    allowed = next(row for row in report.environment if row.name == "Cores allowed")
    assert sorted(map(allowed.where, allowed.values)) == [": 1c-2g", ": 2c-4g"]
    stacks = next(row for row in report.environment if row.name.startswith("Stack: "))
    assert stacks.cells == {}  # each value begins with the stack's name
    for number in range(5):
        for block in (1, 2):
            run = record({"stack": f"s{number}", "workload": "fit"}, block, 10.0)
            run.environment.kernel = f"6.{block}"
            write_run(tmp_path, run)
    kernel = next(row for row in analyse(load([tmp_path]), FAST).environment if row.name == "Kernel")
    assert kernel.cells["6.1"] == ["s0", "s1", "s2", "2 more"]


def test_a_second_witness_is_told_where_there_is_one_with_how_far_it_is_off(
    report: Report, tmp_path: Path
) -> None:
    assert not [row for row in report.methods if row.name == "Second witness"]
    for block, differs in enumerate((None, 1.0, -4.0, 30.0), start=1):
        run = record({"stack": "s", "workload": "fit"}, block, 10.0)
        if differs is not None:
            run.witness = Witness("cgroup v1", cpu_differs_percent=differs, peak_differs_percent=0.5)
        write_run(tmp_path, run)
    (row,) = (r for r in analyse(load([tmp_path]), FAST).methods if r.name == "Second witness")
    assert row.values == {
        "none": 1,
        "cgroup v1: agrees within 2 %": 1,
        "cgroup v1: agrees within 5 %": 1,
        "cgroup v1: differs by 30 %": 1,
    }
