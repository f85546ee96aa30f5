"""Waiting for what happens, never for seconds. Standard library only, Python >= 3.9."""

from __future__ import annotations

import time
from typing import Any, Callable, TypeVar

T = TypeVar("T")

#: Ends what hangs, and nothing else: whatever is waited for ends the waiting, on a loaded machine too.
PATIENCE_SECONDS = 300.0


def until(what: Callable[[], T], doing: str, otherwise: Callable[[], Any] | None = None) -> T:
    """What a function answers, once that is true.

    Args:
        what: asked again and again.
        doing: what is waited for, as the failure says it.
        otherwise: what is worth knowing where it does not come; asked then.
    """
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.01
    while not (found := what()):
        if time.monotonic() > deadline:
            seen = f"{found!r}" + (f"; {otherwise()}" if otherwise else "")
            raise AssertionError(f"waited {PATIENCE_SECONDS:g} s for {doing}; last seen: {seen}")
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)
    return found
