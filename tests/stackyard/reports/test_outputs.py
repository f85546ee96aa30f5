"""The files of a report: what writes them and what sends them over HTTP mean the same ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.reports import ReportOptions, analyse, load, outputs, write


def test_every_kind_is_written_and_rendered_alike(two_cells: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    report = analyse(load([two_cells()]), ReportOptions(permutations=49, draws=500))
    write(report, tmp_path / "new")
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()}
    assert set(written) == set(map(outputs.file_name, outputs.KINDS))
    for ending in ("json", "csv", "md"):
        assert written[outputs.file_name(ending)].splitlines() == outputs.render(ending, report).splitlines()
