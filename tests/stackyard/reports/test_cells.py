"""Which runs belong together, and what cells are called."""

from __future__ import annotations

from stackyard.reports import Study
from stackyard.reports.cells import arrange, natural
from stackyard.reports.loading import Run
from tests.stackyard.reports.synthetic import record


def test_cells_whose_names_would_be_one_have_two() -> None:
    axes = [{"a": "x-y", "b": "z"}, {"a": "x", "b": "y-z"}, {"a": "x/y", "b": "z"}, {"a": "x_y", "b": "z"}]
    study = Study(
        tuple(Run(record({**each, "workload": "w"}, None, 1.0), 0, str(n)) for n, each in enumerate(axes))
    )
    slugs = [cell.slug for cell in arrange(study).cells]
    assert len(set(slugs)) == 4


def test_machines_make_cells_only_where_they_are_kept_apart() -> None:
    runs = tuple(Run(record({"workload": "w"}, None, 1.0, host=f"h{n}"), 0, str(n)) for n in range(2))
    assert len(arrange(Study(runs)).cells) == 2
    assert len(arrange(Study(runs, hosts_apart=False)).cells) == 1


def test_numbers_come_in_their_order_however_they_are_written() -> None:
    assert sorted(["0.1", "1e-3", "10", "2", "adam", "nan"], key=natural) == [
        "1e-3",
        "0.1",
        "2",
        "10",
        "adam",
        "nan",
    ]
