"""What figures are called on pages: who shows them and who reads them there again mean the same names."""

from __future__ import annotations

import dataclasses

from stackyard_task import figure_names
from stackyard_task.figures import figures
from stackyard_task.records import Dispatch, GpuUse, Measurement, RunRecord, StepTimes, Witness

WAY = ("pulled_at", "container_started_at", "user_code_at", "workload_started_at")


def filled(kind: type, **given: object) -> object:
    """A shape with a number in every field that may be none."""
    empty = kind(**given)
    for field in dataclasses.fields(kind):
        if getattr(empty, field.name) is None:
            setattr(empty, field.name, 1.0)
    return empty


def test_every_figure_of_a_record_is_known_by_its_name_and_none_of_a_tasks_own_is() -> None:
    record = RunRecord("r", "w", "completed", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00")
    record.measurement = filled(Measurement)  # type: ignore[assignment]
    record.measurement.steps = StepTimes(10, 0.02, 0.01, 0.05)
    record.measurement.gpus = [filled(GpuUse, index=3)]  # type: ignore[list-item]
    record.witness = Witness("cgroup", cpu_differs_percent=1.0, peak_differs_percent=1.0)
    instants = {name: f"2026-01-01T00:00:{second:02}+00:00" for second, name in enumerate(WAY)}
    record.dispatch = Dispatch(task_id="t", **instants)
    shown = figures(record)
    assert len(shown) > 30
    assert [name for name in shown if not figure_names.is_figure(name)] == []
    assert all(figure_names.is_figure(name + figure_names.BESIDE_ITS_OWN) for name in shown)
    for name in ("accuracy", "time (s)", "GPU 3 temperature (C)", "accuracy (measured)"):
        assert not figure_names.is_figure(name), name
