"""Facts on where runs happened: which cells had which value."""

from pathlib import Path

from stackyard.reports import Report, ReportOptions, analyse, load
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
