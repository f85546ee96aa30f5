"""Numbers with what they count, in singular or plural, for notes that people read. Standard library only."""

from __future__ import annotations


def count(number: float, noun: str) -> str:
    """A number with its noun: "1 line", "12 lines", "1.5 cores"."""
    shown = f"{number:,g}" if isinstance(number, float) else f"{number:,}"
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def were(number: int) -> str:
    """The verb for so many: "was" or "were"."""
    return "was" if number == 1 else "were"


def are(number: int) -> str:
    """The verb for so many: "is" or "are"."""
    return "is" if number == 1 else "are"
