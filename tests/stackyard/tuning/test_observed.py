"""What a run says of its trial, while it goes on and at its end."""

from __future__ import annotations

import math

import pytest

from stackyard.tuning import observed, packing
from stackyard.tuning.packing import Machine
from stackyard.tuning.study import Objective
from stackyard.tuning.trial import Interval, Reason, Trial
from stackyard_task import records
from stackyard_task.criteria import Stopped
from stackyard_task.records import Dispatch, Failure, GpuUse, Measurement, Progress, RunRecord, StepTimes

ACCURACY = Objective("accuracy", maximise=True)


def record(status: str = "completed", **given: object) -> RunRecord:
    now = "2026-01-01T00:00:00.000+00:00"
    return RunRecord("s/t0001", "w", status, now, now, **given)  # type: ignore[arg-type]


def test_a_completed_run_gives_values_and_costs() -> None:
    trial = Trial(0, {})
    measured = Measurement(
        wall_seconds=3.0,
        cpu_seconds=2.0,
        peak_rss_bytes=100,
        gpus=[GpuUse(0, peak_memory_bytes=5), GpuUse(1, peak_memory_bytes=7)],
        steps=StepTimes(10, 0.2, 0.2, 0.3),
    )
    told = record(results={"accuracy": 0.5, "other": 1}, measurement=measured)
    observed.take_record(trial, told, [ACCURACY, Objective("cpu_seconds", maximise=False)])
    assert (trial.state, trial.reason) == ("completed", None)
    assert trial.values == {"accuracy": 0.5, "cpu_seconds": 2.0}
    assert trial.used == {
        "ram_bytes": 100.0,
        "gpu_memory_bytes": 7.0,
        "step_seconds": 0.2,
        "cpu_seconds": 2.0,
        "wall_seconds": 3.0,
    }


@pytest.mark.parametrize("value", ["nan", "not a number", True, [1], math.inf])
def test_what_is_no_finite_number_fails_the_trial(value: object) -> None:
    trial = Trial(0, {})
    observed.take_record(trial, record(results={"accuracy": value}), [ACCURACY])
    assert trial.state == "failed"
    assert trial.reason is not None
    assert trial.reason.kind == "objective"


def test_an_objective_that_nobody_reported_is_named_with_those_that_are() -> None:
    trial = Trial(0, {})
    observed.take_record(trial, record(results={"loss": 1.0, "f1": 0.2}), [ACCURACY])
    assert trial.reason == Reason("unreported", "the run reports no 'accuracy'; it reports: f1, loss")


def test_a_run_stopped_at_a_limit_is_a_stopped_trial_with_what_it_found() -> None:
    trial = Trial(0, {})
    stopped = Stopped("ram_bytes", 100.0, 150.0, "bytes", 1.0, "stopped at its limit")
    told = record("stopped", stopped=stopped, results={"accuracy": 0.3})
    observed.take_record(trial, told, [ACCURACY])
    assert (trial.state, trial.values) == ("stopped", {"accuracy": 0.3})
    assert trial.reason == Reason("limit", "stopped at its limit", "ram_bytes", 100.0, 150.0)
    assert trial.kept_limits is False


def test_what_ended_by_itself_beyond_a_limit_has_broken_it() -> None:
    trial = Trial(0, {})
    told = record(results={"accuracy": 0.9}, measurement=Measurement(peak_rss_bytes=150_000_000))
    observed.take_record(trial, told, [ACCURACY], limits={"ram_bytes": 100e6})
    assert trial.state == "stopped"
    assert trial.reason is not None
    assert trial.reason.message == "ended by itself beyond its limit of peak RAM: 150 MB seen, 100 MB allowed"


def test_an_end_that_the_tuner_asked_for_is_no_failure_and_one_that_others_did_is() -> None:
    trial, asked = Trial(0, {}), Reason("pruner", "worse than the median")
    interrupted = record("failed", failure=Failure("interrupted", "stopped by SIGINT"))
    observed.take_record(trial, interrupted, [ACCURACY], asked)
    assert (trial.state, trial.reason) == ("stopped", asked)
    observed.take_record(trial, record("failed", failure=Failure("code", "no module")), [ACCURACY], asked)
    assert (trial.state, trial.reason) == ("failed", Reason("code", "no module"))


def test_a_time_limit_is_a_limit() -> None:
    trial = Trial(0, {})
    observed.take_record(trial, record("failed", failure=Failure("time_limit", "still running")), [ACCURACY])
    assert trial.state == "stopped"
    assert trial.kept_limits is False


def test_points_on_the_way_are_taken_once_and_in_order() -> None:
    trial = Trial(0, {})

    def look(step: float, value: float | None) -> None:
        point = records.Point(step, 10 * step, step, value)
        progress = Progress(elapsed_seconds=10 * step, cpu_seconds=step, metrics={"accuracy": point})
        observed.take_progress(trial, progress, ACCURACY)

    look(1, 0.1)
    look(1, 0.1)
    look(2, 0.2)
    look(3, None)
    assert [(point.step, point.value) for point in trial.course] == [(1, 0.1), (2, 0.2)]
    assert trial.used["cpu_seconds"] == 3


def test_what_is_reserved_for_a_trial_under_way_is_the_most_that_it_has_used_beyond_its_prediction() -> None:
    """Of each memory, though it uses less by now: what it takes again would be another's."""
    told = dict.fromkeys(("ram_bytes", "ram_minus_shared_bytes", "gpu_memory_bytes"), Interval(1e9, 1e9, 1e9))
    trial = Trial(0, {}, "running", predicted=told)
    for gb in (3, 2):
        size = gb * 10**9
        progress = Progress(most_rss_bytes=size, rss_minus_shared_bytes=size, gpu_memory_bytes=size)
        observed.take_progress(trial, progress, ACCURACY)
    of = Machine(4.0, 9e9, (9e9,))
    for shared in (False, True):
        need = packing.need(trial, {}, 1.0, of, shared)
        assert (need.memory_bytes, need.gpu_memory_bytes) == (3e9, 3e9)


def test_retries_of_the_server_never_take_from_those_of_ours() -> None:
    trial = Trial(0, {}, retries=2)
    observed.take_record(trial, record(dispatch=Dispatch(task_id="t", retries=1)), [ACCURACY])
    assert trial.retries == 2


def test_a_long_course_is_thinned_and_keeps_its_end() -> None:
    trial = Trial(0, {})
    rows = [[step, step / 10, 1.0 * step, 2.0 * step] for step in range(5000)]
    observed.take_series(trial, {"accuracy": [*rows, ["x", 1], [1], "y"]}, [ACCURACY])
    assert len(trial.course) <= observed.MOST_POINTS
    assert trial.course[0].step == 0
    assert trial.course[-1].step > 4900


@pytest.mark.parametrize("told", [5, "x", None, [5, [None]], {"a": 1}])
def test_whatever_a_run_left_as_its_series_the_trial_stands(told: object) -> None:
    trial = Trial(0, {})
    observed.take_series(trial, {"accuracy": told}, [ACCURACY])
    assert trial.course == []


def test_an_objective_may_be_the_best_of_its_course() -> None:
    best = Objective("loss", maximise=False, best=True)
    trial = Trial(0, {}, values={"accuracy": 0.5, "loss": 0.9})
    observed.take_series(
        trial, {"loss": [[1, 0.4], [2, 0.3], [3, 0.9]], "accuracy": [[1, 0.7]]}, [ACCURACY, best]
    )
    assert trial.values == {"accuracy": 0.5, "loss": 0.3}


def test_a_metric_that_is_missing_says_what_was_told_and_not_understood() -> None:
    note = "2 things that it told were not understood and left out; the first: why"
    trial = Trial(0, {})
    observed.take_record(trial, record(not_understood=2, notes=["other", note]), [ACCURACY])
    assert trial.reason is not None
    assert trial.reason.message == f"the run reports no 'accuracy'; it reports: nothing ({note})"
