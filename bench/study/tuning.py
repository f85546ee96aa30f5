"""The tables of docs/studies/tuning.md: what batch size and learning rate change, and what limits would have saved."""

from __future__ import annotations

import json
import random
import statistics as st
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.study.pages import Rows, about_run, markdown
from stackyard.reports import wording
from stackyard.reports.statistics import paired_ratio

BATCH, RATE = "batch_size", "learning_rate"
#: Metrics of a run: what they are called, and where they lie.
SYSTEM: dict[str, str] = {
    "mean_step_seconds": "mean step time",
    "peak_rss_minus_shared_bytes": "peak memory (RSS - shared)",
    "cpu_percent": "CPU %",
}
#: Courses of a run that have a level.
COURSES = {
    "mean_step_seconds": "step time",
    "rss_minus_shared_bytes": "memory",
    "cpu_percent": "CPU %",
}
#: The last third of a course is level with its first third where it is within so much of it.
LEVEL = 0.1
#: Quantiles of the settings at which a limit is tried.
LIMITS = (0.5, 0.75, 0.9)
#: How near a workload's best score counts as reached.
_NEAR = 0.02
_DRAWS = 2000


@dataclass(frozen=True)
class Run:
    """A completed run."""

    workload: str
    batch: int
    rate: float
    block: int
    cpu_seconds: float
    #: What it reported at its end.
    results: Mapping[str, Any]
    #: Metric -> points of [step, value, seconds, CPU seconds].
    courses: Mapping[str, Sequence[Sequence[float]]]
    alarms: int

    @property
    def score(self) -> float | None:
        """Accuracy, or the root mean squared error with its sign turned round; ``None``: it diverged."""
        if "accuracy" in self.results:
            return float(self.results["accuracy"])
        return -float(self.results["rmse"]) if "rmse" in self.results else None


def tables(report: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Name of each table -> its Markdown.

    Args:
        report: the report's JSON.
        folder: of the run, with its records.
    """
    runs = _runs(folder)
    by_workload = {name: [r for r in runs if r.workload == name] for name in dict.fromkeys(_names(report))}
    found = {
        "run": about_run(report),
        "level": _level(by_workload),
        "batch": _moved(by_workload, BATCH),
        "rate": _moved(by_workload, RATE),
        "shares": _shares(report),
        "reached": _reached(by_workload),
        "saved": _saved(by_workload),
    }
    for name, own in by_workload.items():
        found[f"quality-{name}"] = _quality(own)
    return found


def _names(report: Mapping[str, Any]) -> list[str]:
    return [workload["name"] for workload in report["workloads"]]


def _runs(folder: Path) -> list[Run]:
    found = []
    for file in sorted(folder.glob("runs/*/record.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["status"] != "completed" or record["warm_up"]:
            continue
        cell = record["cell"]
        found.append(
            Run(
                cell["workload"],
                int(float(cell[BATCH])),
                float(cell[RATE]),
                record["block"],
                record["measurement"]["cpu_seconds"],
                record["results"],
                json.loads((file.parent / "series.json").read_text(encoding="utf-8")),
                len(record["alarms"]),
            )
        )
    return found


def _level(by_workload: Mapping[str, Sequence[Run]]) -> str:
    """Late over early: median of the last third of a course over that of its first third."""
    rows: Rows = []
    for name, runs in by_workload.items():
        row = [name, str(len(runs))]
        for key in COURSES:
            ratios = sorted(r for r in (_late_over_early(run.courses.get(key, ())) for run in runs) if r)
            if ratios:
                within = sum(abs(r - 1) <= LEVEL for r in ratios) / len(ratios)
                span = wording.interval(_at(ratios, 0.05), _at(ratios, 0.95))
                row += [f"{wording.times(st.median(ratios))} {span}", f"{100 * within:.0f} %"]
            else:
                row += ["–", "–"]
        rows.append([*row, str(sum(run.alarms > 0 for run in runs))])
    header = ["workload", "runs"]
    for called in COURSES.values():
        header += [f"{called}, late / early", "level"]
    return markdown([*header, "runs with an alarm"], rows)


def _late_over_early(points: Sequence[Sequence[float]]) -> float | None:
    values = [point[1] for point in points]
    third = len(values) // 3
    if third == 0 or st.median(values[:third]) <= 0:
        return None
    return st.median(values[-third:]) / st.median(values[:third])


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _moved(by_workload: Mapping[str, Sequence[Run]], axis: str) -> str:
    """The largest value of an axis over the least, paired within block and value of the other axis."""
    rows: Rows = []
    metrics: dict[str, Callable[[Run], float | None]] = {
        called: lambda run, key=key: run.results.get(key)  # type: ignore[misc]
        for key, called in SYSTEM.items()
    }
    metrics["CPU time"] = lambda run: run.cpu_seconds
    metrics["score"] = lambda run: None if run.score is None else abs(run.score)
    for name, runs in by_workload.items():
        ends = sorted({_on(run, axis) for run in runs})
        if len(ends) < 2:
            continue
        values = {(_on(run, axis), _other(run, axis), run.block): run for run in runs}
        for called, of in metrics.items():
            pairs = [
                (of(run), of(values[ends[-1], other, block]))
                for (on, other, block), run in values.items()
                if on == ends[0] and (ends[-1], other, block) in values
            ]
            both = [(a, b) for a, b in pairs if a and b and a > 0 and b > 0]
            ratio = paired_ratio([a for a, _ in both], [b for _, b in both])
            if called == "score":
                called = "accuracy" if "accuracy" in runs[0].results else "RMSE"
            span = wording.interval(ratio.low, ratio.high)
            rows.append(
                [name, called, str(ratio.n), f"{wording.times(ratio.ratio)} {span}".strip(), ratio.verdict]
            )
    return markdown(["workload", "metric", "pairs", "largest / least", "verdict"], rows)


def _on(run: Run, axis: str) -> float:
    return run.batch if axis == BATCH else run.rate


def _other(run: Run, axis: str) -> float:
    return run.rate if axis == BATCH else run.batch


def _shares(report: Mapping[str, Any]) -> str:
    """What explains the variance of each measured metric: the report's own analysis."""
    labels = {metric["key"]: metric["label"] for metric in report["metrics"]}
    rows: Rows = []
    shown = ("step_p50_seconds", "cpu_percent_of_core", "peak_rss_minus_shared_bytes", "cpu_seconds")
    for workload in report["workloads"]:
        for factor in workload["factors"]:
            if factor["metric"] not in shown:
                continue
            of = {tuple(sorted(e["factors"])): e["omega_squared"] for e in factor["effects"]}
            values = (
                *(of.get((BATCH,)), of.get((RATE,)), of.get((BATCH, RATE))),
                *(factor["block_share"], factor["residual_share"]),
            )
            said = ["–" if value is None else f"{100 * value:.0f} %" for value in values]
            rows.append([workload["name"], labels[factor["metric"]], *said])
    return markdown(
        ["workload", "metric", "batch size", "learning rate", "both together", "blocks", "rest"], rows
    )


def _quality(runs: Sequence[Run]) -> str:
    """Median score of each setting, and the range of its runs where they differ."""
    rates = sorted({run.rate for run in runs}, reverse=True)
    rows: Rows = []
    for batch in sorted({run.batch for run in runs}):
        row = [str(batch)]
        for rate in rates:
            scores = [
                abs(r.score) for r in runs if (r.batch, r.rate) == (batch, rate) and r.score is not None
            ]
            diverged = sum((r.batch, r.rate) == (batch, rate) and r.score is None for r in runs)
            said = "–" if not scores else f"{st.median(scores):.4g}"
            if scores and max(scores) > min(scores):
                said += f" ({min(scores):.4g} to {max(scores):.4g})"
            row.append(said + (f", {diverged} diverged" if diverged else ""))
        rows.append(row)
    return markdown(["batch size", *(f"rate {rate:g}" for rate in rates)], rows)


def _reached(by_workload: Mapping[str, Sequence[Run]]) -> str:
    """Steps and CPU seconds until a run is near the best score of its workload."""
    rows: Rows = []
    for name, runs in by_workload.items():
        key = "accuracy" if any("accuracy" in run.results for run in runs) else "rmse"
        sign = 1.0 if key == "accuracy" else -1.0
        ends = [sign * point[1] for run in runs for point in run.courses.get(key, ())]
        if not ends:
            continue
        goal = max(ends) - _NEAR * abs(max(ends))
        for batch in sorted({run.batch for run in runs}):
            own = [run for run in runs if run.batch == batch]
            firsts = [
                next(point for point in run.courses[key] if sign * point[1] >= goal)
                for run in own
                if any(sign * point[1] >= goal for point in run.courses.get(key, ()))
            ]
            steps = f"{st.median(p[0] for p in firsts):g}" if firsts else "–"
            cost = f"{st.median(p[3] for p in firsts):.2f}" if firsts else "–"
            rows.append([name, f"{sign * goal:.4g}", str(batch), f"{len(firsts)} of {len(own)}", steps, cost])
    header = [
        "workload",
        "score to reach",
        "batch size",
        "runs that reach it",
        "steps (median)",
        "CPU s (median)",
    ]
    return markdown(header, rows)


def _saved(by_workload: Mapping[str, Sequence[Run]]) -> str:
    """What limits would have saved: a run is ended at its first evaluation beyond the limit.

    Beside it the simplest baseline: as many settings left out at random, before they begin.
    """
    rows: Rows = []
    for name, runs in by_workload.items():
        scores = [run.score for run in runs if run.score is not None]
        if not scores:
            continue
        best = max(scores)
        for key in ("rss_minus_shared_bytes", "mean_step_seconds"):
            most = [max((p[1] for p in run.courses.get(key, ())), default=0.0) for run in runs]
            for share in LIMITS:
                limit = _at(sorted(most), share)
                kept = [run for run, value in zip(runs, most, strict=True) if value <= limit]
                if len(kept) == len(runs):
                    continue
                used = sum(_until(run, key, limit) for run in runs)
                whole = sum(run.cpu_seconds for run in runs)
                left = max((run.score for run in kept if run.score is not None), default=None)
                rows.append(
                    [
                        *(
                            name,
                            COURSES[key],
                            f"{100 * share:.0f} %",
                            f"{len(runs) - len(kept)} of {len(runs)}",
                        ),
                        f"{100 * (1 - used / whole):.0f} %",
                        "–" if left is None else f"{best - left:.4g}",
                        f"{100 * (1 - len(kept) / len(runs)):.0f} %",
                        f"{_lost_at_random(runs, len(kept), best):.4g}",
                    ]
                )
    header = ["workload", "limit on", "quantile", "runs ended", "CPU time saved", "best score lost"]
    return markdown([*header, "at random: CPU time saved", "at random: best score lost"], rows)


def _until(run: Run, key: str, limit: float) -> float:
    """CPU seconds that a run has used when it is found to be beyond a limit; all of them where it is not."""
    return next((point[3] for point in run.courses.get(key, ()) if point[1] > limit), run.cpu_seconds)


def _lost_at_random(runs: Sequence[Run], count: int, best: float) -> float:
    """How much worse the best of so many runs is that are drawn at random, in the mean."""
    dice = random.Random(0)
    scores = [run.score for run in runs if run.score is not None]
    lost = [best - max(dice.sample(scores, min(count, len(scores)))) for _ in range(_DRAWS)]
    return st.mean(lost)
