"""How much is tried: everything in ``make test-long``, less in ``make test``. Standard library only, Python >= 3.9."""

from __future__ import annotations

import os

#: Whether everything is tried.
LONG = bool(os.environ.get("STACKYARD_LONG"))
#: Of a property's examples, at reduced counts one in so many is tried, but never fewer than ten.
SHARE = 4


def examples(full: int) -> int:
    """How many examples of a property are tried, of so many."""
    return full if LONG else max(10, full // SHARE)
