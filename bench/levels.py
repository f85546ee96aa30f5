"""How often the alarm of a run is false, and which shifts it finds, on the scatter of real steady phases.

The phases are those of small trainings that are run here, and of the run folders below ``--runs``. Each whole phase is
judged as it is. Then series of a minute at one level are made from moving blocks of five looks of one phase each
(H. R. Kuensch, The jackknife and the bootstrap for general stationary observations, 1989), as they are and shifted in
their second half.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.result import Result, arguments
from stackyard_task import levels
from stackyard_task.commands import Command
from stackyard_task.levels import CPU, RAM, Kind
from stackyard_task.records import TASK_FILE, TIMELINE_FILE, TaskSpec, write_json
from stackyard_task.run import supervise
from stackyard_task.workloads import Workload

SOURCE = Path(__file__).resolve().parent.parent / "src"
#: Looks in a minute; a phase shorter than so many gives no scatter.
MINUTE, SHORTEST = 600, 40
SHIFTS = (1.3, 2.0)
#: A training of one layer, in steps of some milliseconds, with an evaluation now and then.
TRAINING = f"""
import random, sys, time
sys.path.insert(0, {str(SOURCE)!r})
from stackyard_task import report
dice = random.Random(int(sys.argv[1]))
weights = [0.0] * 50
report.phase("steady")
until, number = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < until:
    began = time.monotonic()
    rows = [[dice.gauss(0, 1) for _ in weights] for _ in range(64 << int(sys.argv[1]) % 4)]
    for row in rows:
        error = sum(w * x for w, x in zip(weights, row)) - sum(row)
        weights = [w - 0.001 * error * x for w, x in zip(weights, row)]
    report.step(time.monotonic() - began)
    number += 1
    if number % 50 == 0:
        time.sleep(0.05)
report.phase("finish")
"""
FIGURES = (
    "phases",
    "phases_with_alarm",
    *(f"{kind}_false_percent" for kind in ("ram", "cpu")),
    *(f"{kind}_found_{shift:g}_percent" for kind in ("ram", "cpu") for shift in SHIFTS),
)


def main() -> None:
    """Run it."""
    parser = arguments("levels", __doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="run folders that are there already")
    options = parser.parse_args()
    result = Result("levels", FIGURES)
    courses = list(_own(2 if options.quick else 8, 15 if options.quick else 30))
    if options.runs is not None:
        courses += [json.loads(path.read_text()) for path in sorted(options.runs.rglob(TIMELINE_FILE))]
    spans = [levels.steady(course.get("phases") or [], None, []) for course in courses]
    judged = [course for course, (begin, _) in zip(courses, spans, strict=True) if begin is not None]
    alarms = [levels.alarms(course, [], None) for course in judged]
    result.figure("phases", len(judged))
    result.figure("phases_with_alarm", sum(map(bool, alarms)))
    for found in alarms:
        for alarm in found:
            result.row(alarm=alarm.message)
    dice, draws = random.Random(1), 300 if options.quick else 5000
    for name, kind in (("ram", RAM), ("cpu", CPU)):
        phases = [
            values for values in (_within(kind, course) for course in judged) if len(values) >= SHORTEST
        ]
        if not phases:
            continue
        result.row(metric=kind.name, phases_with_scatter=len(phases), minutes=draws)
        result.figure(f"{name}_false_percent", 100 * _share(kind, phases, dice, draws, 1.0))
        for shift in SHIFTS:
            result.figure(
                f"{name}_found_{shift:g}_percent", 100 * _share(kind, phases, dice, draws // 10, shift)
            )
    result.finish(options.json)


def _own(runs: int, seconds: int) -> Iterator[dict[str, Any]]:
    """The timelines of trainings that are run here."""
    for number in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            command = Command((sys.executable, "-c", TRAINING, str(number), str(seconds)), folder=folder)
            spec = TaskSpec(str(number), "training", declared=Workload("training", "", "", command=command))
            write_json(spec, Path(folder) / TASK_FILE)
            supervise(Path(folder), python=sys.executable)
            yield json.loads((Path(folder) / TIMELINE_FILE).read_text())


def _within(kind: Kind, course: dict[str, Any]) -> list[float]:
    begin, end = levels.steady(course.get("phases") or [], None, [])
    points = zip(course["t_seconds"], course[kind.name], strict=True)
    return [v for t, v in points if v is not None and t >= (begin or 0) and (end is None or t <= end)]


def _share(kind: Kind, phases: Sequence[list[float]], dice: random.Random, draws: int, shift: float) -> float:
    """The share of minutes that raise an alarm."""
    raised = 0
    for _ in range(draws):
        values, made = dice.choice(phases), []
        while len(made) < MINUTE:
            at = dice.randrange(len(values) - levels.WINDOW_POINTS + 1)
            made += values[at : at + levels.WINDOW_POINTS]
        series = [(n / 10, v * (shift if n >= MINUTE // 2 else 1)) for n, v in enumerate(made)]
        raised += levels.left(kind, levels.windows(series)) is not None
    return raised / draws


if __name__ == "__main__":
    main()
