"""Study folders shared by the tests of the reports."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.reports import Report, ReportOptions, Study, analyse, load
from stackyard_task.records import RunRecord
from tests.stackyard.reports.synthetic import record, write_plan, write_run, write_study
from tests.stackyard_server.web.conftest import browser  # noqa: F401 - a fixture

CELLS = (
    {"deployment": "bare", "stack": "old", "hardware": "1c", "workload": "train"},
    {"deployment": "bare", "stack": "new", "hardware": "1c", "workload": "train"},
)
#: Six blocks of mild, fixed noise.
NOISE = (1.00, 1.02, 0.99, 1.01, 0.98, 1.005)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study") / "synthetic", gpu=True)


@pytest.fixture(scope="session")
def study(study_folder: Path) -> Study:
    return load([study_folder])


@pytest.fixture(scope="session")
def report(study: Study) -> Report:
    return analyse(study, ReportOptions(permutations=499))


@pytest.fixture
def two_cells(tmp_path: Path) -> Callable[..., Path]:
    """Writes two cells x six blocks; ``change`` may edit each record before it is written."""

    def write(
        change: Callable[[RunRecord], object] | None = None, factor: float = 0.5, name: str = "out"
    ) -> Path:
        folder = tmp_path / name
        write_plan(folder, CELLS, 6)
        for block, noise in enumerate(NOISE, start=1):
            for place, cell in enumerate(CELLS):
                wall = 10 * noise * (factor if cell["stack"] == "new" else 1.0) * (1 + 0.001 * place * block)
                run = record(dict(cell), block, wall, at=100 * block + 40 * place)
                run.measurement.startup_seconds = 0.1 * wall
                run.measurement.steady_seconds = 0.78 * wall
                if change:
                    change(run)
                write_run(folder, run)
        return folder

    return write
