"""The tables of docs/studies/stages.md: what each stage costs on each table and each size of machine."""

from __future__ import annotations

import statistics as st
from collections.abc import Mapping, Sequence
from typing import Any

from bench.study.pages import Rows, about_run, cells_table, markdown
from stackyard.reports import wording

STAGES = ("clean", "preprocess", "search", "evaluate")
CELLS = ("wall_seconds", "steady_seconds", "cpu_seconds", "peak_rss_bytes")
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
    metrics = {metric["key"]: metric for metric in report["metrics"]}
    stages = {
        stage: [w for w in report["workloads"] if w["name"].partition("-")[0] == stage] for stage in STAGES
    }
    found = {"run": about_run(report), "compared": _compared(stages), "repeated": _repeated(stages)}
    found["hardware"] = _hardware(stages)
    found["shares"] = _shares(stages)
    found["quality"] = _quality(stages["evaluate"])
    for stage, workloads in stages.items():
        parts = [f"**{w['name']}**\n\n{cells_table(w, metrics, CELLS)}" for w in workloads if w["cells"]]
        found[f"{stage}-cells"] = "\n\n".join(parts) or "Not measured."
    return found


def _own(cell: Mapping[str, Any]) -> float | None:
    """Seconds that the stage itself takes: the median of its repeats, where it was repeated within a run."""
    for held, name in ((cell["results"], "stage_seconds_median"), (cell["metrics"], "steady_seconds")):
        summary = held.get(name)
        if summary is not None and summary["median"] is not None:
            return float(summary["median"])
    return None


def _seconds(workloads: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Hardware -> table -> seconds of the stage itself."""
    found: dict[str, dict[str, float]] = {}
    for workload in workloads:
        for cell in workload["cells"]:
            seconds = _own(cell)
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
        for hardware, held in _seconds(workloads).items():
            own = f"{st.mean(held.values()):.3g} s ({len(held)} tables)"
            rows.append([stage, *STUDY[stage], hardware, own])
    return markdown(
        ["stage", "study: least", "study: most", "hardware here", "here: mean of the stage itself"], rows
    )


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


def _hardware(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Each comparison of two sizes of machine that the report makes."""
    rows: Rows = []
    for workloads in stages.values():
        for workload in workloads:
            axes = {cell["slug"]: cell["axes"] for cell in workload["cells"]}
            for found in workload["comparisons"]:
                if found["axis"] != "hardware" or found["metric"] not in ("steady_seconds", "cpu_seconds"):
                    continue
                ends = [axes[found[end]]["hardware"] for end in ("other", "reference")]
                span = wording.interval(found["low"], found["high"])
                ratio = f"{wording.times(found['ratio'])} {span}".strip()
                rows.append([workload["name"], found["metric"], " / ".join(ends), ratio, found["verdict"]])
    return markdown(["stage and table", "metric", "hardware", "ratio", "verdict"], rows)


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
            own = {stage: held.get(hardware, {}).get(table) for stage, held in seconds.items()}
            whole = sum(value for value in own.values() if value is not None)
            shares = ["–" if value is None else _percent(value / whole) for value in own.values()]
            rows.append([table, hardware, f"{whole:.3g} s", *shares])
    return markdown(["table", "hardware", "all stages", *STAGES], rows)
