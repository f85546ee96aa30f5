from __future__ import annotations

import pytest

from stackyard_tabular.stages.genetic import Gene, search

GENES = (
    Gene("x", low=0.0, high=10.0),
    Gene("n", low=1, high=64, whole=True, log=True),
    Gene("c", values=("a", "b", None)),
)
BEGIN = {"x": 0.0, "n": 1, "c": "a"}


def worth(one):
    return -((one["x"] - 7.0) ** 2) - abs(one["n"] - 20) / 10 - (one["c"] is not None)


def hunt(seed, generations=12, score=worth):
    tried = []

    def scores(candidates):
        tried.extend(candidates)
        return [score(one) for one in candidates]

    return search(GENES, BEGIN, scores, 8, generations, seed), tried


@pytest.mark.parametrize("seed", range(5))
def test_the_search_gets_near_the_best_and_stays_within_bounds(seed):
    found, tried = hunt(seed)
    assert found.score == max(worth(one) for one in tried) > -1.5
    assert found.tried == len(tried)
    assert all(0 <= one["x"] <= 10 and 1 <= one["n"] <= 64 and one["n"] == int(one["n"]) for one in tried)


def test_nothing_is_tried_twice_and_the_seed_decides():
    first, tried = hunt(1)
    assert len({str(sorted(one.items())) for one in tried}) == len(tried)
    assert hunt(1)[0] == first
    assert tried[0] == BEGIN


def test_a_score_that_is_no_number_never_wins():
    found, _ = hunt(1, score=lambda one: float("nan") if one["c"] is None else worth(one))
    assert found.settings["c"] is not None


def test_without_generations_the_first_one_is_all():
    assert hunt(1, generations=0)[0].tried == 8
