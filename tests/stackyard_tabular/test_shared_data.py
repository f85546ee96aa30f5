from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from stackyard_tabular import shared_data, splits
from tests.stackyard_tabular.running import data
from tests.stackyard_tabular.test_splits import SETTINGS

KEY = "a" * 64


def made(size=1000, count=None):
    def make():
        if count is not None:
            count.append(1)
        return {"x": np.arange(size, dtype=np.float64)}, {"told": "once"}

    return make


def test_the_first_one_makes_and_the_others_map(tmp_path):
    count = []
    for _ in range(3):
        arrays, facts, shared = shared_data.arrays(tmp_path, KEY, made(count=count))
        assert (arrays["x"][-1], facts, shared) == (999.0, {"told": "once"}, True)
        with pytest.raises(ValueError, match="read-only"):
            arrays["x"][0] = 1.0
    assert count == [1]


def test_what_would_not_fit_stays_with_its_process(tmp_path):
    arrays, _, shared = shared_data.arrays(tmp_path, KEY, made(), most_bytes=7999)
    assert not shared
    assert arrays["x"].nbytes == 8000
    assert not list(tmp_path.glob("*/*"))


def test_an_entry_that_somebody_broke_is_made_again(tmp_path):
    shared_data.arrays(tmp_path, KEY, made())
    (tmp_path / KEY / "x.npy").write_bytes(b"nothing")
    (tmp_path / f"{KEY}.part").mkdir()  # of one that was killed
    arrays, _, shared = shared_data.arrays(tmp_path, KEY, made())
    assert shared
    assert arrays["x"].sum() == 999 * 500


def test_what_fails_while_it_is_made_leaves_nothing(tmp_path):
    def make():
        return {"x": np.array([object()])}, {}

    with pytest.raises(ValueError, match="allow_pickle"):
        shared_data.arrays(tmp_path, KEY, make)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


PROGRAM = """
import sys, numpy as np
from pathlib import Path
from stackyard_tabular import shared_data, usage
folder = shared_data.folder(None)
before = usage.rss_minus_shared_bytes()
arrays, _, shared = shared_data.arrays(folder, "b" * 64, lambda: ({"x": np.ones(8_000_000)}, {}))
arrays["x"].sum()
print(int(shared), usage.rss_minus_shared_bytes() - before)
"""


def test_a_second_process_pays_no_memory_of_its_own(tmp_path):
    """64 MB of data: whoever maps them has them among its shared pages."""
    environment = {**os.environ, shared_data.VARIABLE: str(tmp_path)}
    for _ in range(2):
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        shared, grown = map(int, told.stdout.split())
        assert shared
        assert grown < 16_000_000


def test_trials_of_the_same_split_share_and_of_another_do_not(flowers, tmp_path):
    place = {**SETTINGS, "shared": str(tmp_path)}
    first = splits.load(data(flowers), place)
    again = splits.load(data(flowers), place)
    own = splits.load(data(flowers), SETTINGS)
    assert first.shared
    assert again.shared
    assert not own.shared
    for name in ("training_x", "training_y", "validation_x", "validation_y", "mean", "scale"):
        assert np.array_equal(getattr(again, name), getattr(own, name))
    assert again.classes == own.classes
    splits.load(data(flowers), {**place, "split_seed": 2})
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
