"""What a ``status_reason`` tells programs: the first words that this server writes, and an agent's. Pure.

What follows the word and the colon is for people and may change. A reason without one of these words was given by
whoever ended the task: its own code, its agent or a person. See docs/server.md, "Why a task ended".
"""

from __future__ import annotations

#: What runs tasks failed (a machine, an agent, the network), not the task's code: worth another try.
INFRASTRUCTURE = "infrastructure"
#: The task ran longer than it or its queue allows.
TIME_LIMIT = "time_limit"

#: What an agent says of a task that it has ended because somebody asked for that.
STOPPED_AS_ASKED = "task was stopped by tasks.stop"
#: How long after its end something of an ended run may still speak, milliseconds.
ECHO_MS = 10_000


def reason(word: str, text: str) -> str:
    """A ``status_reason`` that begins with that word."""
    return f"{word}: {text}"


def says(status_reason: str | None, word: str) -> bool:
    """Whether a ``status_reason`` begins with that word."""
    return (status_reason or "").startswith(f"{word}:")


def is_echo(status_reason: str | None, changed: int | None, now: int) -> bool:
    """Whether a task that is said to start now was ended on request so lately that a dying part of its run speaks.

    Args:
        status_reason: The ended task's.
        changed: When it ended, epoch milliseconds.
        now: Epoch milliseconds.
    """
    as_asked = status_reason == STOPPED_AS_ASKED or says(status_reason, TIME_LIMIT)
    return as_asked and changed is not None and now - changed < ECHO_MS
