"""Ratios, intervals and verdicts on data whose truth is known."""

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stackyard.reports.statistics import (
    DIFFERENT,
    PARITY,
    TOO_FEW,
    UNDECIDED,
    bootstrap_medians,
    holm,
    looks_bimodal,
    mann_whitney,
    mean_interval,
    median_interval,
    paired_ratio,
    sign_test,
    summarise,
    unpaired_ratio,
)
from tests.counts import examples

LONG = os.environ.get("STACKYARD_LONG") == "1"


def null_matrices(count: int, n: int, noise: float, seed: int, cells: int = 4) -> tuple[int, int, int]:
    """(false different, pairs, matrices with one) where all cells of a matrix are the same."""
    generator = np.random.default_rng(seed)
    false = pairs = spoilt = 0
    for _ in range(count):
        drift = generator.normal(0, noise, n)
        values = np.exp(generator.normal(0, noise, (cells, n)) + drift)
        verdicts = [
            paired_ratio(values[i], values[j]).verdict for i in range(cells) for j in range(i + 1, cells)
        ]
        false += verdicts.count(DIFFERENT)
        pairs += len(verdicts)
        spoilt += DIFFERENT in verdicts
    return false, pairs, spoilt


@pytest.mark.parametrize("n", [6, 7, 10])
@pytest.mark.parametrize("noise", [0.03, 0.5])
def test_equal_cells_are_rarely_called_different(n: int, noise: float) -> None:
    count = 1000 if LONG else 100
    false, pairs, spoilt = null_matrices(count, n, noise, seed=n)
    print(f"{count} null matrices, n = {n}, noise {noise:.0%}: {false} of {pairs} pairs, {spoilt} matrices")
    # Three standard errors of a 5 % rate, pairs of one matrix counted as dependent.
    assert false / pairs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)
    if noise <= 0.03:
        assert spoilt / count <= 0.05


def test_ten_percent_more_is_found_at_ten_blocks() -> None:
    count = 4000 if LONG else 400
    generator = np.random.default_rng(5)
    found = 0
    for _ in range(count):
        a, b = np.exp(generator.normal(0, 0.03, (2, 10)))
        ratio = paired_ratio(a, 1.1 * b)
        found += ratio.verdict == DIFFERENT and (ratio.ratio or 0) > 1
    print(f"+10 % at n = 10 and 3 % noise: found in {found} of {count}")
    assert found / count >= 0.80 - (0 if LONG else 3 * math.sqrt(0.8 * 0.2 / count))


def test_the_ratio_is_the_median_of_the_within_block_ratios() -> None:
    reference = [10.0, 20.0, 40.0, 10.0, 20.0, 40.0, 10.0]
    other = [r * f for r, f in zip(reference, [2.0, 2.1, 1.9, 2.0, 2.2, 1.8, 2.0])]
    ratio = paired_ratio(reference, other)
    assert ratio.ratio == pytest.approx(2.0)
    assert ratio.verdict == DIFFERENT
    assert ratio.low is not None
    assert ratio.high is not None
    assert 1.8 <= ratio.low <= 2.0 <= ratio.high <= 2.2


def test_drift_that_hits_both_cells_of_a_block_does_not_matter() -> None:
    drift = [1.0, 1.5, 2.5, 4.0, 7.0, 11.0]
    ratio = paired_ratio(drift, [1.2 * value for value in drift])
    assert ratio.ratio == pytest.approx(1.2)
    assert ratio.verdict == DIFFERENT


def test_five_blocks_give_no_verdict_however_clear() -> None:
    ratio = paired_ratio([1.0] * 5, [9.0] * 5)
    assert (ratio.verdict, ratio.n, ratio.more_runs) == (TOO_FEW, 5, 1)
    assert ratio.low is None
    assert ratio.ratio == pytest.approx(9.0)


def test_the_band_is_adjustable() -> None:
    a, b = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98], [1.04, 1.05, 1.03, 1.04, 1.05, 1.02]
    assert paired_ratio(a, b).verdict == PARITY
    assert paired_ratio(a, b, parity_margin=1.01).verdict == DIFFERENT


def test_an_interval_across_the_edge_is_undecided_and_says_how_many_more() -> None:
    a = [1.0] * 6
    ratio = paired_ratio(a, [1.00, 1.03, 1.07, 1.12, 1.14, 1.10])
    assert ratio.verdict == UNDECIDED
    assert ratio.more_runs is not None
    assert 1 <= ratio.more_runs <= 200


def test_wider_spread_asks_for_more_runs() -> None:
    shape = np.array([-1.2, -0.6, -0.2, 0.2, 0.6, 1.2])
    few = paired_ratio([1.0] * 6, np.exp(0.12 + 0.10 * shape))
    many = paired_ratio([1.0] * 6, np.exp(0.12 + 0.20 * shape))
    assert few.verdict == many.verdict == UNDECIDED
    assert few.more_runs is not None
    assert many.more_runs is not None
    assert few.more_runs < many.more_runs


def test_blocks_that_disagree_on_the_side_are_not_called_different() -> None:
    # The percentile interval excludes 1, yet one block in seven says the opposite: p = 0.125.
    logs = np.log([0.5, 1.9, 1.9, 2.0, 2.0, 2.0, 2.1])
    low, _ = median_interval(logs)
    assert low > math.log(1.05)
    assert sign_test(logs) == pytest.approx(0.125)
    assert paired_ratio([1.0] * 7, np.exp(logs)).verdict == UNDECIDED


def test_zero_has_no_ratio_and_says_so() -> None:
    ratio = paired_ratio([1.0] * 6, [0.0] * 6)
    assert ratio.ratio is None
    assert "0" in (ratio.reason or "")


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_so() -> None:
    values = list(np.random.default_rng(3).normal(10, 1, 9))
    assert median_interval(values, seed=4) == median_interval(values, seed=4)
    assert np.allclose(median_interval(values, seed=4), median_interval(values, seed=5), atol=0.5)


def test_rank_drawing_is_a_plain_bootstrap_of_medians() -> None:
    values = np.random.default_rng(8).exponential(1, 8)
    plain = np.median(np.random.default_rng(9).choice(values, (10_000, 8)), axis=1)
    ours = bootstrap_medians(values, 10_000, 1)
    for share in (0.025, 0.2, 0.5, 0.8, 0.975):
        assert (ours <= np.quantile(plain, share)).mean() == pytest.approx(
            (plain <= np.quantile(plain, share)).mean(), abs=0.02
        )


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.floats(1e-3, 1e6), min_size=6, max_size=12), st.floats(0.01, 100))
def test_units_do_not_change_a_ratio(values: list[float], factor: float) -> None:
    other = [value * 1.3 for value in values]
    plain = paired_ratio(values, other)
    scaled = paired_ratio([v * factor for v in values], [v * factor for v in other])
    assert scaled.ratio == pytest.approx(plain.ratio)
    assert scaled.verdict == plain.verdict == DIFFERENT


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.floats(0.1, 1e9), min_size=6, max_size=15))
def test_an_interval_lies_within_the_runs_and_around_the_median(values: list[float]) -> None:
    summary = summarise(values)
    assert summary is not None
    assert summary.low is not None
    assert summary.high is not None
    slack = 1e-9 * summary.maximum
    assert summary.minimum - slack <= summary.low <= summary.median + slack
    assert summary.median - slack <= summary.high <= summary.maximum + slack


def test_nothing_measured_is_nothing() -> None:
    assert summarise([]) is None


def test_machines_without_a_common_block_compare_unpaired() -> None:
    generator = np.random.default_rng(2)
    ratio = unpaired_ratio(generator.normal(10, 0.2, 8), generator.normal(20, 0.2, 7))
    assert ratio.pairing == "unpaired"
    assert ratio.verdict == DIFFERENT
    assert ratio.ratio == pytest.approx(2, rel=0.1)
    same = unpaired_ratio([10.0] * 6, [10.1] * 6)
    assert same.verdict == PARITY


def test_holm_on_a_known_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_two_groups_are_seen_and_one_group_is_not() -> None:
    assert looks_bimodal([1.0, 1.01, 1.02, 2.0, 2.01, 2.02])
    assert not looks_bimodal([1.0, 1.01, 1.02, 1.03, 1.04, 9.0])  # one outlier is not a group
    assert not looks_bimodal([1.0, 1.001, 1.002, 1.01, 1.011, 1.012])  # apart, but by 1 %
    generator = np.random.default_rng(4)
    alarms = sum(looks_bimodal(list(generator.normal(1, 0.1, 8))) for _ in range(400))
    assert alarms <= 20


@pytest.mark.parametrize("seed", range(20))
def test_mann_whitney_is_scipy_s(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(20):
        n, m = generator.integers(1, 30, 2)
        a, b = generator.normal(size=n), generator.normal(size=m) + generator.normal()
        if seed % 2:
            a, b = np.round(a, 1), np.round(b, 1)
        expected = stats.mannwhitneyu(a, b, alternative="two-sided").pvalue
        assert mann_whitney(np.sort(a), np.sort(b)) == pytest.approx(expected, rel=1e-9)
    assert mann_whitney(np.ones(7), np.ones(9)) == 1.0


def test_an_interval_of_the_median_is_the_quantile_of_the_draws() -> None:
    for n in (6, 7, 40):
        values = np.random.default_rng(n).normal(size=n)
        drawn = np.quantile(bootstrap_medians(values, 1000, 3), [0.05, 0.95])
        assert median_interval(values, 0.9, 1000, 3) == pytest.approx(tuple(drawn), rel=1e-12)


def test_the_mean_has_student_s_interval() -> None:
    values = [1.0, 2.0, 4.0, 4.5, 7.0, 9.0]
    mean, low, high = mean_interval(values, 0.9)
    expected = stats.t.interval(0.9, 5, np.mean(values), stats.sem(values))
    assert (mean, low, high) == pytest.approx((np.mean(values), *expected))
    assert mean_interval([3.0]) == (3.0, None, None)
    summary = summarise(values[:5])
    assert summary is not None
    assert (summary.mean_low, summary.mean_high) == (None, None), "too few for an interval"


def test_where_values_leave_no_ratio_the_difference_is_judged() -> None:
    low, high = [-3.0, -2.9, -3.1, -3.05, -2.95, -3.0, -2.98], [-1.0, -0.9, -1.1, -1.05, -0.95, -1.0, -0.98]
    found = unpaired_ratio(low, high, draws=500)
    assert (found.ratio, found.verdict) == (None, "different")
    assert found.difference == pytest.approx(2.0)
    assert found.difference_low is not None
    assert found.difference_high is not None
    assert found.difference_low <= 2.0 <= found.difference_high
    assert unpaired_ratio(low, low, draws=500).verdict == "undecided", "a margin needs a ratio"
    assert unpaired_ratio(low[:5], high, draws=500).verdict == "too few runs"


def test_differences_within_pairs_are_judged_by_the_sign_test() -> None:
    before = [-5.0, -1.0, 0.0, 3.0, 8.0, 20.0]
    found = paired_ratio(before, [value + 1 for value in before], draws=500, difference=True)
    assert (found.ratio, found.difference, found.verdict, found.pairing) == (
        None,
        1.0,
        "different",
        "within block",
    )
    assert paired_ratio(before, before[::-1], draws=500, difference=True).verdict == "undecided"
    assert paired_ratio(before[:3], before[:3], difference=True).verdict == "too few runs"
    assert paired_ratio(before, before).difference is None, "nobody asked for it"


def test_the_sign_test_is_the_exact_binomial_one() -> None:
    for n in range(1, 40):
        for above in range(n + 1):
            logs = np.array([1.0] * above + [-1.0] * (n - above))
            assert sign_test(logs) == pytest.approx(stats.binomtest(above, n, 0.5).pvalue, rel=1e-9)
