"""Verdicts in words: ratios, intervals, sentences. Pure; shared by the outputs people read."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.counting import count
from stackyard.reports.quantities import NOT_MEASURED, quantity, significant, spread
from stackyard.reports.report import Comparison, ReportOptions
from stackyard.reports.statistics import (
    DIFFERENT,
    FEWEST_RUNS,
    MOST_MORE_RUNS,
    PARITY,
    TOO_FEW,
    UNDECIDED,
    Ratio,
)

#: The verdict of a headline over settings that do not agree.
MIXED = "mixed"
#: Verdict -> (class, sign, word).
BADGES = {
    DIFFERENT: ("different", "≠", "different"),
    PARITY: ("parity", "≈", "parity"),
    UNDECIDED: ("undecided", "?", "undecided"),
    TOO_FEW: ("few", "…", "too few runs"),
    MIXED: ("mixed", "±", "mixed"),
    "fact": ("fact", "i", "finding"),
}


def times(ratio: float | None) -> str:
    """A ratio: "1.52"."""
    if ratio is None:
        return NOT_MEASURED
    if not 1e-4 <= ratio < 1e6:
        return f"{ratio:.1e}"
    if ratio >= 100:
        return f"{ratio:.0f}"
    if ratio >= 10:
        return f"{ratio:.1f}"
    return f"{ratio:.2f}" if ratio >= 0.1 else significant(ratio, 2)


def interval(low: float | None, high: float | None) -> str:
    """An interval of a ratio: "[1.41, 1.63]"."""
    return "" if low is None or high is None else f"[{times(low)}, {times(high)}]"


def verdict_words(verdict: str, n: int, more_runs: int | None) -> str:
    """The verdict as a table shows it."""
    if verdict == TOO_FEW:
        return f"too few runs (have {n}, need {FEWEST_RUNS})"
    if verdict in (PARITY, DIFFERENT):
        return verdict
    return f"undecided, {asked_words(verdict, n, more_runs)}"


def asked_words(verdict: str, n: int, more_runs: int | None) -> str:
    """What an open verdict still needs, short: "have 4, need 6", "about 8 more runs"."""
    if verdict == TOO_FEW:
        return f"have {n}, need {FEWEST_RUNS}"
    if verdict == UNDECIDED:
        if not more_runs:
            return f"over {MOST_MORE_RUNS} more runs"
        return f"about {count(more_runs, 'more run')}"
    return ""


def inside(label: str) -> str:
    """A label in the middle of a sentence: "wall time", "CPU time"; a name such as "Loss/val" stays as it is."""
    return label if label[:2].isupper() or "/" in label else label[0].lower() + label[1:]


def amount(found: Ratio | Comparison, unit: str) -> tuple[str, str]:
    """A ratio and its interval: "1.52×", "[1.41, 1.63]"; where there is none the difference: "-0.2", "[-0.3, -0.1]"."""
    if found.ratio is not None:
        return f"{times(found.ratio)}×", interval(found.low, found.high)
    if found.difference is None:
        return NOT_MEASURED, ""
    sign = "+" if found.difference > 0 else ""
    if found.difference_low is None or found.difference_high is None:
        return sign + quantity(found.difference, unit), ""
    value, span = spread(found.difference, found.difference_low, found.difference_high, unit)
    return sign + value, f"[{span}]"


def open_words(found: Comparison) -> str:
    """The verdict of a comparison as a table shows it; without a ratio, why there is none."""
    if found.reason is None:
        return verdict_words(found.verdict, found.n, found.more_runs)
    return f"{found.verdict}; {found.reason}" if found.difference is not None else found.reason


def sentence(
    metric: str,
    label: str,
    reference: str,
    other: str,
    ratio: Ratio,
    options: ReportOptions,
    unit: str = "",
) -> str:
    """What a ratio of one metric says, in words.

    Args:
        metric: the metric's key.
        label: the metric's label, for metrics without a phrase of their own.
        reference: words for the cell that is 1.
        other: words for the cell compared with it.
        ratio: other / reference.
        options: for the parity margin.
        unit: the metric's, for a difference.
    """
    if ratio.difference is not None:
        value, span = amount(ratio, unit)
        asked = asked_words(ratio.verdict, ratio.n, None) if ratio.verdict == TOO_FEW else ""
        verdict = f"{ratio.verdict} ({asked})" if asked else ratio.verdict
        return f"{label}: {other} minus {reference} is {value}{' ' + span if span else ''}: {verdict}"
    if ratio.ratio is None:
        return f"{label}: {other} and {reference} cannot be compared: {ratio.reason}"
    span = interval(ratio.low, ratio.high)
    if ratio.verdict == DIFFERENT:
        return f"{other} {_difference(metric, label, reference, ratio)}"
    shown = f"{times(ratio.ratio)}×{' ' + span if span else ''}"
    pair = f"{label} of {other} is {shown} that of {reference}"
    asked = asked_words(ratio.verdict, ratio.n, ratio.more_runs)
    if ratio.verdict == PARITY:
        return f"{pair}: parity, within ±{(options.parity_margin - 1) * 100:.3g} %"
    if ratio.verdict == TOO_FEW:
        return f"{pair}: too few runs ({asked})"
    return f"{pair}: undecided, {asked}"


#: Metrics whose difference is called faster or slower, and what is added to the phrase.
_SPEEDS = {
    "wall_seconds": "",
    "steady_seconds": " in the steady phase",
    "startup_seconds": " to start up",
    "step_p50_seconds": " per step",
}


def _difference(metric: str, label: str, reference: str, ratio: Ratio) -> str:
    assert ratio.ratio is not None
    amount, word = _amount(metric, ratio.ratio, ratio.low, ratio.high)
    if metric in _SPEEDS:
        return f"is {amount.replace(' ', f' {word} than {reference}{_SPEEDS[metric]} ', 1)}"
    return f"has {amount.replace(' ', f' the {inside(label)} of {reference} ', 1)}"


def _amount(metric: str, ratio: float, low: float | None, high: float | None) -> tuple[str, str]:
    """ "1.52× [1.41, 1.63]" and "faster" or "slower"; times below 1 are turned round into faster."""
    if metric in _SPEEDS and ratio < 1 and low and high:
        return f"{times(1 / ratio)}× {interval(1 / high, 1 / low)}", "faster"
    return f"{times(ratio)}× {interval(low, high)}", "slower" if metric in _SPEEDS else ""


def together(
    metric: str,
    label: str,
    reference: str,
    other: str,
    parts: Sequence[tuple[str, float, float | None, float | None]],
    verdict: str,
    options: ReportOptions,
) -> str:
    """One sentence for the same verdict in several settings; parts are (setting, ratio, low, high)."""
    amounts = [(_amount(metric, ratio, low, high), setting) for setting, ratio, low, high in parts]
    if verdict == PARITY:
        listed = "; ".join(f"{times(r)}× {interval(low, high)} with {s}" for s, r, low, high in parts)
        margin = f"±{(options.parity_margin - 1) * 100:.3g} %"
        return f"{label} of {other} is that of {reference}, parity within {margin}: {listed}"
    listed = "; ".join(f"{amount} with {setting}" for (amount, _), setting in amounts)
    if metric in _SPEEDS:
        return f"{other} is {amounts[0][0][1]} than {reference}{_SPEEDS[metric]}: {listed}"
    less = "less" if parts[0][1] < 1 else "more"
    return f"{other} has {less} {inside(label)} than {reference}: {listed}"


def open_together(
    label: str,
    reference: str,
    other: str,
    parts: Sequence[tuple[str, float, float | None, float | None]],
    fewest: int,
) -> str:
    """One sentence for ratios without a verdict in several settings."""
    listed = "; ".join(f"{times(ratio)}× with {setting}" for setting, ratio, _, _ in parts) or "no ratios"
    asked = asked_words(TOO_FEW, fewest, None)
    return f"{label} of {other} to {reference}: {listed}: too few runs ({asked})"


def counted(
    metric: str,
    label: str,
    reference: str,
    other: str,
    verdicts: Sequence[str],
    ratios: Sequence[float],
    options: ReportOptions,
) -> str:
    """One sentence for more settings than can be named: verdicts counted, ratios from least to most."""
    span = _from_to(min(ratios), max(ratios)) if ratios else ""
    where = f"all {len(verdicts)} settings" if len(set(verdicts)) == 1 else f"{len(verdicts)} settings"
    counts = [f"{verdicts.count(v)} {v}" for v in (DIFFERENT, PARITY, UNDECIDED, TOO_FEW) if v in verdicts]
    if not ratios:
        return f"{label} of {other} to {reference} over {where}: {', '.join(counts)}"
    if set(verdicts) == {PARITY}:
        margin = f"±{(options.parity_margin - 1) * 100:.3g} %"
        return f"{label} of {other} is that of {reference} in {where}, parity within {margin}: {span}"
    if set(verdicts) == {DIFFERENT} and (max(ratios) < 1 or min(ratios) > 1):
        if metric in _SPEEDS:
            word = "faster" if max(ratios) < 1 else "slower"
            ends = sorted(1 / r if word == "faster" else r for r in (min(ratios), max(ratios)))
            return f"{other} is {word} than {reference}{_SPEEDS[metric]} in {where}: {_from_to(*ends)}"
        less = "less" if max(ratios) < 1 else "more"
        return f"{other} has {less} {inside(label)} than {reference} in {where}: {span}"
    return f"{label} of {other} to {reference} over {where}: {', '.join(counts)}; ratios {span}"


def _from_to(low: float, high: float) -> str:
    return f"{times(low)}×" if times(low) == times(high) else f"{times(low)}× to {times(high)}×"


def footnote(options: ReportOptions, *, compares: bool, intervals: bool, paired: bool = True) -> str:
    """What intervals and verdicts mean, in short sentences; empty where the report shows neither.

    Args:
        options: for confidence, draws and the parity margin.
        compares: the report sets cells against each other.
        intervals: the report shows an interval of a median.
        paired: some of the cells were run in the same blocks.
    """
    if not compares and not intervals:
        return ""
    share = f"{options.confidence * 100:.3g} %"
    unit = "blocks" if paired else "runs"
    drawn = f"{options.draws:,} seeded draws over {unit}"
    said = [f"Brackets are {share} percentile-bootstrap intervals of the median ({drawn})."]
    where = "this machine" if paired else "these machines"
    if not compares:
        return f"{said[0]} They describe {where} on these days."
    margin = f"{options.parity_margin:.3g}"
    said += [
        "A ratio is the median of the ratios within blocks." if paired else "A ratio is that of the medians.",
        f"The figures describe {where} on these days; no verdict is corrected for how many there are.",
        f"Parity: the interval lies inside [1/{margin}, {margin}].",
        "Different: it lies wholly outside, and "
        + ("an exact sign test over blocks agrees." if paired else "a Mann-Whitney test agrees."),
        f"Undecided: neither. Below {FEWEST_RUNS} {unit} there is no verdict.",
    ]
    return " ".join(said)
