from __future__ import annotations

import numpy as np
import pytest

from stackyard_tabular import splits
from stackyard_task.channel import BadInput
from tests.stackyard_tabular.running import data

SETTINGS = {"split_seed": 1, "validation_share": 0.3, "standardise": True, "dtype": "float32", "shared": None}


def load(path, keys=(), **changed):
    return splits.load(data(path, **dict(keys)), {**SETTINGS, **changed})


def test_both_parts_hold_every_row_once_and_each_class_in_the_same_share(flowers):
    split = load(flowers, standardise=False)
    assert np.bincount(split.validation_y).tolist() == [15, 15, 15]
    assert np.bincount(split.training_y).tolist() == [35, 35, 35]
    both = np.concatenate([split.training_x, split.validation_x])
    given = np.genfromtxt(flowers, delimiter=",", skip_header=1, usecols=range(4), dtype=np.float32)
    assert np.array_equal(np.sort(both, axis=0), np.sort(given, axis=0))


def test_standardising_learns_from_the_training_part_only(flowers):
    split, raw = load(flowers), load(flowers, standardise=False)
    assert np.allclose(split.training_x.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(split.training_x.std(axis=0), 1, atol=1e-4)
    assert np.allclose(split.mean, raw.training_x.mean(axis=0), atol=1e-5)
    assert not np.allclose(split.validation_x.mean(axis=0), 0, atol=1e-3)


def test_a_constant_column_stays_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,same,y\n" + "".join(f"{n},0.1,{n % 2}\n" for n in range(101)))
    split = load(path, standardise=True)
    assert split.constant_columns == 1
    assert np.abs(split.training_x[:, 1]).max() < 1e-6


def test_the_seed_decides_the_split(flowers):
    first, same, other = (load(flowers, split_seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.training_x, same.training_x)
    assert not np.array_equal(first.training_y, other.training_y)


def test_a_class_of_one_row_is_learnt_and_a_class_of_two_is_on_both_sides():
    learnt, held = splits.indices(np.array([0, 1, 1, *[2] * 20]), 23, 0.2, seed=1)
    assert 0 in learnt
    assert len({1, 2} & set(held.tolist())) == 1
    assert sorted([*learnt, *held]) == list(range(23))


@pytest.mark.parametrize(
    ("rows", "keys", "words"),
    [
        ("1,a\n2,a\n", {}, "is 'a' in every row: one class"),
        ("1,a\n2,b\n", {}, "has another value in each of 2 rows: these are no classes"),
        ("x,a\n2,b\n3,b\n", {}, "column 'x' holds text"),
        ("1,a\n,b\n3,b\n", {}, "column 'x' has no value in 1 rows"),
        ("1,a\n2,\n3,b\n", {}, "1 rows have no target"),
        ("1e300,a\n2,b\n3,b\n", {}, "column 'x' holds a value that is infinite as float32"),
        ("1,a\n1,b\n1,b\n1,a\n", {}, "every column is constant"),
        ("1,5\n2,5\n", {"task": "regression"}, "the target 'y' is 5 in every row"),
        ("1,a\n2,b\n", {"task": "regression"}, "the target 'y' holds text, and a regression takes numbers"),
    ],
)
def test_rows_that_nothing_can_be_learnt_from_are_one_sentence(rows, keys, words, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + rows)
    with pytest.raises(BadInput, match=words):
        load(path, keys)
