"""What a study shows over its trials: objectives of completed trials alone, the cost of every one that ran."""

from __future__ import annotations

from stackyard.tuning.scalars import of
from stackyard.tuning.trial import Trial
from stackyard_task.studies import Scalar
from tests.stackyard.tuning.report.synthetic import completed, mixed
from tests.stackyard.tuning.study_text import study


def told(trials: list[Trial]) -> list[Scalar]:
    """The points of a study, trial by trial as they end."""
    return [point for i, trial in enumerate(trials) for point in of(trial, trials[: i + 1], study())]


def series(points: list[Scalar], title: str) -> dict[int, float]:
    return {point.iteration: point.value for point in points if point.title == title}


def test_the_best_so_far_goes_on_over_trials_that_gave_nothing() -> None:
    points = told(mixed())
    assert series(points, "Best so far") == {1: 0.8, 2: 0.9, 3: 0.9, 4: 0.9, 6: 0.9}
    assert series(points, "Objective") == {1: 0.8, 2: 0.9}


def test_what_stopped_and_failed_trials_used_counts_and_skipped_ones_used_nothing() -> None:
    points = told(mixed())
    assert series(points, "CPU time of a trial (s)") == {1: 10.0, 2: 10.0, 3: 4.0, 4: 2.0, 6: 1.0}
    assert series(points, "CPU time of the study (s)") == {1: 10.0, 2: 20.0, 3: 24.0, 4: 26.0, 6: 27.0}
    assert series(points, "Peak RAM of a trial (MB)")[3] == 200.0


def test_a_value_that_is_no_number_has_no_point() -> None:
    assert series(told([completed(0, float("nan"))]), "Objective") == {}
