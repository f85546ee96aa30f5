"""The tables of docs/studies/four-scenarios.md: deployment and PyTorch generation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.study.pages import Rows, about_run, cells_table, markdown
from stackyard.reports import wording

OLD = "torch-1.10.2-cu102"
#: What the study reports: workload, metric, (axis, from, to), fixed value of the other axis, its figure.
#: "new" is its PyTorch 2.6.0; here every newer stack of the matrix.
STUDY: tuple[tuple[str, str, tuple[str, str, str], str, str], ...] = (
    ("train", "wall_seconds", ("deployment", "bare", "container"), OLD, "-9.7 %"),
    ("train", "wall_seconds", ("deployment", "bare", "container"), "new", "+3.2 %"),
    ("train", "wall_seconds", ("stack", OLD, "new"), "bare", "+109 %"),
    ("train", "wall_seconds", ("stack", OLD, "new"), "container", "+139 %"),
    ("train", "cpu_percent_of_core", ("stack", OLD, "new"), "bare", "about -41 %"),
    ("train", "cpu_percent_of_core_max", ("stack", OLD, "new"), "bare", "-20 to -24 %"),
    ("train", "peak_rss_bytes", ("stack", OLD, "new"), "bare", "-62 %"),
    ("train", "peak_rss_bytes", ("deployment", "bare", "container"), OLD, "within about 2 %"),
    ("train", "gpu_peak_memory_bytes", ("stack", OLD, "new"), "bare", "about +33 %"),
    ("infer", "wall_seconds", ("deployment", "bare", "container"), OLD, "-58.0 %"),
    ("infer", "wall_seconds", ("deployment", "bare", "container"), "new", "about 0 %"),
    ("infer", "wall_seconds", ("stack", OLD, "new"), "bare", "-49 %"),
    ("infer", "wall_seconds", ("stack", OLD, "new"), "container", "+22 %"),
    ("infer", "peak_rss_bytes", ("stack", OLD, "new"), "bare", "-93 %"),
    ("infer", "peak_rss_bytes", ("deployment", "bare", "container"), OLD, "within about 2 %"),
    ("infer", "gpu_peak_memory_bytes", ("stack", OLD, "new"), "bare", "10.7 x"),
)
CELLS: tuple[str, ...] = (
    *("wall_seconds", "steady_seconds", "cpu_seconds", "cpu_percent_of_core", "cpu_percent_of_core_max"),
    *("peak_rss_bytes", "gpu_peak_memory_bytes"),
)
DISPATCH: tuple[str, ...] = (
    *("dispatch_pickup_seconds", "dispatch_container_seconds", "dispatch_agent_seconds"),
    *("dispatch_prepare_seconds", "dispatch_seconds", "dispatch_deliver_seconds"),
)
WORKERS: tuple[str, ...] = (
    "wall_seconds",
    "steady_seconds",
    "turnaround_seconds",
    "cpu_seconds",
    "peak_rss_bytes",
)


def tables(report: Mapping[str, Any]) -> dict[str, str]:
    """Name of each table -> its Markdown."""
    metrics = {metric["key"]: metric for metric in report["metrics"]}
    workloads = {workload["name"]: workload for workload in report["workloads"]}
    found = {"run": about_run(report), "compared": _compared(workloads, metrics)}
    for name, workload in workloads.items():
        found[f"{name}-cells"] = cells_table(workload, metrics, CELLS)
        found[f"{name}-parity"] = _parity(workload, metrics)
        found[f"{name}-shares"] = _shares(workload, metrics)
        found[f"{name}-dispatch"] = cells_table(
            workload, metrics, DISPATCH, lambda cell: cell["axes"]["deployment"] != "bare"
        )
    return found


def workers(report: Mapping[str, Any]) -> str:
    """One work over 1, 2, 4 workers, and the law fitted to it."""
    metrics = {metric["key"]: metric for metric in report["metrics"]}
    parts = [about_run(report)]
    for workload in report["workloads"]:
        parts.append(cells_table(workload, metrics, WORKERS))
        parts.append("\n".join(f"- {fitted['sentence']}" for fitted in workload["amdahl"]))
    return "\n\n".join(parts)


def footprint(result: Mapping[str, Any]) -> str:
    """The platform's own use, part by part."""
    rows = [
        [
            r["period"],
            r["part"],
            f"{r['pss_mb_mean']:g}",
            f"{r['pss_mb_max']:g}",
            f"{r['cpu_percent_of_core']:g}",
        ]
        for r in result["rows"]
        if "part" in r
    ]
    header = ["period", "part", "RAM mean (PSS, MB)", "RAM most (MB)", "CPU (% of a core)"]
    figures = result["figures"]
    said = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if value is not None)
    return f"{said} ({result['at']}).\n\n{markdown(header, rows)}"


def _parity(workload: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    rows: Rows = []
    for parity in workload["parities"]:
        if parity["reference"] != "bare":  # container to agent follows from the two; the report has it
            continue
        name = f"{parity['other']} / {parity['reference']}"
        settings = [*parity["settings"], {**parity, "setting": "**all settings**"}]
        for item in settings:
            rows.append(
                [name, metrics[parity["metric"]]["label"], item["setting"], str(item["n"]), *_ratio(item)]
            )
    return markdown(["deployments", "metric", "setting", "n", "ratio", "verdict"], rows)


def _ratio(item: Mapping[str, Any]) -> list[str]:
    span = wording.interval(item["low"], item["high"])
    return [f"{wording.times(item['ratio'])} {span}".strip(), item["verdict"]]


def _shares(workload: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    rows = []
    by_metric = {factor["metric"]: factor for factor in workload["factors"]}
    for share in workload["shares"]:
        factor = by_metric[share["metric"]]
        values = (
            share["stack"],
            share["deployment"],
            share["together"],
            factor["block_share"],
            factor["residual_share"],
        )
        rows.append(
            [
                metrics[share["metric"]]["label"],
                *("–" if value is None else f"{100 * value:.1f} %" for value in values),
            ]
        )
    return markdown(["metric", "stack", "deployment", "both together", "drift between blocks", "rest"], rows)


def _compared(workloads: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    rows: Rows = []
    for name, key, (axis, start, end), fixed, figure in STUDY:
        label = metrics[key]["label"] if key in metrics else key.replace("_", " ")
        found = list(_ours(workloads.get(name), key, axis, start, end, fixed))
        setting = ("newer" if fixed == "new" else fixed.removeprefix("torch-").split("-")[0], name)
        moved = f"{start.removeprefix('torch-').split('-')[0]} to {'newer' if end == 'new' else end}"
        what = f"{setting[1]}, {setting[0]}: {label}, {moved}"
        if not found:
            rows.append([what, figure, "not run", ""])
        for other, comparison in found:
            rows.append([what if other is None else f"{what} ({other})", figure, *_change(comparison)])
    return markdown(["what", "study (1 run)", "here", "verdict"], rows)


def _ours(
    workload: Mapping[str, Any] | None, key: str, axis: str, start: str, end: str, fixed: str
) -> Iterable[tuple[str | None, Mapping[str, Any]]]:
    """Our comparisons of that kind, each with what stands for the study's newer stack."""
    if workload is None:
        return
    axes = {cell["slug"]: cell["axes"] for cell in workload["cells"]}
    for comparison in workload["comparisons"]:
        if comparison["metric"] != key or comparison["axis"] != axis:
            continue
        ends = axes[comparison["reference"]], axes[comparison["other"]]
        held = ends[0]["deployment" if axis == "stack" else "stack"]
        if axis == "deployment":
            if (ends[0][axis], ends[1][axis]) == (start, end) and held == fixed:
                yield None, comparison
            elif (ends[0][axis], ends[1][axis]) == (start, end) and fixed == "new" and held != OLD:
                yield held, comparison
        elif ends[0][axis] == start and ends[1][axis] != start and held == fixed:
            yield ends[1][axis], comparison


def _change(comparison: Mapping[str, Any]) -> list[str]:
    def percent(ratio: float) -> str:
        return f"{100 * (ratio - 1):+.1f} %"

    if comparison["ratio"] is None:
        return ["–", comparison["reason"] or ""]
    span = ""
    if comparison["low"] is not None:
        span = f" [{percent(comparison['low'])}, {percent(comparison['high'])}]"
    return [percent(comparison["ratio"]) + span, comparison["verdict"]]
