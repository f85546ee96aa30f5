"""Studies made of tasks: whatever strangers' records and documents hold, there is a report or a sentence."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stackyard import reports
from stackyard.comparing import metrics, study
from stackyard.comparing.grouping import Grouping
from stackyard.comparing.reading import Found
from stackyard.comparing.selection import Selection
from stackyard.comparing.task import Task, task_of
from stackyard.errors import BadInputError
from stackyard.reports import Report, ReportOptions, analyse
from stackyard_task.records import RecordError, RunRecord, from_json, to_json
from tests.counts import examples
from tests.stackyard.comparing.lab import measured

NUMBERS = [None, 0, -1, 1, 5.5, -1e99, 1e99, 1e308, -1e308, 5e-324, 2**62, -(2**62)]
TEXTS = ["", "x", "a/b", "<b>", "=1", "2026-11-30T12:00:00+00:00", "no date", "\x1b[31m", "-", "9" * 30]


def spoilt(value: Any, chance: float, generator: random.Random) -> Any:
    """A JSON value with some of its leaves replaced by odd ones."""
    if isinstance(value, dict):
        return {key: spoilt(inner, chance, generator) for key, inner in value.items()}
    if isinstance(value, list):
        return [spoilt(inner, chance, generator) for inner in value]
    if generator.random() > chance or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return generator.choice([number for number in NUMBERS if isinstance(number, int)])
    return generator.choice(NUMBERS if isinstance(value, float) else TEXTS) if value is not None else None


def task(number: int, generator: random.Random) -> Task:
    found = task_of(
        {
            "id": f"{number:032x}",
            "status": generator.choice([*["completed"] * 8, "failed", "stopped", "in_progress"]),
            "status_reason": generator.choice(TEXTS),
            "name": generator.choice(TEXTS),
            "started": generator.choice(TEXTS),
            "completed": generator.choice(TEXTS),
            "tags": [generator.choice(TEXTS)],
            "hyperparams": {
                "Args": {
                    "lr": {"value": generator.choice(["1", "2", "nan", "", "1e400"])},
                    "seed": {"value": f"{number}"},
                }
            },
            "last_metrics": {"a": {"b": {"metric": "l", "variant": "v", "value": generator.choice(NUMBERS)}}},
        },
        0,
    )
    plain = to_json(measured(3.0))
    plain["results"] = {"f1": 0.5, "steps_per_second": 3.0, "text": "a", "deep": {"one": 1.0}}
    try:
        found.record = from_json(RunRecord, spoilt(plain, generator.choice([0, 0.02, 0.2, 0.5]), generator))
    except RecordError:
        found.record = None
    return found


def report(tasks: list[Task], *keys: str, asked: tuple[str, ...] = (), pair_by: str | None = None) -> Report:
    made, options = study.study(
        Found(Selection("P"), tasks, ["server"]),
        Grouping(keys),
        [metrics.wanted(name) for name in asked],
        ReportOptions(draws=200, permutations=49),
        lambda: [],
        pair_by,
    )
    return analyse(made, options)


@pytest.mark.parametrize("seed", range(examples(40)))
def test_there_is_a_report_or_a_sentence(seed: int, tmp_path: Path) -> None:
    generator = random.Random(seed)
    tasks = [task(number, generator) for number in range(generator.choice([2, 7, 16]))]
    asked = generator.choice([(), ("l/v",), ("l/v:less", "wall_seconds"), ("server_seconds", "f1:more")])
    key = generator.choice(["Args/lr", "tag", "name", "machine,Args/lr"])
    try:
        made = report(tasks, key, asked=asked, pair_by=generator.choice([None, "Args/seed"]))
    except BadInputError:
        return
    reports.write(made, tmp_path)
    reports.print_table(made, Console(file=io.StringIO(), width=110))


def test_a_task_that_failed_has_its_reason_and_no_figure() -> None:
    tasks = [task(number, random.Random(0)) for number in range(3)]
    for each, status in zip(tasks, ("completed", "failed", "stopped"), strict=True):
        each.status, each.record, each.reason = status, measured(), "out_of_memory: it needed more"
    made = report(tasks, "Args/lr")
    assert made.counts["completed"] == 1
    assert [(failed.kind, failed.message) for failed in made.failed] == [
        ("out_of_memory", "it needed more"),
        ("interrupted", "the task was aborted (out_of_memory: it needed more)"),
    ]


def test_the_baseline_is_a_group_that_says_its_key_and_has_the_foremost_metric() -> None:
    tasks = [
        task_of(
            {
                "id": f"{number:032x}",
                "status": "completed",
                "execution": {"queue": {"name": queue} if queue else None},
                "last_metrics": {"a": {"b": {"metric": "loss", "variant": "val", "value": value}}},
            },
            0,
        )
        for number, (queue, value) in enumerate([(None, 1.0), ("a", None), ("z", 2.0), ("z", 2.0)])
    ]

    def baseline(chosen: list[Task], options: ReportOptions | None = None) -> str | None:
        made, options = study.study(
            Found(Selection("P"), chosen),
            Grouping(["queue"]),
            metrics.read(["loss/val"]),
            options or ReportOptions(draws=100),
            lambda: [],
        )
        workload = analyse(made, options).workloads[0]
        return next((cell.label for cell in workload.cells if cell.slug == workload.baseline), None)

    assert baseline(tasks) == "z"
    assert baseline(tasks[:2]) == "not set", "the other has no value to compare with"
    assert baseline(tasks, ReportOptions(draws=100, baseline={"queue": "not set"})) == "not set"
