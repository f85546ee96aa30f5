"""How values look on a page. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

#: Status -> (word on the page, class of its colour).
STATUSES = {
    "created": ("draft", "quiet"),
    "queued": ("queued", "waiting"),
    "in_progress": ("running", "running"),
    "stopped": ("aborted", "stopped"),
    "closed": ("closed", "quiet"),
    "failed": ("failed", "failed"),
    "completed": ("completed", "good"),
    "publishing": ("publishing", "running"),
    "published": ("published", "good"),
    "unknown": ("unknown", "quiet"),
}


def moment(text: str | None) -> str:
    """``2026-11-21 20:42 UTC`` of an ISO instant; a dash for none."""
    return f"{text[:16].replace('T', ' ')} UTC" if text else "–"


def ago(text: str | None, now: datetime) -> str:
    """``3 min ago``; a dash for none."""
    if not text:
        return "–"
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return f"{duration(max(0, int((now - then).total_seconds())))} ago"


def duration(seconds: float | None) -> str:
    """``1 h 5 min``: the two largest units; a dash for none."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts)


def size(count: int | None) -> str:
    """Bytes in the unit that fits; a dash for none."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def name_of(joined: Any) -> str:
    """The name of a joined document ({id, name}), else its id."""
    if isinstance(joined, dict):
        return str(joined.get("name") or joined.get("id") or "")
    return str(joined or "")


def whole(value: Any) -> int | None:
    """A count that was kept as text or number; None for anything else."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
