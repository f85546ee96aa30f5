"""Malformed requests at all three ports: none is answered by a 5xx, hangs, grows the server or harms the store."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from .fuzz.siege import Fault, run

pytestmark = pytest.mark.slow

LONG = os.environ.get("STACKYARD_LONG") == "1"
COUNT = 100_000 if LONG else 3_000
#: What a run may add to the memory it had after its first third (caches of SQLite and Python that have a limit).
GROWTH = 0.25


def told(fault: Fault) -> str:
    """A fault and how to see it again."""
    return f"request {fault.number}: {fault.what}\n{fault.attack.data[:1000]!r}\n-> {fault.answer}"


@pytest.mark.parametrize("seed", [20261122])
@pytest.mark.promise("fuzz", on="API, files, pages")
def test_malformed_requests_break_nothing(tmp_path: Path, seed: int) -> None:
    """CWE-20, CWE-400, CWE-89: every endpoint with values of every kind, bytes that are no HTTP, at all three ports.

    ``STACKYARD_LONG=1`` sends 100,000, and some of a new seed beside them.
    """
    runs = [(seed, COUNT)] + ([(random.SystemRandom().randrange(2**32), COUNT // 10)] if LONG else [])
    for some, count in runs:
        report = run(tmp_path / str(some), count, some)
        print(f"fuzz, seed {some}: {report.summary()}" + ("" if LONG else " (reduced from 100,000)"))
        assert not report.faults, f"seed {some}\n" + "\n\n".join(told(f) for f in report.faults[:5])
        assert report.sent == count
        assert report.integrity == "ok"
        assert "Traceback" not in report.log, report.log[-5000:]
        if count >= COUNT and LONG:
            assert report.end_rss_bytes <= report.warm_rss_bytes * (1 + GROWTH), report.summary()
