"""The tables of docs/studies/stages.md: what each stage costs on each table and each size of machine."""

from __future__ import annotations

import statistics as st
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.study.pages import Rows, about_run, markdown
from stackyard.reports import wording

STAGES = ("clean", "preprocess", "search", "evaluate")
#: What the study reports of each stage over all its tables, seconds: (least, most) over its nine sizes of machine.
STUDY: dict[str, tuple[str, str]] = {
    "clean": ("0.096 (VM2)", "0.162 (VM5)"),
    "preprocess": ("4.618 (VM3)", "8.128 (VM5)"),
    "search": ("184.36 (VM8)", "734.25 (VM1)"),
    "evaluate": ("0.231 (VM7)", "0.490 (VM6)"),
}
#: What a stage itself takes where it is shorter than a second, from its repeats within one run.
REPEATED = ("stage_seconds_min", "stage_seconds_median", "stage_cpu_seconds_median")


def tables(report: Mapping[str, Any]) -> dict[str, str]:
    """Name of each table -> its Markdown."""
    stages = {
        stage: [w for w in report["workloads"] if w["name"].partition("-")[0] == stage] for stage in STAGES
    }
    found = {"run": about_run(report), "compared": _compared(stages), "repeated": _repeated(stages)}
    found["hardware"] = _by_hardware(stages)
    found["memory"] = _memory(stages)
    found["shares"] = _shares(stages)
    found["quality"] = _quality(stages["evaluate"])
    return found


def _own(cell: Mapping[str, Any], kind: str = "") -> float | None:
    """Seconds that the stage itself takes: the median of its repeats, where it was repeated within a run.

    Args:
        cell: of a report's JSON.
        kind: "" or "cpu_": then of CPU; where a stage was not repeated, of its whole run.
    """
    whole = "cpu_seconds" if kind else "steady_seconds"
    for held, name in ((cell["results"], f"stage_{kind}seconds_median"), (cell["metrics"], whole)):
        summary = held.get(name)
        if summary is not None and summary["median"] is not None:
            return float(summary["median"])
    return None


def _seconds(workloads: Sequence[Mapping[str, Any]], kind: str = "") -> dict[str, dict[str, float]]:
    """Hardware -> table -> seconds of the stage itself; ``kind``: see ``_own``."""
    found: dict[str, dict[str, float]] = {}
    for workload in workloads:
        for cell in workload["cells"]:
            seconds = _own(cell, kind)
            if seconds is not None:
                table = workload["name"].partition("-")[2]
                found.setdefault(_hardware_of(cell), {})[table] = seconds
    return found


def _hardware_of(cell: Mapping[str, Any]) -> str:
    return str(cell["axes"].get("hardware", "this machine"))


def _compared(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Mean over the tables, as the study took it; the study's are the least and most over its machines."""
    rows: Rows = []
    for stage, workloads in stages.items():
        cpu = _seconds(workloads, "cpu_")
        for hardware, held in _seconds(workloads).items():
            means = [f"{st.mean(own.values()):.3g} s" for own in (held, cpu[hardware])]
            rows.append([stage, *STUDY[stage], hardware, str(len(held)), *means])
    header = ["stage", "study: least (s)", "study: most (s)", "hardware here", "tables"]
    return markdown([*header, "here: mean of the stage itself", "its CPU time"], rows)


def _repeated(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows: Rows = []
    for workloads in stages.values():
        for workload in workloads:
            for cell in workload["cells"]:
                own = [cell["results"].get(name) for name in REPEATED]
                if any(own):
                    said = [_milliseconds(result) for result in own]
                    rows.append([workload["name"], _hardware_of(cell), *said])
    header = ["stage and table", "hardware", "least (ms)", "median (ms)", "CPU, median (ms)"]
    return markdown(header, rows)


def _milliseconds(result: Mapping[str, Any] | None) -> str:
    value = None if result is None else result.get("median")
    return "–" if value is None else f"{1000 * value:.3g}"


def _by_hardware(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Seconds of each stage itself on each size of machine, and its CPU time where that is far from it."""
    return _grid(stages, lambda cell: _wall_and_cpu(_own(cell), _own(cell, "cpu_")))


def _memory(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Peak RAM of each stage's run on each size of machine."""

    def said(cell: Mapping[str, Any]) -> str:
        summary = cell["metrics"].get("peak_rss_bytes")
        return "–" if summary is None else wording.quantity(summary["median"], "B")

    return _grid(stages, said)


def _grid(stages: Mapping[str, Sequence[Mapping[str, Any]]], said: Callable[[Mapping[str, Any]], str]) -> str:
    cells = [cell for workloads in stages.values() for w in workloads for cell in w["cells"]]
    sizes = list(dict.fromkeys(_hardware_of(cell) for cell in cells))
    rows: Rows = []
    for workloads in stages.values():
        for workload in workloads:
            held = {_hardware_of(cell): said(cell) for cell in workload["cells"] if cell["completed"]}
            if held:
                rows.append([workload["name"], *(held.get(size, "–") for size in sizes)])
    return markdown(["stage and table", *sizes], rows)


def _wall_and_cpu(wall: float | None, cpu: float | None) -> str:
    """ "9.77 s (10.9 s CPU)"; CPU time is told where it is more than a tenth off."""
    if wall is None:
        return "–"
    told = wording.quantity(wall, "s")
    return (
        told if cpu is None or abs(cpu - wall) <= 0.1 * wall else f"{told} ({wording.quantity(cpu, 's')} CPU)"
    )


def _percent(share: float) -> str:
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _quality(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """What the evaluated model is worth: the same on every size of machine, or the range is told."""
    rows: Rows = []
    for workload in evaluations:
        held = [cell["results"] for cell in workload["cells"] if "mcc" in cell["results"]]
        values = [value for own in held for value in (own["mcc"]["minimum"], own["mcc"]["maximum"])]
        if values:
            texts = sorted({text for own in held for text in own["chosen"]["texts"]})
            span = f"{min(values):.3f}" + (f" to {max(values):.3f}" if max(values) > min(values) else "")
            rows.append([workload["name"].partition("-")[2], ", ".join(texts), span])
    return markdown(["table", "model chosen in preparation", "MCC on the test split"], rows)


def _shares(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Each stage's part of a table's whole time."""
    seconds = {stage: _seconds(workloads) for stage, workloads in stages.items()}
    rows: Rows = []
    for hardware in dict.fromkeys(h for held in seconds.values() for h in held):
        for table in dict.fromkeys(t for held in seconds.values() for t in held.get(hardware, {})):
            own = [held.get(hardware, {}).get(table) for held in seconds.values()]
            known = [value for value in own if value is not None]
            if len(known) == len(own):  # without all of them no share is known
                shares = [_percent(value / sum(known)) for value in known]
                rows.append([table, hardware, f"{sum(known):.3g} s", *shares])
    return markdown(["table", "hardware", "all stages", *STAGES], rows)
