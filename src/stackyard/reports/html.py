"""The report as one self-contained HTML file: opens offline, asks no network, escapes all text.

Bars, radars and tables are plain HTML and SVG; the two interactive charts (runs in time and memory, timeline
of a run) use plotly.js, which is in the file once, compressed, and unpacked by the browser. A content
security policy allows exactly the two scripts of the file, by their digests, and no request.
"""

from __future__ import annotations

import base64
import datetime
import functools
import gzip
import hashlib
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from stackyard.counting import count
from stackyard.reports import charts, quantities, wording
from stackyard.reports.catalogue import FOOTPRINT
from stackyard.reports.report import (
    AmdahlReport,
    CellReport,
    Comparison,
    EnvironmentRow,
    MetricNote,
    Report,
    WorkloadReport,
)

#: Results shown at once where there are more than MOST_RESULTS; the rest unfolds.
KEY_RESULTS = (
    *("f1", "precision", "recall", "specificity", "fpr", "mcc", "early_detection_rate"),
    *(
        "combined_f1",
        "rules_f1",
        "auprc",
        "combined_auprc",
        "rules_auprc",
        "unseen_event_auprc",
        "unseen_pair_auprc",
    ),
    *("lstm_only_detections", "stated_false_alarm_rate", "validation_loss", "k", "steps"),
    *("malicious_verdicts", "sessions", "events", "quarantined_lines"),
)
MOST_RESULTS = 20
#: Metrics of which the first section speaks.
SHORT = ("wall_seconds", "peak_rss_bytes", "gpu_peak_memory_bytes")
_GROUPS = {
    "own": "Results",
    "time": "Time",
    "dispatch": "Dispatch (before and after the workload, in no other figure)",
    "cpu": "CPU",
    "memory": "Memory",
    "gpu": "GPU",
    "throughput": "Throughput",
    "energy": "Energy",
    "disk": "Disk",
}


def render(report: Report) -> str:
    """The file's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stackyard.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script, style = _own("report.js"), _own("report.css")
    plotly = _plotly_source()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        f"form-action 'none'; script-src '{_digest(script)}' '{_digest(plotly)}'"
    )
    colouring = charts.Colouring(report)
    return environment.get_template("report.html.jinja").render(
        report=report,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        plotly=Markup(_packed_plotly()),
        data=_data(report, colouring),
        when=_when(report),
        counts=_counts(report),
        workloads=[_workload(report, workload, i, colouring) for i, workload in enumerate(report.workloads)],
        colouring=colouring,
        facts=[(row.name, _seen(row)) for row in report.environment],
        methods=[(row.name, _seen(row)) for row in report.methods],
        ranged_note=charts.ranged_note(),
        badges=wording.BADGES,
    )


def _own(name: str) -> str:
    from importlib.resources import files

    return files("stackyard.reports").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _plotly_source() -> str:
    # Imported here: the package is large and only this output needs it.
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@functools.cache
def _packed_plotly() -> str:
    """plotly.js, gzipped and in base64: 1.9 MB where the plain text has 4.8."""
    return base64.b64encode(gzip.compress(_plotly_source().encode(), 9, mtime=0)).decode()


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _when(report: Report) -> str:
    try:
        begin = datetime.datetime.fromisoformat(report.started_at or "")
        end = datetime.datetime.fromisoformat(report.finished_at or "")
    except ValueError:
        return ""
    last = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%-d %B %Y, %H:%M}"
    return f"{begin:%-d %B %Y, %H:%M} to {last} UTC"


def _counts(report: Report) -> list[tuple[str, str]]:
    counts = report.counts
    found = [(str(counts["completed"]), "run completed" if counts["completed"] == 1 else "runs completed")]
    if counts["stopped"]:
        found.append((str(counts["stopped"]), "stopped at a limit"))
    if counts["failed"] or counts["unreadable"]:
        found.append((str((counts["failed"] or 0) + (counts["unreadable"] or 0)), "failed"))
    found.append((str(counts["cells"]), "cell" if counts["cells"] == 1 else "cells"))
    if counts["not_runnable"]:
        found.append((str(counts["not_runnable"]), "not runnable here"))
    found.append((str(len(report.hosts) or 1), "machine" if len(report.hosts) < 2 else "machines"))
    return found


def _seen(row: EnvironmentRow) -> list[tuple[str, str]]:
    alone = len(row.values) == 1
    return [(v, "" if alone else count(n, "run") + row.where(v)) for v, n in row.values.items()]


def _workload(
    report: Report, workload: WorkloadReport, index: int, colouring: charts.Colouring
) -> dict[str, Any]:
    """What the template says about one workload, every number already in words."""
    drawn = {m.key: chart for m in report.metrics if (chart := charts.bar_chart(workload, m, colouring))}
    compared = [m.key for m in report.metrics if m.group == "own"]
    if report.options.only is None and any(key in drawn for key in FOOTPRINT):
        compared = []  # what it costs comes first; results unfold
    first = [drawn[key] for key in (*compared, *FOOTPRINT) if key in drawn]
    if len(first) % 2 and "cpu_seconds" in drawn:
        first.append(drawn["cpu_seconds"])
    spoken = [m for m in report.metrics if m.key in report.headline]
    labels = {cell.slug: cell.label for cell in workload.cells}
    return {
        "id": f"w{index}",
        "name": workload.name,
        "program": workload.program,
        "since": workload.since,
        "baseline": labels.get(workload.baseline or "", ""),
        "best": [best.sentence for best in (*workload.best, workload.fastest, workload.leanest) if best],
        "pareto": [labels[slug] for slug in workload.pareto],
        "pareto_metrics": [report.metric(key).label for key in workload.pareto_metrics],
        "headlines": _headlines(report, workload),
        "findings": [f.finding for f in workload.factors if f.finding],
        "amdahl": [_amdahl(report, fitted) for fitted in workload.amdahl],
        "charts": first,
        "own": bool(compared),
        "more_charts": [
            chart
            for key, chart in drawn.items()
            if chart not in first
            and report.metric(key).group in ("own", "time", "throughput", "energy")
            and key not in ("data_seconds", "warmup_seconds", "finish_seconds", "step_p95_seconds")
        ],
        "phases": charts.phase_bars(workload, colouring),
        "dispatch": charts.phase_bars(workload, colouring, charts.DISPATCH),
        "dispatch_keys": [(kind, name) for _, name, kind in charts.DISPATCH],
        "parities": _parities(report, workload),
        "variance": [share.sentence for share in workload.shares],
        "shares": charts.share_bars(report, workload),
        "share_keys": charts.share_keys(report, workload),
        "factors": [
            {
                "metric": report.metric(f.metric).label,
                "effects": [(e.term, f"{100 * e.omega_squared:.1f} %", _p(e.p_holm)) for e in f.effects],
                "runs": f.runs,
                "cells": f.cells,
            }
            for f in workload.factors
        ],
        "left_out": list(dict.fromkeys(text for f in workload.factors for text in f.left_out)),
        "radars": charts.radars(report, workload, colouring),
        "ratio_metrics": [m.label for m in spoken],
        "ratios": _ratios(workload, spoken, labels),
        "all_ratios": [
            (
                report.metric(c.metric).label,
                labels[c.other],
                labels[c.reference],
                c.n,
                wording.amount(c, report.metric(c.metric).unit)[0].removesuffix("×"),
                wording.amount(c, report.metric(c.metric).unit)[1],
                wording.BADGES[c.verdict],
                wording.open_words(c),
                c.pairing,
            )
            for c in workload.comparisons
        ],
        "cells": [
            (
                c.label,
                f"{c.completed}"
                + (f" (+{c.stopped} stopped)" if c.stopped else "")
                + (f" (+{c.failed} failed)" if c.failed else ""),
                c.slug == workload.baseline,
            )
            for c in workload.cells
        ],
        "table": _table(report, workload),
        "bound": [c.bound or quantities.NOT_MEASURED for c in workload.cells]
        if any(c.bound for c in workload.cells)
        else [],
        "results": _foremost(_results(workload)),
        "differing": workload.results_differing,
    }


def _parities(report: Report, workload: WorkloadReport) -> list[dict[str, Any]]:
    """One row per metric and pair of deployments: over all settings, and the span of the single ones."""
    found = []
    for parity in workload.parities:
        single = [s.ratio for s in parity.settings if s.ratio is not None]
        found.append(
            {
                "metric": report.metric(parity.metric).label,
                "pair": f"{parity.other} to {parity.reference}",
                "badge": wording.BADGES[parity.verdict],
                "ratio": "–" if parity.ratio is None else f"{wording.times(parity.ratio)}×",
                "span": wording.interval(parity.low, parity.high),
                "n": parity.n,
                "settings": [
                    (
                        s.setting,
                        f"{wording.times(s.ratio)}×",
                        wording.interval(s.low, s.high),
                        wording.BADGES[s.verdict],
                    )
                    for s in parity.settings
                    if s.ratio is not None
                ]
                if len(single) > 1
                else [],
            }
        )
    return found


def _amdahl(report: Report, fitted: AmdahlReport) -> dict[str, Any]:
    metric = report.metric(fitted.metric)
    points = [
        f"{cores:g}: {quantities.quantity(median, metric.unit)}"
        for cores, median in zip(fitted.cores, fitted.medians)
    ]
    span = ""
    if fitted.low is not None and fitted.high is not None:
        span = f"[{100 * fitted.low:.0f} %, {100 * fitted.high:.0f} %]"
    limit = fitted.greatest_speedup
    return {
        "metric": metric.label,
        "setting": fitted.setting,
        "points": " · ".join(points),
        "serial": f"{100 * fitted.serial_fraction:.0f} %",
        "span": span,
        "limit": "no serial part seen" if limit is None else f"{wording.times(limit)}×",
        "two": len(fitted.cores) == 2,
        "left_out": fitted.left_out,
    }


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _headlines(report: Report, workload: WorkloadReport) -> list[dict[str, Any]]:
    """Verdicts grouped by metric, each with its badge."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for headline in workload.headlines:
        if headline.verdict == "fact" or headline.metric is None:
            continue
        line = {"badge": wording.BADGES[headline.verdict], "text": headline.text, "setting": headline.setting}
        groups.setdefault(headline.metric, []).append(line)
    measured = any(key in SHORT for key in groups)
    return [
        {
            "metric": report.metric(key).label,
            # what was asked for, else what it costs, else what there is
            "short": report.options.only is not None or key in SHORT or not measured,
            "lines": lines,
        }
        for key, lines in groups.items()
    ]


def _ratios(
    workload: WorkloadReport, metrics: Sequence[MetricNote], labels: dict[str, str]
) -> list[dict[str, Any]]:
    """One row per pair of cells, one column per headline metric."""
    rows: dict[tuple[str, str], dict[str, Comparison]] = {}
    for comparison in workload.comparisons:
        rows.setdefault((comparison.reference, comparison.other), {})[comparison.metric] = comparison
    found = []
    for (reference, other), by_metric in rows.items():
        entries: list[dict[str, Any] | None] = []
        for metric in metrics:
            c = by_metric.get(metric.key)
            entries.append(
                None
                if c is None
                else {
                    "badge": wording.BADGES[c.verdict],
                    "ratio": wording.amount(c, metric.unit)[0],
                    "span": wording.amount(c, metric.unit)[1],
                    "words": c.reason or wording.asked_words(c.verdict, c.n, c.more_runs),
                }
            )
        found.append({"other": labels[other], "reference": labels[reference], "entries": entries})
    return found


def _table(report: Report, workload: WorkloadReport) -> list[dict[str, Any]]:
    """Groups of metrics; in each a row per metric with an entry per cell."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for metric in report.metrics:
        if any(metric.key in cell.metrics for cell in workload.cells):
            entries = [_entry(cell, metric) for cell in workload.cells]
            row = {"label": metric.label, "meaning": metric.meaning, "entries": entries}
            groups.setdefault(_GROUPS[metric.group], []).append(row)
    return [{"name": name, "rows": rows} for name, rows in groups.items()]


def _entry(cell: CellReport, metric: MetricNote) -> tuple[str, str, str]:
    """Median, interval and mean."""
    summary = cell.metrics.get(metric.key)
    if summary is None:
        return quantities.NOT_MEASURED, "", ""
    ranged = summary.low is None or summary.high is None
    low = summary.minimum if summary.low is None else summary.low
    high = summary.maximum if summary.high is None else summary.high
    value, span = quantities.spread(summary.median, low, high, metric.unit)
    mean = f"mean {quantities.mean_of(summary, metric.unit)}" if summary.n > 1 else ""
    between = span.replace(", ", "–") if summary.n > 1 else ""
    return value, between if ranged else f"[{span}]", mean


def _results(workload: WorkloadReport) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for cell in workload.cells for name in cell.results)
    found = []
    for name in names:
        entries = []
        for cell in workload.cells:
            result = cell.results.get(name)
            if result is None:
                entries.append((quantities.NOT_MEASURED, ""))
            elif result.median is None or result.minimum is None or result.maximum is None:
                entries.append((", ".join(result.texts), ""))
            else:
                median, low, high = quantities.plain_numbers([result.median, result.minimum, result.maximum])
                entries.append((median, "" if low == high else f"{low}–{high}"))
        found.append({"name": name, "differs": name in workload.results_differing, "entries": entries})
    return found


def _foremost(results: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Results to see at once (those the cells differ on, then the best known names), and the rest."""
    named = [row for row in results if row["name"] in KEY_RESULTS and not row["differs"]]
    named.sort(key=lambda row: KEY_RESULTS.index(row["name"]))
    first = [row for row in results if row["differs"]] + named
    if len(results) <= MOST_RESULTS or not first:
        return list(results), []
    return first, [row for row in results if row not in first]


def _data(report: Report, colouring: charts.Colouring) -> dict[str, Any]:
    """What the script draws: runs in time and memory, and the timelines."""
    by_label = {(w.name, c.label): colouring.of(c) for w in report.workloads for c in w.cells}
    scatter = []
    for workload in report.workloads:
        series = []
        for cell in workload.cells:
            wall, memory = cell.metrics.get("wall_seconds"), cell.metrics.get("peak_rss_bytes")
            if wall and memory and len(wall.values) == len(memory.values):
                series.append(
                    {
                        "label": cell.label,
                        "colour": colouring.of(cell),
                        "setting": colouring.setting(cell),
                        "seconds": [round(v, 4) for v in wall.values],
                        "megabytes": [round(v / 1e6, 2) for v in memory.values],
                        "median": [round(wall.median, 4), round(memory.median / 1e6, 2)],
                        "pareto": cell.slug in workload.pareto,
                    }
                )
        scatter.append(series)
    timelines = [
        {
            "workload": item.workload,
            "cell": item.cell,
            "block": item.block,
            "folder": item.folder,
            "colour": by_label.get((item.workload, item.cell), 0),
            "stretch": item.timeline["stretch_seconds"],
            "t": item.timeline["t_seconds"],
            "cpu": _rounded(item.timeline["cpu_percent_of_core"], 1.0, 1),
            "ram": _rounded(item.timeline["rss_bytes"], 1e6, 2),
            "gpus": [
                {
                    "index": gpu["index"],
                    "memory": _rounded(gpu["memory_bytes"], 1e6, 2),
                    "use": _rounded(gpu["utilisation_percent"], 1.0, 1),
                }
                for gpu in item.timeline["gpus"]
            ],
            "phases": item.timeline["phases"],
        }
        for item in report.timelines
    ]
    return {"scatter": scatter, "timelines": timelines}


def _rounded(series: Sequence[float | None], size: float, digits: int) -> list[float | None]:
    return [None if value is None else round(value / size, digits) for value in series]
