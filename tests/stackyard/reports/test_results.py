"""What a result's name says of it."""

from __future__ import annotations

import pytest

from stackyard.reports.results import is_speed


@pytest.mark.parametrize(
    "name",
    [
        "fit_seconds",
        "ms_per_step",
        "msPerStep",
        "time per epoch",
        "test.time.total",
        "steps_per_sec",
        "train_runtime",
        "eval/samples_per_second",
        "score_time",
        "loss_seconds",
        "img/s",
        "it/s",
        "s/it",
        "step_time_s",
        "latency_p95",
        "FPS",
        "decodeFPS",
        "tflops",
        "throughput",
    ],
)
def test_a_time_or_a_rate_is_known_by_its_name(name: str) -> None:
    assert is_speed(name)


@pytest.mark.parametrize(
    "name",
    [
        "loss",
        "f1",
        "F1",
        "accuracy",
        "time_series_loss",
        "wind_speed_rmse",
        "mae_seconds",
        "timeError",
        "timesteps",
        "s",
        "items",
        "minimum",
        "sessions",
        "status",
        "bonus",
        "",
        "...",
        "Ä",
    ],
)
def test_what_else_a_result_says_is_no_speed(name: str) -> None:
    assert not is_speed(name)
