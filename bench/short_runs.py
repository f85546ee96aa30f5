"""Whether a short run predicts a long one: two examples, each under two choices, short and long in the same blocks.

A study ran 20 epochs and 30,000 of 230,000 entries, and held that such runs "keep proportions". So each case has a
choice (small batches or large ones; half a core or one) and a length (2 of 20 epochs; 13 % of the pictures). Of each
length the ratio of wall times between the choices is taken within blocks, and of the short runs that of the steady
phases too. A prediction is right where it lies within 5 % of the long runs' ratio.

Half a core needs a cgroup that can be written; without one those cases are not measured.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from bench.result import Result, arguments

ROOT = Path(__file__).resolve().parent.parent
#: How near a prediction has to be.
NEAR = 1.05
SHORT, LONG = "short", "long"


@dataclass(frozen=True)
class Case:
    """One choice in one example."""

    name: str
    example: str
    workload: str
    #: What the scenario says of lengths and choices; the choice's axis comes last in it.
    axes: str
    #: The axis that is the choice, and its two values, the baseline first.
    choice: Tuple[str, str, str]
    #: What stays of the example's file: parameters, as (from, to).
    settings: Tuple[Tuple[str, str], ...] = ()


CORES = """
[hardware.half-core]
cores = 0.5

[hardware.one-core]
cores = 1
"""
EPOCHS = """
[choices.length.short]
parameters = { epochs = 2 }

[choices.length.long]
parameters = { epochs = 20 }
"""
PICTURES = """
[choices.length.short]
parameters = { pictures = 780 }

[choices.length.long]
parameters = { pictures = 6000 }
"""
FEWER = (("count = 3000", "count = 1000"),)
CASES = (
    Case("digits_batch", "cnn-digits", "train", EPOCHS, ("batch", "batch-16", "batch-128"), FEWER),
    Case("digits_cores", "cnn-digits", "train", EPOCHS + CORES, ("hardware", "half-core", "one-core"), FEWER),
    Case("captions_batch", "captioning", "caption", PICTURES, ("batch", "batch-1", "batch-128")),
    Case("captions_cores", "captioning", "caption", PICTURES + CORES, ("hardware", "half-core", "one-core")),
)
FIGURES = ("short_wall", "short_steady", "long_wall", "short_outside_share", "long_outside_share")


def main() -> None:
    """Run every case, then say which ratio of the short runs the long ones have."""
    options = arguments("short_runs", __doc__.splitlines()[0]).parse_args()
    names = [f"{case.name}_{name}" for case in CASES for name in FIGURES]
    result = Result("short_runs", [*names, "predicted_by_wall", "predicted_by_steady", "cases"])
    right: Dict[str, int] = {"short_wall": 0, "short_steady": 0}
    cases = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            blocks = 2 if options.quick else 6
            reason = measured(case, Path(folder) / case.name, blocks, result)
            if options.json is not None:
                result.write(options.json)  # what is ended later has what was measured
            if reason is not None:
                result.row(case=case.name, not_measured=reason)
                continue
            cases += 1
            long = result.figures[f"{case.name}_long_wall"]
            for name in right:
                short = result.figures[f"{case.name}_{name}"]
                if short and long and abs(math.log(short / long)) <= math.log(NEAR):
                    right[name] += 1
    result.figure("predicted_by_wall", right["short_wall"] if cases else None)
    result.figure("predicted_by_steady", right["short_steady"] if cases else None)
    result.figure("cases", cases)
    result.finish(options.json)


def measured(case: Case, folder: Path, blocks: int, result: Result) -> Optional[str]:
    """Run a case's matrix and set its figures; why it could not be measured, else ``None``."""
    shutil.copytree(ROOT / "examples" / case.example, folder)
    file, out = folder / "short-runs.toml", folder / "runs"
    file.write_text(scenario(case, blocks), encoding="utf-8")
    command = [sys.executable, "-m", "stackyard.cli.main", "scenario", "run", str(file), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return " ".join((done.stderr or done.stdout).split())[-300:] or f"exit status {done.returncode}"
    print(done.stdout, flush=True)
    taken(case, out, result)
    return None


def scenario(case: Case, blocks: int) -> str:
    """The example's scenario with the case's axes instead of its own."""
    text = (ROOT / "examples" / case.example / "scenario.toml").read_text(encoding="utf-8")
    for old, new in case.settings:
        text = text.replace(old, new)
    # of the example itself: what it prepares, and the one workload
    wanted = ("prepare.", f"workloads.{case.workload}]")
    tables = [part for part in text.split("\n[") if part.startswith(wanted)]
    axis, first, second = case.choice
    batches = "".join(
        f"\n[choices.batch.{value}]\nparameters = {{ batch = {value.rpartition('-')[2]} }}\n"
        for value in (first, second)
        if axis == "batch"
    )
    kept = "".join(f"\n[{table}" for table in tables)
    if case.example == "cnn-digits" and axis == "batch":
        kept = kept.replace('"--epochs", "{epochs}"', '"--epochs", "{epochs}", "--batch", "{batch}"')
        kept = kept.replace("parameters = { epochs = 4 }", "parameters = { epochs = 4, batch = 64 }")
    head = f'name = "short-runs"\nrepeats = {blocks}\n\n[axes]\nthreads = [1]\n'
    return (
        f'{head}{axis} = ["{first}", "{second}"]\nlength = ["{SHORT}", "{LONG}"]\n{case.axes}{batches}{kept}'
    )


def taken(case: Case, out: Path, result: Result) -> None:
    """Set a case's figures from its report."""
    from stackyard.reports import ReportOptions, analyse, load

    report = analyse(load([out]), ReportOptions())
    axis, first, second = case.choice
    for workload in report.workloads:
        cells = {(cell.axes["length"], cell.axes[axis]): cell for cell in workload.cells}
        slugs = {key: cell.slug for key, cell in cells.items()}
        for length in (SHORT, LONG):
            for found in workload.comparisons:
                ends = (slugs[length, first], slugs[length, second])
                if found.ratio is None or (found.reference, found.other) not in (ends, ends[::-1]):
                    continue
                name = found.metric.partition("_")[0]
                if f"{length}_{name}" not in FIGURES or found.metric not in (
                    "wall_seconds",
                    "steady_seconds",
                ):
                    continue
                turned = (found.reference, found.other) != ends
                ratio, low, high = found.ratio, found.low, found.high
                if turned:
                    ratio = 1 / ratio
                    low, high = (1 / high, 1 / low) if low and high else (None, None)
                interval = None if low is None or high is None else (low, high)
                result.figure(f"{case.name}_{length}_{name}", ratio, interval)
            shares = [
                1 - cell.metrics["steady_seconds"].median / cell.metrics["wall_seconds"].median
                for (at, _), cell in cells.items()
                if at == length and "steady_seconds" in cell.metrics
            ]
            if shares:
                result.figure(f"{case.name}_{length}_outside_share", max(shares))
        for (length, value), cell in cells.items():
            result.row(
                case=case.name,
                length=length,
                choice=value,
                runs=cell.completed,
                **{
                    key: cell.metrics[key].median
                    for key in ("wall_seconds", "steady_seconds")
                    if key in cell.metrics
                },
            )


if __name__ == "__main__":
    main()
