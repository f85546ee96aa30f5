"""Medians, intervals, ratios, verdicts. Pure: no clock, file or network; every draw comes from a given seed.

The ratio of two cells is the median over blocks of the within-block ratio, on the log scale; its interval is
a percentile bootstrap over blocks. May import numpy and scipy.special only, for scipy.stats takes half a second to
load; the factor analysis is in ``factors``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

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
#: How the runs of two cells were paired.
WITHIN_BLOCK, UNPAIRED = "within block", "unpaired"

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
    #: WITHIN_BLOCK or UNPAIRED.
    pairing: str
    #: Why there is no ratio, where there is none.
    reason: str | None = None
    #: Other minus reference and its interval, in the metric's unit, where values of 0 or less leave no ratio.
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


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
    ordered = np.sort(np.asarray(values, dtype=float))
    lower, upper, times = _middle_pairs(len(ordered), draws, seed)
    medians = 0.5 * (ordered[lower] + ordered[upper])
    order = np.argsort(medians)
    drawn = np.cumsum(times[order])  # how many resamples have at most this median
    ends = []
    for place in _places(draws, confidence):
        at = np.searchsorted(drawn, [math.floor(place), math.ceil(place)], side="right")
        below, above = medians[order[at]]
        ends.append(float(below + (above - below) * (place - math.floor(place))))
    return ends[0], ends[1]


@functools.lru_cache(maxsize=256)
def _middle_pairs(
    n: int, draws: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The pairs of middle ranks that occur among the resamples, and how often each does: few, for small n."""
    lower, upper = _middle_ranks(n, draws, seed)
    pairs, times = np.unique(lower * n + upper, return_counts=True)
    return pairs // n, pairs % n, times


def _places(draws: int, confidence: float) -> tuple[float, float]:
    """Where the ends of a percentile interval lie among sorted draws, as ``numpy.quantile`` has it."""
    tail = (1 - confidence) / 2
    return tail * (draws - 1), (1 - tail) * (draws - 1)


def _interval(drawn: Array, confidence: float) -> tuple[float, float]:
    """The percentile interval of draws, as ``numpy.quantile`` has it, but faster: there are thousands of intervals."""
    low, high = _places(len(drawn), confidence)
    return _at(drawn, low), -_at(-drawn, len(drawn) - 1 - high)


#: Of so many draws and more, what lies below a bound is looked at alone; the bound is a quantile of every tenth.
_MANY, _EVERY = 2_000, 10


def _at(drawn: Array, place: float) -> float:
    """What stands at a place near the beginning of the sorted draws; between two, in proportion."""
    below, above = math.floor(place), math.ceil(place)
    if len(drawn) >= _MANY and place < len(drawn) / 4:
        some = np.sort(drawn[::_EVERY])
        beginning = drawn[drawn <= some[int(1.3 * above / _EVERY) + 8]]
        if len(beginning) > above:  # nearly always; else the bound was too low
            drawn = beginning
    parted = np.partition(drawn, (below, above))
    return float(parted[below] + (parted[above] - parted[below]) * (place - below))


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
        len(values),
        _middle(np.sort(np.asarray(values, dtype=float))),
        min(values),
        max(values),
        low,
        high,
        mean,
        mean_low,
        mean_high,
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
    difference: bool = False,
) -> Ratio:
    """Ratio other / reference of values paired by block: element i of both comes from the same block.

    Where ``difference`` asks for it, the median of the differences within blocks instead.
    """
    if len(reference) != len(other):
        raise ValueError(f"{len(reference)} and {len(other)} values cannot be paired")
    refused = _refusal(reference, other, WITHIN_BLOCK, difference)
    if refused and refused.n and difference:
        apart = np.asarray(other, dtype=float) - np.asarray(reference, dtype=float)
        found = dataclasses.replace(refused, difference=float(np.median(apart)))
        if refused.n < FEWEST_RUNS:
            return dataclasses.replace(found, verdict=TOO_FEW, more_runs=FEWEST_RUNS - refused.n)
        low, high = median_interval(apart, confidence, draws, seed)
        return _judged(found, low, high, sign_test(apart), confidence)
    if refused:
        return refused
    logs = np.log(np.asarray(other, dtype=float)) - np.log(np.asarray(reference, dtype=float))
    n = len(logs)
    centre = float(np.median(logs))
    if n < FEWEST_RUNS:
        return Ratio(n, math.exp(centre), None, None, TOO_FEW, FEWEST_RUNS - n, WITHIN_BLOCK)
    low, high = median_interval(logs, confidence, draws, seed)
    verdict = _verdict(low, high, sign_test(logs), parity_margin, confidence)
    more = _more_runs(centre, low, high, n, parity_margin) if verdict == UNDECIDED else None
    return Ratio(n, math.exp(centre), math.exp(low), math.exp(high), verdict, more, WITHIN_BLOCK)


def unpaired_ratio(
    reference: Sequence[float],
    other: Sequence[float],
    *,
    parity_margin: float = 1.05,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    difference: bool = False,
) -> Ratio:
    """Ratio of medians other / reference where no block holds both cells (records of several machines).

    Where a value is 0 or less, or ``difference`` asks for it, the difference of the medians. It may be *different* but
    never parity: a margin needs a ratio.
    """
    refused = _refusal(reference, other, UNPAIRED, difference)
    if refused and refused.n:
        return _difference(reference, other, refused, confidence, draws, seed)
    if refused:
        return refused
    a, b = _sorted_logs(tuple(reference)), _sorted_logs(tuple(other))
    n = min(len(a), len(b))
    centre = float(_middle(b) - _middle(a))
    if n < FEWEST_RUNS:
        return Ratio(n, math.exp(centre), None, None, TOO_FEW, FEWEST_RUNS - n, UNPAIRED)
    drawn = _drawn_logs(tuple(other), draws, seed + 1) - _drawn_logs(tuple(reference), draws, seed)
    low, high = _interval(drawn, confidence)
    p = mann_whitney(a, b)
    verdict = _verdict(low, high, p, parity_margin, confidence)
    more = _more_runs(centre, low, high, n, parity_margin) if verdict == UNDECIDED else None
    return Ratio(n, math.exp(centre), math.exp(low), math.exp(high), verdict, more, UNPAIRED)


def _difference(
    reference: Sequence[float],
    other: Sequence[float],
    refused: Ratio,
    confidence: float,
    draws: int,
    seed: int,
) -> Ratio:
    """The difference of medians, beside why there is no ratio."""
    a, b = (np.sort(np.asarray(values, dtype=float)) for values in (reference, other))
    found = dataclasses.replace(refused, difference=_middle(b) - _middle(a))
    if refused.n < FEWEST_RUNS:
        return dataclasses.replace(found, verdict=TOO_FEW, more_runs=FEWEST_RUNS - refused.n)
    drawn = bootstrap_medians(b, draws, seed + 1) - bootstrap_medians(a, draws, seed)
    low, high = _interval(drawn, confidence)
    return _judged(found, low, high, mann_whitney(a, b), confidence)


def _judged(found: Ratio, low: float, high: float, p: float, confidence: float) -> Ratio:
    """A difference with its interval: different where that is on one side of 0, and a test agrees."""
    apart = (low > 0 or high < 0) and p <= 1 - confidence
    return dataclasses.replace(
        found, verdict=DIFFERENT if apart else UNDECIDED, difference_low=low, difference_high=high
    )


@functools.lru_cache(maxsize=4096)
def _sorted_logs(values: tuple[float, ...]) -> Array:
    return np.sort(np.log(np.asarray(values, dtype=float)))


@functools.lru_cache(maxsize=1024)
def _drawn_logs(values: tuple[float, ...], draws: int, seed: int) -> Array:
    """Medians of resamples, kept: one cell is compared with many others."""
    return bootstrap_medians(_sorted_logs(values), draws, seed)


def _middle(ordered: Array) -> float:
    n = len(ordered)
    return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))


#: Up to so many values in the smaller sample, and in the larger, the distribution is exact; as in scipy, but bounded.
EXACT_SMALLER, EXACT_LARGER = 8, 500


def mann_whitney(a: Array, b: Array) -> float:
    """Two-sided p-value that values of neither sorted sample tend to be larger (Mann & Whitney 1947).

    Exact for small samples without ties; else normal, with corrections for ties and continuity. Equal to
    ``scipy.stats.mannwhitneyu``, without its checks of what comes in: those take most of its time.
    """
    n, m = len(a), len(b)
    u = 0.5 * float(np.searchsorted(a, b, "left").sum() + np.searchsorted(a, b, "right").sum())
    u = max(u, n * m - u)
    together = np.sort(np.concatenate((a, b)))
    edges = np.flatnonzero(np.concatenate(([True], together[1:] != together[:-1], [True])))
    tied = np.diff(edges)
    if len(tied) == n + m and min(n, m) <= EXACT_SMALLER and max(n, m) <= EXACT_LARGER:
        counts = _arrangements(min(n, m), max(n, m))
        return min(1.0, 2 * float(counts[math.ceil(u) :].sum() / counts.sum()))
    whole = n + m
    ties = float((tied.astype(float) ** 3 - tied).sum()) / (whole * (whole - 1))
    spread = math.sqrt(n * m / 12 * (whole + 1 - ties))
    if spread == 0:
        return 1.0
    return min(1.0, 2 * float(special.ndtr(-(u - n * m / 2 - 0.5) / spread)))


@functools.lru_cache(maxsize=256)
def _arrangements(n: int, m: int) -> Array:
    """How many arrangements of n and m values have each U: coefficients of a Gaussian binomial, shape (n m + 1,)."""
    found = np.zeros(n * m + 1, dtype=np.int64)
    found[0] = 1
    for i in range(1, n + 1):  # times (1 - q^(m + i)) / (1 - q^i)
        found[m + i :] -= found[: max(0, len(found) - m - i)].copy()
        for start in range(i):
            found[start::i] = np.cumsum(found[start::i])
    return found.astype(float)


def sign_test(logs: Array) -> float:
    """Two-sided exact p-value that the median log ratio is 0; blocks at exactly 0 count for neither side."""
    above, below = int((logs > 0).sum()), int((logs < 0).sum())
    if above + below == 0:
        return 1.0
    # a symmetric distribution: twice the smaller tail
    return min(1.0, 2 * float(special.bdtr(min(above, below), above + below, 0.5)))


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
    second, third, fourth = (float(((ordered - ordered.mean()) ** power).mean()) for power in (2, 3, 4))
    skew, kurtosis = third / second**1.5, fourth / second**2
    return (skew**2 + 1) / kurtosis > 5 / 9


def _refusal(
    reference: Sequence[float], other: Sequence[float], pairing: str, difference: bool = False
) -> Ratio | None:
    """The Ratio that says why there is none, or ``None`` where one can be computed."""
    if not len(reference) or not len(other):
        return Ratio(0, None, None, None, TOO_FEW, FEWEST_RUNS, pairing, "no block holds both cells")
    if difference or min(*reference, *other) <= 0:
        n = min(len(reference), len(other))
        return Ratio(n, None, None, None, UNDECIDED, None, pairing, "a value is 0 or less: no ratio exists")
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
