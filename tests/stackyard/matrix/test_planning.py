"""What a plan is refused for before anything is looked up."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.errors import BadInputError
from stackyard.matrix import planning
from tests.stackyard.matrix.scenario_text import scenario


def test_runs_are_bounded_for_a_plan_lists_them(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MOST_RUNS", 8)
    assert yard.plan(scenario(yard), repeats=4)[1].runs_total == 8
    with pytest.raises(BadInputError, match="10 runs of 2 cells, expected at most 8; repeat less"):
        yard.plan(scenario(yard), repeats=5)
    assert yard.plan(scenario(yard), repeats=8, only=[("stack", "new")])[1].runs_total == 8
