"""Archives of a backup: what is packed comes back, and hostile members lead nowhere."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.official import archives

from . import hostile

LONG = os.environ.get("STACKYARD_LONG") == "1"


def test_hostile_members_of_a_backup_lead_nowhere(tmp_path: Path) -> None:
    seed = int(os.environ.get("STACKYARD_SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)
    place = hostile.make(tmp_path / "place")
    restored: Counter[bool] = Counter()
    for number in range(hostile.COUNT if LONG else 30):
        said = hostile.spoil(place, dice)
        came, faults = hostile.judge(place)
        assert faults == [], f"{said}, backup {number}, STACKYARD_SEED={seed}"
        restored[came] += 1
    assert restored[False] > restored[True], "most of them cannot be believed"


def test_what_was_packed_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a" / "empty").mkdir(parents=True)
    (folder / "a" / "é 日本").write_bytes(b"x" * 3_000_000)
    (folder / "program").write_bytes(b"#!/bin/sh")
    (folder / "program").chmod(0o755)
    archives.pack(tmp_path / "one.tar", folder, ".")
    (tmp_path / "new").mkdir()
    archives.unpack(tmp_path / "one.tar", tmp_path / "new")
    assert (tmp_path / "new" / "a" / "é 日本").read_bytes() == b"x" * 3_000_000
    assert (tmp_path / "new" / "a" / "empty").is_dir()
    assert (tmp_path / "new" / "program").stat().st_mode & 0o7777 == 0o755
    with pytest.raises(BadInputError, match="is there already"):
        archives.unpack(tmp_path / "one.tar", tmp_path / "new")
    assert (tmp_path / "new" / "program").exists(), "what was there stays"


def test_an_archive_that_is_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    archives.pack(tmp_path / "one.tar", tmp_path, "file")
    content = (tmp_path / "one.tar").read_bytes()
    (tmp_path / "one.tar").write_bytes(content[:50_000])
    (tmp_path / "new").mkdir()
    with pytest.raises(BadInputError):
        archives.unpack(tmp_path / "one.tar", tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
