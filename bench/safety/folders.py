"""Files that a start loses over damaged data folders."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.result import Result
from tests.stackyard_server.durability import damaged

FIGURES = ("files_lost_by_start",)
SEED = 20_261_130
QUICK_EVERY = 4


def figures(result: Result, quick: bool, options: Any) -> None:
    """Tasks, points and files that were acknowledged and are gone, and contents that a start removed."""
    dice, lost = random.Random(SEED), 0
    folders: Counter[str] = Counter()
    started: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        made = damaged.make(Path(scratch) / "made", dice)
        for kind in damaged.KINDS[:: QUICK_EVERY if quick else 1]:
            folder = Path(scratch) / "damaged"
            said = damaged.spoil(made, kind, folder, dice)
            came, gone = damaged.judge(folder, said)
            shutil.rmtree(folder)
            folders[kind] += 1
            started[kind] += came
            lost += len(gone)
            for sentence in gone:
                result.row(part="folders", kind=kind, lost=sentence)
    for kind, count in folders.items():
        result.row(part="folders", kind=kind, folders=count, started=started[kind])
    result.figure("files_lost_by_start", lost)
