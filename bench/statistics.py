"""How often the verdicts are wrong: ``python -m bench.statistics [--json FILE] [--matrices N] [--quick]``.

Synthetic matrices whose truth is known, judged by stackyard.reports.statistics at full bootstrap draws.
Needs stackyard's own environment (numpy, scipy); no data.

* ``false_different_percent``: of all pairs of equal cells, at 3 % noise, n = 6 to 10 (worst n).
* ``false_different_matrix_percent``: matrices of four equal cells (six pairs) with at least one such pair.
* ``false_different_percent_any_noise``: the first, worst over n, noise up to 100 % and heavy tails.
* ``false_different_matrix_percent_any_noise``: the second likewise (verdicts are per pair).
* ``false_different_at_edge_percent``: pairs whose true ratio is the edge of the parity band (worst n).
* ``planted_found_percent``: a planted +10 % at n = 10 and 3 % noise, called different the right way.
* ``advice_decides_percent``: undecided pairs that have a verdict once the advised runs were added.
"""

from __future__ import annotations

import math
import sys
from typing import Callable, Tuple

import numpy as np

from bench.result import Result, arguments
from stackyard.reports.statistics import DIFFERENT, UNDECIDED, paired_ratio

CELLS = 4
EDGE = 1.05
Noise = Callable[[np.random.Generator, Tuple[int, ...]], np.ndarray]

NOISES: dict[str, Noise] = {
    "lognormal 3 %": lambda g, shape: g.normal(0, 0.03, shape),
    "lognormal 10 %": lambda g, shape: g.normal(0, 0.10, shape),
    "lognormal 100 %": lambda g, shape: g.normal(0, 1.0, shape),
    "t with 2 degrees of freedom, 30 %": lambda g, shape: 0.3 * g.standard_t(2, shape),
    "one run in ten 1.5 to 3 times slower": lambda g, shape: (
        g.normal(0, 0.03, shape) + np.where(g.random(shape) < 0.1, g.uniform(0.4, 1.1, shape), 0.0)
    ),
}


def wilson(count: int, total: int) -> Tuple[float, float, float]:
    """Percent and its 95 % interval (Wilson 1927)."""
    z, p = 1.96, count / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return 100 * p, max(0.0, round(100 * (centre - half), 6)), min(100.0, 100 * (centre + half))


def null_matrices(count: int, n: int, noise: Noise, seed: int) -> Tuple[int, int, int]:
    """(pairs called different, pairs, matrices with such a pair); blocks share a drift."""
    generator = np.random.default_rng([seed, n])
    false = pairs = spoilt = 0
    for _ in range(count):
        values = np.exp(noise(generator, (CELLS, n)) + noise(generator, (n,)))
        found = [
            paired_ratio(values[i], values[j]).verdict for i in range(CELLS) for j in range(i + 1, CELLS)
        ]
        false, pairs = false + found.count(DIFFERENT), pairs + len(found)
        spoilt += DIFFERENT in found
    return false, pairs, spoilt


def planted(count: int, n: int, factor: float, sd: float, seed: int) -> int:
    """Pairs called different in the right direction."""
    generator = np.random.default_rng([seed, n])
    found = 0
    for _ in range(count):
        a, b = np.exp(generator.normal(0, sd, (2, n)))
        ratio = paired_ratio(a, factor * b)
        found += ratio.verdict == DIFFERENT and ((ratio.ratio or 0) > 1) == (factor > 1)
    return found


def advised(count: int, seed: int) -> Tuple[int, int]:
    """(decided after the advised runs were added, undecided pairs with advice) at 6 blocks and 5 % noise."""
    generator = np.random.default_rng(seed)
    decided = asked = 0
    while asked < count:
        factor = float(np.exp(generator.uniform(-0.2, 0.2)))
        a, b = np.exp(generator.normal(0, 0.05, (2, 6)))
        first = paired_ratio(a, factor * b)
        if first.verdict != UNDECIDED or first.more_runs is None:
            continue
        asked += 1
        c, d = np.exp(generator.normal(0, 0.05, (2, first.more_runs)))
        decided += paired_ratio([*a, *c], [*(factor * b), *(factor * d)]).verdict != UNDECIDED
    return decided, asked


def main() -> int:
    """Run every case; exit 0."""
    parser = arguments("statistics", (__doc__ or "").splitlines()[0])
    parser.add_argument("--matrices", type=int, default=1000, help="null matrices per case (1000)")
    given = parser.parse_args()
    if given.quick:
        given.matrices = min(given.matrices, 50)
    result = Result("statistics")
    count = given.matrices
    calm: list[Tuple[float, float, float]] = []
    spoilt_calm: list[Tuple[float, float, float]] = []
    every: list[Tuple[float, float, float]] = []
    spoilt_every: list[Tuple[float, float, float]] = []
    for name, noise in NOISES.items():
        for n in range(6, 11):
            false, pairs, spoilt = null_matrices(count, n, noise, 1)
            rate, matrices = wilson(false, pairs), wilson(spoilt, count)
            result.row(
                case="null", noise=name, n=n, pairs=pairs, false_different=false, matrices_spoilt=spoilt
            )
            every.append(rate)
            spoilt_every.append(matrices)
            if name == "lognormal 3 %":
                calm.append(rate)
                spoilt_calm.append(matrices)
    for figure, rates in (
        ("false_different_percent", calm),
        ("false_different_matrix_percent", spoilt_calm),
        ("false_different_percent_any_noise", every),
        ("false_different_matrix_percent_any_noise", spoilt_every),
    ):
        worst = max(rates)
        result.figure(figure, worst[0], worst[1:])
    edges = []
    for n in range(6, 11):
        for sd in (0.01, 0.03):
            found = planted(2 * count, n, EDGE, sd, 2)
            edges.append(wilson(found, 2 * count))
            result.row(case="at the edge", sd=sd, n=n, pairs=2 * count, different=found)
    result.figure("false_different_at_edge_percent", max(edges)[0], max(edges)[1:])
    for n in (6, 8, 10, 12):
        found = planted(4 * count, n, 1.10, 0.03, 3)
        result.row(case="planted +10 %", sd=0.03, n=n, pairs=4 * count, different=found)
        if n == 10:
            rate = wilson(found, 4 * count)
            result.figure("planted_found_percent", rate[0], rate[1:])
    decided, asked = advised(count, 4)
    rate = wilson(decided, asked)
    result.figure("advice_decides_percent", rate[0], rate[1:])
    result.row(case="advice", undecided=asked, decided_after=decided)
    result.finish(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
