from __future__ import annotations

import pytest

from stackyard_tabular import cores, repeats
from tests.stackyard_tabular.running import Told


def test_short_work_is_repeated_and_told_as_steps(monkeypatch):
    monkeypatch.setattr(repeats, "MOST", 7)
    told, answers = Told(), iter(range(100))
    answer, times = repeats.timed(told, lambda: next(answers), None)
    assert (answer, times["stage_repeats"], len(told.steps)) == (6, 7, 7)
    assert times["stage_seconds_min"] <= times["stage_seconds_median"]
    assert times["stage_cpu_seconds_min"] <= times["stage_cpu_seconds_median"]
    assert told.phases == ["steady", "finish"]


def test_long_work_is_done_once_unless_more_is_asked_for(monkeypatch):
    monkeypatch.setattr(repeats, "LONG_SECONDS", 0.0)
    assert repeats.timed(Told(), lambda: 1, None)[1]["stage_repeats"] == 1
    assert repeats.timed(Told(), lambda: 1, 3)[1]["stage_repeats"] == 3


@pytest.mark.parametrize(("wanted", "variable", "jobs"), [(3, "2", 3), (None, "2", 2)])
def test_jobs_are_those_asked_for_else_those_of_the_run(wanted, variable, jobs, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert cores.jobs(wanted) == jobs
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert cores.jobs(None) >= 1
