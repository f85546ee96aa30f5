"""The evaluation as one self-contained HTML page: both curves of every part, and the areas under them with intervals.

It opens offline, asks no network and runs no script. Everything that came out of data reaches it as numbers.
"""

from __future__ import annotations

import html
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from stackyard_detector.detector.alarm_page import digest
from stackyard_detector.detector.alarm_page_style import STYLE
from stackyard_detector.detector.calibrated import COMBINED, NETWORK, RULES
from stackyard_detector.detector.evaluation import PREFIXES

#: Part -> what people call it.
CALLED = {
    COMBINED: "combined",
    NETWORK: "network",
    RULES: "rules (no order of events)",
    "unseen_event": "an event never seen",
    "unseen_pair": "a pair never seen",
    "unseen_triple": "three in a row never seen",
    "transition": "transition probability",
    "counts": "event counts",
    "length": "length",
}
#: Drawn thick, in this order, each with its own colour and dashes: no meaning by colour alone.
LEADING = (COMBINED, NETWORK, RULES)
_SIZE, _EDGE = 300, 44
_MORE_STYLE = """
.curves { display: flex; flex-wrap: wrap; gap: 1rem; }
.curves figure { margin: 0; flex: 1 1 18rem; max-width: 30rem; }
.curves svg { width: 100%; height: auto; }
.axis { stroke: var(--line); fill: none; } .tick { fill: var(--soft); font-size: 11px; }
.other { stroke: var(--s1); fill: none; } .combined { stroke: var(--never); fill: none; stroke-width: 2.5; }
.network { stroke: var(--s3); fill: none; stroke-width: 2.5; stroke-dasharray: 7 3; }
.rules { stroke: var(--ink); fill: none; stroke-width: 2; stroke-dasharray: 2 3; }
.wide { overflow-x: auto; } table { border-collapse: collapse; } td, th { padding: .25rem .7rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid var(--line); }
"""


def render(curves: Mapping[str, Any], results: Mapping[str, Any], made_at: str, by_rank: bool = False) -> str:
    """The page's text.

    Args:
        curves: what ``evaluation.drawn`` gave.
        results: what ``evaluation.evaluate`` gave.
        made_at: when, as text.
        by_rank: whether the network was judged by rank, at a given k.
    """
    style = STYLE + _MORE_STYLE
    order = sorted(curves, key=lambda name: list(CALLED).index(name) if name in CALLED else len(CALLED))
    how = (
        f" The network is judged by rank here: an event beyond the {results['k']} most probable."
        if by_rank
        else ""
    )
    note = results.get("note")
    policy = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src '{digest(style)}'"
    )
    return _SHELL.format(
        policy=html.escape(policy),
        style=style,
        note=f'<p class="card"><b>{html.escape(str(note))}</b></p>' if note else "",
        counts="".join(f"<li><b>{number:,}</b> {what}</li>" for number, what in _counts(results)),
        roc=_figure(curves, order, ("fpr", "recall"), "ROC: share of attacks found against false-alarm rate"),
        pr=_figure(curves, order, ("recall", "precision"), "Precision against share of attacks found"),
        rows="".join(_row(name, curves[name], results) for name in order),
        made=html.escape(made_at),
        how=how,
    )


def _counts(results: Mapping[str, Any]) -> List[Tuple[int, str]]:
    malicious = int(results["true_positives"] or 0) + int(results["false_negatives"] or 0)
    benign = int(results["true_negatives"] or 0) + int(results["false_positives"] or 0)
    early = int(results.get("combined_early_alarms") or 0)
    counted = [(malicious, "malicious sessions"), (benign, "benign sessions")]
    return (
        [*counted, (early, "of the malicious ones with an alarm before their attack")] if early else counted
    )


def _figure(curves: Mapping[str, Any], order: Sequence[str], axes: Tuple[str, str], title: str) -> str:
    horizontal, vertical = axes
    lines = [
        f'<polyline class="{name if name in LEADING else "other"}" points="{_points(curves[name], axes)}">'
        f"<title>{html.escape(CALLED.get(name, name))}</title></polyline>"
        for name in reversed(order)
    ]
    marks = []
    for share in (0.0, 0.5, 1.0):
        x, y = _place(share, share)
        marks.append(f'<path class="axis" d="M{x} {_EDGE - 30}V{_SIZE + 14}M{_EDGE} {y}H{_SIZE + _EDGE}"/>')
        marks.append(f'<text class="tick" x="{x}" y="{_SIZE + 28}" text-anchor="middle">{share:g}</text>')
        marks.append(f'<text class="tick" x="{_EDGE - 6}" y="{y + 4}" text-anchor="end">{share:g}</text>')
    named = {"fpr": "false-alarm rate", "recall": "share of attacks found", "precision": "precision"}
    box = f"0 0 {_SIZE + _EDGE + 12} {_SIZE + 48}"
    below = f'<text class="tick" x="{_EDGE}" y="{_SIZE + 44}">{named[horizontal]} →</text>'
    beside = f'<text class="tick" x="2" y="10">↑ {named[vertical]}</text>'
    return (
        f'<figure><svg viewBox="{box}" role="img" aria-label="{html.escape(title)}">{"".join(marks)}{below}{beside}'
        f'{"".join(lines)}</svg><figcaption class="soft small">{html.escape(title)}</figcaption></figure>'
    )


def _points(curve: Mapping[str, Any], axes: Tuple[str, str]) -> str:
    """The points of a curve; between two of precision and recall nothing is known, so that one is drawn in steps."""
    places = [(0.0, 0.0)] if axes == ("fpr", "recall") else []
    before = 0.0
    for point in curve["points"]:
        horizontal, vertical = point[axes[0]], point[axes[1]]
        if axes != ("fpr", "recall"):
            places.append((before, vertical))
        places.append((horizontal, vertical))
        before = horizontal
    return " ".join("{:.1f},{:.1f}".format(*_place(*each)) for each in places)


def _place(horizontal: float, vertical: float) -> Tuple[float, float]:
    return _EDGE + horizontal * _SIZE, 14 + (1 - vertical) * _SIZE


def _row(name: str, curve: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    prefix = PREFIXES.get(name, f"{name}_")
    cells = [f"{curve['threshold']:.4g}"]
    cells += [_area(curve["auprc"]), _area(curve["auroc"])]
    cells += [_number(results.get(f"{prefix}{figure}")) for figure in ("f1", "recall", "fpr")]
    key = '<svg width="34" height="8" aria-hidden="true"><path class="{}" d="M0 4H34"/></svg> '
    line = key.format(name if name in LEADING else "other")
    told = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr><td>{line}{html.escape(CALLED.get(name, name))}</td>{told}</tr>"


def _area(value: Optional[Sequence[float]]) -> str:
    if value is None:
        return "not defined"
    return f'{value[0]:.3f} <span class="soft">{value[1]:.3f} to {value[2]:.3f}</span>'


def _number(value: Optional[float]) -> str:
    return "not defined" if value is None else f"{value:.3g}"


_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>What the detector is worth</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header class="top"><p class="kind">Detector</p><h1>What it is worth on labelled sessions</h1>
<ul class="counts">{counts}</ul>{note}</header>
<main>
<div class="card curves">{roc}{pr}</div>
<div class="card wide"><table>
<thead><tr><th>who</th><th>threshold</th><th>area under precision and recall</th><th>area under ROC</th>
<th>F1</th><th>recall</th><th>false-alarm rate</th></tr></thead>
<tbody>{rows}</tbody>
</table></div>
<p class="soft small">Areas with 95 % intervals, a bootstrap over sessions. F1, recall and false-alarm rate are at the
threshold that benign validation sessions gave.{how} An alarm before a
session's first malicious event is a false one to precision and F1. Thin lines are the simplest baselines.</p>
</main>
<footer class="soft small">Made {made}. No test session had a say in any threshold.</footer>
</body>
</html>
"""
