"""Medians, intervals, ratios, verdicts. Pure: no clock, file or network; every draw comes from a given seed.

The ratio of two cells is the median over blocks of the within-block ratio, on the log scale; its interval is
a percentile bootstrap over blocks. May import numpy and scipy only; the factor analysis is in ``factors``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

#: Fewer blocks than this give no verdict: below 6 not even unanimous blocks reach 5 % in a sign test.
FEWEST_RUNS = 6
#: An estimate of missing runs beyond this is not worth naming.
MOST_MORE_RUNS = 200
#: (1.96 + 0.84) / 1.96: half widths that give an 80 % chance of a verdict if the estimate holds.
POWER_FACTOR = 1.43

TOO_FEW = "too few runs"
PARITY = "parity"
DIFFERENT = "different"
UNDECIDED = "undecided"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """What the runs of one cell say about one metric."""

    n: int
    median: float
    minimum: float
    maximum: float
    #: Percentile bootstrap interval of the median; ``None`` below FEWEST_RUNS.
    low: float | None
    high: float | None
    mean: float
    #: Student's t interval of the mean; ``None`` below FEWEST_RUNS.
    mean_low: float | None
    mean_high: float | None


@dataclass(frozen=True)
class Ratio:
    """How many times as large a metric is in one cell as in another, and what may be said about it."""

    n: int
    ratio: float | None
    low: float | None
    high: float | None
    #: TOO_FEW, PARITY, DIFFERENT or UNDECIDED.
    verdict: str
    #: About how many more runs would decide; only where the verdict is UNDECIDED or TOO_FEW.
    more_runs: int | None
    #: "within block" or "unpaired".
    pairing: str
    #: Why there is no ratio, where there is none.
    reason: str | None = None


@functools.lru_cache(maxsize=256)
def _middle_ranks(n: int, draws: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Ranks of the two middle values of ``draws`` resamples of n sorted values.

    A resample's median depends on the drawn ranks alone, so one drawing serves every sample of that size.
    """
    drawn = np.random.default_rng([seed, n]).integers(0, n, size=(draws, n))
    drawn.sort(axis=1)
    return drawn[:, (n - 1) // 2].copy(), drawn[:, n // 2].copy()


def bootstrap_medians(values: Sequence[float] | Array, draws: int, seed: int) -> Array:
    """Medians of ``draws`` resamples with replacement, shape (draws,)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    lower, upper = _middle_ranks(len(ordered), draws, seed)
    return 0.5 * (ordered[lower] + ordered[upper])


def median_interval(
    values: Sequence[float] | Array, confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the median (Efron & Tibshirani 1993, chapter 13)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(bootstrap_medians(values, draws, seed), [tail, 1 - tail])
    return float(low), float(high)


def summarise(
    values: Sequence[float], confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Summary | None:
    """n, median and mean with their intervals, and extremes; ``None`` for no values."""
    if not values:
        return None
    enough = len(values) >= FEWEST_RUNS
    low, high = median_interval(values, confidence, draws, seed) if enough else (None, None)
    mean, mean_low, mean_high = mean_interval(values, confidence)
    if not enough:
        mean_low = mean_high = None
    return Summary(
        len(values), float(np.median(values)), min(values), max(values), low, high, mean, mean_low, mean_high
    )


def mean_interval(
    values: Sequence[float] | Array, confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """The mean and its Student's t interval, which one value does not have."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, None, None
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * spread / math.sqrt(n)
    return mean, mean - half, mean + half


def paired_ratio(
    reference: Sequence[float],
    other: Sequence[float],
    *,
    parity_margin: float = 1.05,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Ratio:
    """Ratio other / reference of values paired by block: element i of both comes from the same block."""
    if len(reference) != len(other):
        raise ValueError(f"{len(reference)} and {len(other)} values cannot be paired")
    refused = _refusal(reference, other, "within block")
    if refused:
        return refused
    logs = np.log(np.asarray(other, dtype=float)) - np.log(np.asarray(reference, dtype=float))
    n = len(logs)
    centre = float(np.median(logs))
    if n < FEWEST_RUNS:
        return Ratio(n, math.exp(centre), None, None, TOO_FEW, FEWEST_RUNS - n, "within block")
    low, high = median_interval(logs, confidence, draws, seed)
    verdict = _verdict(low, high, sign_test(logs), parity_margin, confidence)
    more = _more_runs(centre, low, high, n, parity_margin) if verdict == UNDECIDED else None
    return Ratio(n, math.exp(centre), math.exp(low), math.exp(high), verdict, more, "within block")


def unpaired_ratio(
    reference: Sequence[float],
    other: Sequence[float],
    *,
    parity_margin: float = 1.05,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Ratio:
    """Ratio of medians other / reference where no block holds both cells (records of several machines)."""
    refused = _refusal(reference, other, "unpaired")
    if refused:
        return refused
    a, b = np.log(np.asarray(reference, dtype=float)), np.log(np.asarray(other, dtype=float))
    n = min(len(a), len(b))
    centre = float(np.median(b) - np.median(a))
    if n < FEWEST_RUNS:
        return Ratio(n, math.exp(centre), None, None, TOO_FEW, FEWEST_RUNS - n, "unpaired")
    drawn = bootstrap_medians(b, draws, seed + 1) - bootstrap_medians(a, draws, seed)
    tail = (1 - confidence) / 2
    low, high = (float(v) for v in np.quantile(drawn, [tail, 1 - tail]))
    p = float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)
    verdict = _verdict(low, high, p, parity_margin, confidence)
    more = _more_runs(centre, low, high, n, parity_margin) if verdict == UNDECIDED else None
    return Ratio(n, math.exp(centre), math.exp(low), math.exp(high), verdict, more, "unpaired")


def sign_test(logs: Array) -> float:
    """Two-sided exact p-value that the median log ratio is 0; blocks at exactly 0 count for neither side."""
    above, below = int((logs > 0).sum()), int((logs < 0).sum())
    if above + below == 0:
        return 1.0
    return float(stats.binomtest(above, above + below, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given."""
    count = len(p_values)
    adjusted = [0.0] * count
    greatest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        greatest = max(greatest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = greatest
    return adjusted


def looks_bimodal(values: Sequence[float]) -> bool:
    """Whether the values fall into two groups.

    All of: at least 6 values; Sarle's bimodality coefficient above 5/9, its value for a uniform distribution
    (plain moments: the usual correction hides two clear groups at n = 6); the widest gap between neighbours
    is half the range and 5 % of the median; at least two values on either side of it. The coefficient alone
    fires too often below 20 values.
    """
    n = len(values)
    ordered = np.sort(np.asarray(values, dtype=float))
    span = float(ordered[-1] - ordered[0]) if n else 0.0
    if n < FEWEST_RUNS or span <= 0:
        return False
    gaps = np.diff(ordered)
    at = int(np.argmax(gaps))
    if min(at + 1, n - at - 1) < 2 or gaps[at] < 0.5 * span or gaps[at] < 0.05 * abs(np.median(ordered)):
        return False
    skew, kurtosis = float(stats.skew(ordered)), float(stats.kurtosis(ordered, fisher=False))
    return (skew**2 + 1) / kurtosis > 5 / 9


def _refusal(reference: Sequence[float], other: Sequence[float], pairing: str) -> Ratio | None:
    """The Ratio that says why there is none, or ``None`` where one can be computed."""
    if not len(reference) or not len(other):
        return Ratio(0, None, None, None, TOO_FEW, FEWEST_RUNS, pairing, "no block holds both cells")
    if min(*reference, *other) <= 0:
        n = min(len(reference), len(other))
        return Ratio(n, None, None, None, UNDECIDED, None, pairing, "a value is 0: no ratio exists")
    return None


def _verdict(low: float, high: float, p: float, parity_margin: float, confidence: float) -> str:
    """The verdict from an interval of the log ratio and an exact p-value of "no difference".

    The exact test is a guard. With 6 to 10 blocks the percentile interval of a median covers less than it
    says; requiring the exact test too keeps false *different* at or below 1 - confidence whatever the noise.
    """
    edge = math.log(parity_margin)
    if -edge <= low and high <= edge:
        return PARITY
    if (low > edge or high < -edge) and p <= 1 - confidence:
        return DIFFERENT
    return UNDECIDED


def _more_runs(centre: float, low: float, high: float, n: int, parity_margin: float) -> int | None:
    """About how many more blocks would put the interval on one side of the band's edge; ``None``: too many.

    The interval's half width shrinks with the square root of n; it has to fit between the estimate and the
    nearest edge, with room for the estimate to move (POWER_FACTOR). The spread of a few blocks is itself
    uncertain, so this is an order of magnitude.
    """
    edge = math.log(parity_margin)
    room = abs(abs(centre) - edge)
    if abs(centre) <= edge:
        half_width = max(high - centre, centre - low)
    else:
        half_width = centre - low if centre > 0 else high - centre
    if room <= 0:
        return None
    needed = max(n + 1, math.ceil(n * (POWER_FACTOR * half_width / room) ** 2))
    return needed - n if needed - n <= MOST_MORE_RUNS else None
