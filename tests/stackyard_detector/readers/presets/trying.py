"""Lines in the form of a maker's documentation, read by a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence, Tuple

from stackyard_detector.readers import Quarantine, read_sessions
from stackyard_detector.readers.guessing import guessed
from stackyard_detector.readers.reading import fit_templates

#: Addresses of the documentation ranges (RFC 5737, RFC 3849), and inside ones.
OUT, OTHER, OUT6 = "198.51.100.7", "203.0.113.9", "2001:db8::7"
IN, IN2 = "10.0.0.5", "192.168.7.20"


def read(
    folder: Path, preset: str, lines: Sequence[str], quarantined: int = 0, guess: bool = True, **own: Any
) -> List[Tuple[str, List[str]]]:
    """Sessions as (key, events), in order of time; sees that the lines are guessed to be of this preset.

    Args:
        folder: where to write them.
        preset: its name.
        lines: of the log.
        quarantined: how many lines are corrupt.
        guess: whether the preset is found by itself.
        own: further keys of the source.
    """
    path = folder / "log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    quarantine = Quarantine()
    data = {"sources": [{"path": str(path), "preset": preset, **own}]}
    sessions = list(read_sessions(data, quarantine, fit_templates(data)))
    assert quarantine.count == quarantined, quarantine.first
    if guess:
        assert guessed(lines).settings["preset"] == preset
    return [(session.key, list(session.events)) for session in sessions]


def years(folder: Path, preset: str, lines: Sequence[str]) -> List[float]:
    """When the sessions started, seconds since the epoch."""
    path = folder / "log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"sources": [{"path": str(path), "preset": preset}]}
    return [session.started_at or 0.0 for session in read_sessions(data, Quarantine(), fit_templates(data))]
