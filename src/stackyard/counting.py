"""Numbers with what they count, in singular or plural. Pure."""

from __future__ import annotations


def count(number: float, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 cell", "12 runs", "1.5 cores".

    Args:
        number: how many.
        noun: in singular.
        plural: where it is not the noun and an "s".
    """
    shown = f"{number:,g}" if isinstance(number, float) else f"{number:,}"
    return f"{shown} {noun}" if number == 1 else f"{shown} {plural or noun + 's'}"
