"""The bench of tuners reads tables only, and charges everybody alike."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bench.tuning import pickles, replay, stop_tables, tables, tuners


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize("held", [Evil(), {"0": Evil()}, os.path.join, np.random.default_rng])
def test_a_pickle_that_names_a_function_is_refused(held: Any) -> None:
    with pytest.raises(pickles.Refused, match="which no table needs"):
        pickles.read(io.BytesIO(pickle.dumps(held)))


def test_tables_and_arrays_are_read_and_what_is_no_pickle_is_refused() -> None:
    held = {"00": {"a": [1.0, 3.0]}, "01": {"a": [2.0]}}
    assert pickles.table(pickles.read(io.BytesIO(pickle.dumps(held))), (1, 2))["a"].tolist() == [2.0, 2.0]
    array = np.arange(3.0)
    assert pickles.read(io.BytesIO(pickle.dumps(array))).tolist() == array.tolist()
    with pytest.raises(pickles.Refused, match="no pickle"):
        pickles.read(io.BytesIO(b"nothing"))
    with pytest.raises(pickles.Refused, match="combinations"):
        pickles.table(held, (2, 2))


def small() -> tables.Final:
    return tables.Final(
        "t", {"n": [0, 1, 2, 3]}, np.array([0.5, 0.1, 0.3, 0.0]), np.array([1.0, 2.0, 3.0, 1000.0])
    )


class Told(tuners.Random):
    """Asks for the combinations in turn, and keeps what it is told."""

    def __init__(self, order: list[int]) -> None:
        self.order, self.told = order, []  # type: ignore[var-annotated]

    def ask(self) -> dict[str, Any] | None:
        return {"n": self.order.pop(0)} if self.order else None

    def ended(self, how: str, trained: Any, steps: int, cost: float, limit: float | None) -> None:
        self.told.append((how, cost))


def test_a_trial_beyond_the_limit_is_charged_a_share_and_is_never_the_best() -> None:
    table = small()
    assert table.limit == pytest.approx(252.25)
    tuner = Told([3, 2, 1, 0])
    found = replay.run(tuner, table, 0)
    assert tuner.told == [("limit", 50.0), ("completed", 3.0)]
    assert [cost * table.mean_cost for cost, _ in found.course] == [53.0, 55.0]
    assert found.course[-1][1] == 0.0
    without = replay.run(Told([3, 2, 1, 0]), table, 0, with_stop=False, budget=1000)
    solved = next(cost for cost, regret in without.course if regret <= 0.01)
    assert solved == pytest.approx(1005.0 / table.mean_cost)


def test_ratios_are_geometric_means_of_pairs_and_what_is_not_solved_counts_with_the_budget() -> None:
    def made(tuner: str, table: str, course: list[tuple[float, float]]) -> Mapping[str, Any]:
        return {"tuner": tuner, "table": table, "course": course, "cost": 300.0}

    runs: Any = {
        ("ours", "t", 0): made("ours", "t", [(10.0, 0.5), (30.0, 0.0)]),
        ("optuna", "t", 0): made("optuna", "t", [(5.0, 0.02)]),
        ("ours", "t", 1): made("ours", "t", [(30.0, 0.0)]),
    }
    value, ends = stop_tables.ratio([stop_tables.pairs(runs, "optuna", "t")])
    assert value == pytest.approx(0.1)
    assert ends == pytest.approx([0.1, 0.1])


def test_a_run_that_was_ended_early_is_not_solved_and_counts_with_the_budget() -> None:
    def ratio(own: list[tuple[float, float]]) -> float | None:
        runs: Any = {
            ("ours", "lcbench-1", 0): {"tuner": "ours", "table": "lcbench-1", "course": own, "cost": 300.0},
            ("optuna", "lcbench-1", 0): {"tuner": "optuna", "table": "lcbench-1", "course": [], "cost": 90.0},
        }
        return stop_tables.ratio([stop_tables.pairs(runs, "optuna", "lcbench-1")])[0]

    assert ratio([(30.0, 0.0)]) == pytest.approx(0.1)
    assert ratio([(120.0, 0.0)]) == pytest.approx(0.4)
    assert ratio([]) == pytest.approx(1.0)
