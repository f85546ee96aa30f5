"""Single values as pages show them: a run as its report says it, what the work found apart."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard_server.web import results
from stackyard_task import figure_names

RUN = {
    "wall time (s)": 83.2345, "start-up (s)": 2.104, "steady (s)": 75.2, "CPU time (s)": 155.2,
    "CPU greatest (% of allowed)": 129.389, "peak RAM (MB)": 364.21, "energy (J)": 1234.5, "steps": 1500,
    "step time mean (ms)": 50.13, "GPU 0 peak memory (MB)": 2048.4, "GPU 1 peak memory (MB)": 1024,
    "GPU 0 energy (J)": 10, "F1": 0.931235, "layers": 2.0, "epochs": 5,
}  # fmt: skip


def single(values: dict[str, Any], metric: str = "Summary") -> list[dict[str, Any]]:
    return [{"metric": metric, "variant": name, "value": value} for name, value in values.items()]


def test_a_run_is_shown_as_its_report_says_it() -> None:
    shown = results.read(single(RUN), {"Model": {"layers": {"value": "2"}, "epochs": {"value": "9"}}})
    assert {row.name: row.total for row in shown.took} == {
        "Wall time": "83.2 s", "CPU": "155 s", "RAM": "364 MB", "Steps": "1,500",
        "GPU 0": "2.05 GB", "GPU 1": "1.02 GB",
    }  # fmt: skip
    parts = {row.name: row.parts for row in shown.took}
    assert parts["Wall time"] == [("start-up", "2.10 s"), ("steady", "75.2 s")]
    assert parts["CPU"] == [("greatest, of what is allowed", "129 %")]
    assert parts["Steps"] == [("mean", "50.1 ms")]
    assert shown.work == [("F1", "0.93124"), ("epochs", "5")], "what a parameter says too is no result"
    assert [name for name, _ in shown.rest] == ["energy (J)", "GPU 0 energy (J)", "layers"]


def test_values_of_any_other_task_are_its_results() -> None:
    shown = results.read([*single({"F1": 0.5, "steps": 7}), *single({"best": 1e-9}, "search")])
    assert (shown.took, shown.rest) == ([], [])
    assert shown.work == [("F1", "0.5"), ("steps", "7"), ("search · best", "1.00e-09")]


def test_every_figure_that_a_run_leaves_has_its_place() -> None:
    known = {name for names in results.ROWS.values() for name in names} | results.FOLDED
    known.remove("peak RAM with page cache (MB)")  # only older records have it
    left = [*figure_names.MEASURED, *figure_names.STEPS]
    assert {name for _, name, _ in left} | {name for *_, name in figure_names.WAYS} == known
    assert {name for _, name, _ in figure_names.GPU} == set(results.GPU_ROW) | results.FOLDED_OF_GPU


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"), (0.05, "s", "50.0 ms"), (1e-5, "s", "10.0 µs"), (599, "s", "599 s"), (3600, "s", "60.0 min"),
        (7200, "s", "2.00 h"), (0.25, "MB", "250 kB"), (0, "MB", "0 MB"), (5e6, "MB", "5.00 TB"),
        (99.44, "% of a core", "99 %"), (0.123, "%", "0.12 %"), (0, "%", "0 %"), (float("nan"), "s", "nan"),
        (1234.5, "J", "1,234 J"), (None, "s", "–"),
    ],
)  # fmt: skip
def test_a_quantity_has_sensible_digits_and_the_unit_that_fits(value: Any, unit: str, text: str) -> None:
    assert results.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (123456, "123,456"), (1 / 3, "0.33333"), (2.0, "2"), (1e-9, "1.00e-09"), (None, "–"),
     ("many", "many"), (True, "True"), (1e300, "1.00e+300"), (-0.5, "-0.5")],
)  # fmt: skip
def test_a_number_is_short(value: Any, text: str) -> None:
    assert results.number(value) == text
