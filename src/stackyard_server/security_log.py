"""The security log: one logger, one line per event, never a secret (OWASP ASVS 5.0, 16.2 and 16.3).

A line is ``event key="value" ...``; values are JSON text in ASCII, so that nothing a client sends can start a line of
its own or reach a terminal. An event repeated from one address is written ``BURST`` times a minute and then counted.
"""

from __future__ import annotations

import json
import logging
import threading
import time

log = logging.getLogger("stackyard_server.security")

#: Lines per event and address and minute; what is beyond is counted in the next line.
BURST = 30
LONGEST_VALUE = 200

_counts: dict[tuple[str, str], tuple[int, int]] = {}
_lock = threading.Lock()


def note(event: str, /, level: int = logging.WARNING, **details: object) -> None:
    """Write one event."""
    if not log.isEnabledFor(level):
        return
    suppressed = _suppressed(event, str(details.get("address", "")))
    if suppressed is None:
        return
    if suppressed:
        details["suppressed"] = suppressed
    log.log(level, "%s", " ".join([event, *(f"{key}={shown(value)}" for key, value in details.items())]))


def shown(value: object) -> str:
    """A value on one line, in ASCII, cut."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    text = str(value)
    return json.dumps(text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "...").replace(
        "\x7f", "\\u007f"
    )


def _suppressed(event: str, address: str) -> int | None:
    """How many lines of this kind were left out before this one; None leaves this one out too."""
    if not address:
        return 0
    minute = int(time.monotonic() // 60)
    with _lock:
        if len(_counts) > 1000:
            _counts.clear()
        began, count = _counts.get((event, address), (minute, 0))
        if began != minute:
            _counts[event, address] = (minute, 1)
            return max(0, count - BURST)
        _counts[event, address] = (began, count + 1)
    return 0 if count < BURST else None
