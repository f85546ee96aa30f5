"""What the records of trials' runs note, as people see it: a few notes, short and printable. Pure."""

from __future__ import annotations

#: Notes of one study that are told, and letters of one.
MOST_NOTES, MOST_LETTERS = 20, 400


def shown(note: str) -> str:
    """A note without what a terminal might obey."""
    return "".join(letter if letter.isprintable() else " " for letter in note[:MOST_LETTERS])
