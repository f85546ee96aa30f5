"""Names like one that is not there, for the sentence that says so. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Names that a sentence shows, and looks through.
MOST_SHOWN, MOST_NAMES = 6, 20_000
_LONGEST_NAME = 120


def hint(name: str, known: Iterable[str], *, ordered: bool = False) -> str:
    """What is there instead, as the end of a sentence: "; near it: a, b" or "; there are: a, b, c and 4 more".

    Args:
        name: what is not there.
        known: what is.
        ordered: the first of them matter most; else they are told by the alphabet.
    """
    names = [printable(text[:_LONGEST_NAME]) for text in list(dict.fromkeys(known))[:MOST_NAMES]]
    if not names:
        return ""
    lower = {text.lower(): text for text in names}
    near = difflib.get_close_matches(name.lower(), lower, MOST_SHOWN, 0.6)
    near += [low for low in lower if name.lower() in low and low not in near]
    if near:
        return f"; near it: {', '.join(lower[low] for low in near[:MOST_SHOWN])}"
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"; there are: {', '.join((names if ordered else sorted(names))[:MOST_SHOWN])}{more}"


def printable(text: str) -> str:
    """A text from a server on one line, without what would drive a terminal."""
    if text.isprintable() and "  " not in text:  # nearly always
        return text.strip()
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
