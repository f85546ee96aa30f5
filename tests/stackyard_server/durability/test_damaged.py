"""A start on a folder that something happened to: all that was acknowledged is there, or it refuses."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from . import damaged

LONG = os.environ.get("STACKYARD_LONG") == "1"
#: Of the sixty folders of the whole series.
EVERY = 1 if LONG else 4


@pytest.mark.promise("a-start-loses-nothing")
def test_a_start_loses_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("STACKYARD_SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)
    folders = damaged.make(tmp_path / "made", dice, size=6 if not LONG else 12)
    for source, said in (folders.stopped, folders.killed):
        assert damaged.judge(source, said) == (True, []), "undamaged ones start"
    folders = damaged.make(tmp_path / "again", dice, size=6 if not LONG else 12)
    started: Counter[str] = Counter()
    for number, kind in enumerate(damaged.KINDS[::EVERY]):
        folder = tmp_path / f"damaged{number}"
        said = damaged.spoil(folders, kind, folder, dice)
        came, lost = damaged.judge(folder, said)
        assert lost == [], f"{kind}, folder {number}, STACKYARD_SEED={seed}"
        started[kind] += came
    assert [started[kind] for kind in damaged.WHOLE] == [0] * len(damaged.WHOLE)
