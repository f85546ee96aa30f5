"""The first words of a ``status_reason`` that this server writes: stable, for programs to read. Pure.

What follows the word and the colon is for people and may change. A reason without one of these words was given by
whoever ended the task: its own code, its agent or a person. See docs/server.md, "Why a task ended".
"""

from __future__ import annotations

#: What runs tasks failed (a machine, an agent, the network), not the task's code: worth another try.
INFRASTRUCTURE = "infrastructure"
#: The task ran longer than it or its queue allows.
TIME_LIMIT = "time_limit"


def reason(word: str, text: str) -> str:
    """A ``status_reason`` that begins with that word."""
    return f"{word}: {text}"


def says(status_reason: str | None, word: str) -> bool:
    """Whether a ``status_reason`` begins with that word."""
    return (status_reason or "").startswith(f"{word}:")
