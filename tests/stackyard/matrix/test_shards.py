"""One run made of several tasks: started together, ended together, told as one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from stackyard.errors import BadInputError
from stackyard.matrix import shards
from stackyard_task.records import Dispatch, Failure, Measurement, RunRecord, TaskSpec

TASK = TaskSpec(
    run_id="s/b01-x", workload="detector-infer", parameters={"k": 3}, cell={"workers": "2"}, block=1
)


def part(at: float, wall: float, **more: Any) -> RunRecord:
    record = RunRecord(
        run_id="s/b01-x.1",
        workload="detector-infer",
        status="completed",
        started_at=f"2026-01-01T00:00:{at:06.3f}+00:00",
        finished_at=f"2026-01-01T00:00:{at + wall + 0.2:06.3f}+00:00",
        measurement=Measurement(wall_seconds=wall, cpu_seconds=wall * 0.9, peak_rss_bytes=100_000_000),
        results={"sessions": 50, "f1": 0.9},
    )
    record.environment.allowed_cores = 0.5
    for name, value in more.items():
        setattr(record, name, value)
    return record


def test_the_whole_takes_from_the_first_start_to_the_last_end_and_uses_the_sum() -> None:
    whole = shards.merged(TASK, [part(1.0, 10.0), part(2.5, 11.0)])
    measured = whole.measurement
    assert measured.wall_seconds == pytest.approx(12.5)
    assert measured.cpu_seconds == pytest.approx(18.9)
    assert measured.peak_rss_bytes == 200_000_000
    assert measured.cpu_percent_of_allowed == pytest.approx(100 * 18.9 / 12.5)
    assert measured.steady_seconds is None
    assert whole.results == {"sessions": 100}
    assert (whole.status, whole.block, whole.cell) == ("completed", 1, {"workers": "2"})


def test_the_whole_is_no_part_also_where_the_task_names_one() -> None:
    """As a task does whose declaration has a default for it."""
    complete = dataclasses.replace(TASK, parameters={"seed": 3, "shard": 1, "shards": 1})
    assert shards.merged(complete, [part(1.0, 1.0), part(1.0, 1.0)]).parameters == {"seed": 3, "shards": 2}


def test_what_parts_note_is_noted_of_the_whole_once() -> None:
    parts = [part(1.0, 1.0, notes=["a", "b"]), part(1.0, 1.0, notes=["b", "c"])]
    assert shards.merged(TASK, parts).notes == ["a", "b", "c"]


def test_one_failed_worker_fails_the_whole_and_says_which_way() -> None:
    broken = part(1.0, 2.0, status="failed", failure=Failure("out_of_memory", "needed more than 1 GB"))
    whole = shards.merged(TASK, [part(1.0, 10.0), broken])
    assert whole.failure is not None
    assert (whole.status, whole.failure.kind) == ("failed", "out_of_memory")
    assert whole.failure.message == "1 of 2 workers: needed more than 1 GB"
    assert whole.measurement.wall_seconds is None


def test_dispatch_spans_from_the_first_enqueued_to_the_last_finished() -> None:
    def on(worker: str, second: int) -> Dispatch:
        return Dispatch(
            task_id=worker,
            worker=worker,
            queue="cpu",
            enqueued_at=f"2026-01-01T00:00:0{second}+00:00",
            workload_started_at=f"2026-01-01T00:00:0{second + 2}+00:00",
            retries=1,
        )

    whole = shards.merged(TASK, [part(1, 1, dispatch=on("b", 3)), part(1, 1, dispatch=on("a", 1))])
    assert whole.dispatch is not None
    assert whole.dispatch.enqueued_at == "2026-01-01T00:00:01+00:00"
    assert whole.dispatch.workload_started_at == "2026-01-01T00:00:05+00:00"
    assert (whole.dispatch.worker, whole.dispatch.queue, whole.dispatch.retries) == ("b, a", "cpu", 2)


SPLIT = """
name = "test"
repeats = 1
[axes]
workers = [1, 2]
[workloads.w]
workload = "work_for_tests:work"
parameters = { do = "nothing" }
"""
MEETING = SPLIT.replace('"nothing"', '"meet", at = "HERE"')


def test_a_matrix_splits_the_work_over_as_many_real_tasks_as_workers_at_once(yard: Any) -> None:
    outcome = yard.run(MEETING.replace("HERE", str(yard.folder / "met")))
    assert (outcome.completed, outcome.failed) == (2, 0)
    alone = yard.record("b01-bare-new-machine-w-1")
    assert (alone.parameters["shard"], alone.parameters["shards"]) == (1, 1)
    whole = yard.record("b01-bare-new-machine-w-2")
    assert whole.status == "completed"
    assert whole.measurement.cpu_seconds > 0
    folder = yard.out.run("b01", "bare-new-machine-w-2")
    tasks = [json.loads((folder / "shards" / n / "task.json").read_text()) for n in ("1", "2")]
    assert [(t["parameters"]["shard"], t["parameters"]["shards"]) for t in tasks] == [(1, 2), (2, 2)]
    parts = [json.loads((folder / "shards" / n / "record.json").read_text()) for n in ("1", "2")]
    assert [p["status"] for p in parts] == ["completed", "completed"]
    assert yard.run(MEETING.replace("HERE", str(yard.folder / "met")), resume=True).kept == 2


def test_a_failing_part_is_a_failed_run_and_the_matrix_goes_on(yard: Any) -> None:
    outcome = yard.run(SPLIT.replace('"nothing"', '"raise"'))
    assert outcome.failed == 2
    assert yard.record("b01-bare-new-machine-w-2").failure.message.startswith("2 of 2 workers: ")


def test_only_what_can_be_split_may_have_workers(yard: Any) -> None:
    text = SPLIT.replace("work_for_tests:work", "simulate-firewall").replace('do = "nothing"', "")
    with pytest.raises(BadInputError, match=r"cannot be split over workers, expected one of detector-infer"):
        yard.plan(text)
    with pytest.raises(BadInputError, match=r"axes.workers holds 0, expected whole numbers"):
        yard.plan(SPLIT.replace("[1, 2]", "[0]"))
    with pytest.raises(BadInputError, match=r"parameters.shard is 1, expected nothing: the axis workers"):
        yard.plan(SPLIT.replace('do = "nothing"', "shard = 1"))
