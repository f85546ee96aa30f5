"""Studies that nobody ran, for the tests of their report."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stackyard.tuning.folder import StudyFile, StudyFolder, name_of
from stackyard.tuning.report import settings
from stackyard.tuning.report.analysis import analyse
from stackyard.tuning.report.report import Found, StudyReport
from stackyard.tuning.trial import Interval, Point, Reason, Trial
from stackyard_task import records

SPACE = [
    {"kind": "range", "name": "lr", "low": 0.001, "high": 1.0, "whole": False, "log": True, "step": None},
    {"kind": "choice", "name": "batch", "values": [8, 32, 128]},
    {"kind": "choice", "name": "optimiser", "values": ["sgd", "adam"]},
]


def study(space: Sequence[Any] = SPACE, state: str = "finished", **objectives: str) -> StudyFile:
    """What study.json holds; without objectives, accuracy is to be great."""
    return StudyFile(
        "small",
        "Which learning rate?",
        "small.toml",
        "2026-12-01T01:27:46.881+00:00",
        {
            "space": list(space),
            "objectives": objectives or {"accuracy": "maximise"},
            "limits": {"ram_bytes": 500_000_000, "slowing": None, "cpu_seconds": None},
            "budget": {"trials": 9, "cpu_seconds": 7200.0, "wall_seconds": None},
            "search": {
                "sampler": "tpe",
                "pruner": "median",
                "seed": 7,
                "pruner_settings": {"warmup": 3.0},
                "skip": True,
                "check_share": 0.1,
            },
            "packing": {"at_once": 2, "cores": 1.0, "memory_bytes": None, "total_cores": None},
        },
        wall_seconds=100.0,
        state=state,
        message="the budget of 9 trials is used up",
    )


def completed(number: int, accuracy: float, cpu: float = 10.0, **more: Any) -> Trial:
    """A trial that came to its end."""
    return Trial(
        number,
        {"lr": 0.01 * (number + 1), "batch": 32, "optimiser": "adam"},
        "completed",
        {"accuracy": accuracy},
        [Point(cpu * i / 4, cpu * i / 4, i, accuracy * i / 4) for i in range(1, 5)],
        {"cpu_seconds": cpu, "wall_seconds": cpu * 1.1, "ram_bytes": 2e8},
        overhead_seconds=0.2,
        finished_at=f"2026-12-01T02:{number // 60 % 60:02d}:{number % 60:02d}.000+00:00",
        **more,
    )


def mixed() -> list[Trial]:
    """Two that completed, one stopped by a limit, one by the pruner, one skipped, one failed."""
    stopped = completed(2, 0.3, 4.0)
    stopped.state = "stopped"
    stopped.reason = Reason("limit", "its peak RAM was 512 MB, 500 MB allowed", "ram_bytes", 5e8, 5.12e8)
    stopped.predicted = {"cpu_seconds": Interval(8.0, 7.0, 9.0)}
    stopped.predicted_early = {"cpu_seconds": Interval(14.0, 12.0, 16.0)}
    pruned = completed(3, 0.2, 2.0)
    pruned.state, pruned.reason = "stopped", Reason("pruner", "below the median of earlier trials")
    skipped = Trial(4, {"lr": 1.0, "batch": 8, "optimiser": "sgd"}, "skipped")
    skipped.reason = Reason("predicted", "skipped: its RAM would be 620 MB", "ram_bytes", 5e8, 6.2e8)
    skipped.predicted = {"cpu_seconds": Interval(20.0, 18.0, 22.0), "ram_bytes": Interval(6.2e8, 6e8, 6.4e8)}
    failed = completed(5, 0.1, 1.0)
    failed.state, failed.reason, failed.values = "failed", Reason("code", "ValueError: no such thing"), {}
    good = completed(1, 0.9, predicted={"cpu_seconds": Interval(11.0, 9.0, 12.0)})
    return [
        completed(0, 0.8, predicted={"cpu_seconds": Interval(5.0, 4.0, 6.0)}),
        good,
        stopped,
        pruned,
        skipped,
        failed,
    ]


def under_way() -> list[Trial]:
    """One that completed, two that run."""
    return [completed(0, 0.5, 10.0), *(Trial(n, completed(n, 0.5).parameters, "running") for n in (1, 2))]


def tell_progress(place: StudyFolder) -> None:
    """Have the run of trial t0002 tell how far it is."""
    run = place.path / "runs" / name_of(1)
    run.mkdir()
    point = records.Point(at_seconds=1.0, step=3, value=0.75)
    told = records.Progress(done=1.0, total=4.0, cpu_seconds=2.0, metrics={"accuracy": point})
    records.write_json(told, run / records.PROGRESS_FILE)


def many(count: int) -> list[Trial]:
    """So many trials, some of each kind."""
    dice = random.Random(1)
    found = []
    for number in range(count):
        trial = completed(number, dice.random(), 5 + 10 * dice.random())
        trial.used["ram_bytes"] = 1e8 + 4e8 * dice.random()
        if number % 7 == 3:
            trial.state, trial.reason = "stopped", Reason("limit", "too much RAM", "ram_bytes", 5e8, 5.1e8)
        trial.folder = f"runs/{name_of(number)}"
        found.append(trial)
    return found


def report(trials: Sequence[Trial], file: StudyFile | None = None, **more: Any) -> StudyReport:
    """The report of some trials."""
    shown = file or study()
    return analyse(Found(shown, settings.read(shown), trials, **more))


def put(folder: Path, trials: Sequence[Trial], file: StudyFile | None = None) -> StudyFolder:
    """The same as a folder."""
    place = StudyFolder(folder)
    (folder / "runs").mkdir(parents=True)
    place.write_study(file or study())
    for trial in trials:
        place.write(trial)
    return place
