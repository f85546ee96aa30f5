"""Files that a restore writes outside its target, over hostile backups of both servers."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.result import Result
from tests.stackyard.official import hostile as official
from tests.stackyard_server.upkeep import hostile as embedded

FIGURES = ("written_outside_by_restore",)
SEED = 20_261_130
QUICK_EVERY = 5


def figures(result: Result, quick: bool, options: Any) -> None:
    """Over 140 backups of the embedded server and 60 of the official one: what was written, linked or taken along
    that should not be."""
    dice, wrong = random.Random(SEED), 0
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = embedded.make(Path(scratch) / "ours"), official.make(Path(scratch) / "theirs")
        series: list[tuple[str, int, Callable[[], str], Callable[[], tuple[bool, list[str]]]]] = [
            (
                "embedded",
                embedded.COUNT,
                lambda: embedded.spoil(ours, dice),
                lambda: embedded.judge(ours, verify=dice.random() < 0.3),
            ),
            (
                "official",
                official.COUNT,
                lambda: official.spoil(theirs, dice),
                lambda: official.judge(theirs),
            ),
        ]
        for server, count, spoil, judge in series:
            ended: Counter[str] = Counter()
            for _ in range(0, count, QUICK_EVERY if quick else 1):
                said = spoil()
                restored, faults = judge()
                ended["restored" if restored else "refused"] += 1
                wrong += len(faults)
                for sentence in faults:
                    result.row(part="backups", server=server, change=said, wrong=sentence)
            result.row(part="backups", server=server, **ended)
    result.figure("written_outside_by_restore", wrong)
