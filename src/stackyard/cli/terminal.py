"""Texts from elsewhere on a terminal: nothing in them is a command to it. Pure."""

from __future__ import annotations


def plain(text: str) -> str:
    """``text`` with whatever does not show itself written out: control characters, marks of direction, line ends.

    A log line may hold escape sequences that move the cursor, rename the window or hide what stands before them.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in text
    )
