"""How a matrix under way is shown: a live line on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from stackyard.cli.lines import Lines, LiveLines, Watcher, lines
from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard_task.records import RunRecord


class RunWatcher(Watcher):
    """One line per run, and what is under way below them where somebody looks."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(lines)
        #: The run that is under way, and how many of all are over.
        self._label, self._done, self._total = "", 0, 0

    def started(self, label: str, done: int, total: int) -> None:
        """Of lines only preparations are told: a run is told when it ends."""
        self._label, self._done, self._total = label, done, total
        if label.startswith("prepare ") and not isinstance(self._lines, LiveLines):
            self.message(label)
        self._lines.show(label, done, total)

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        """Show phase, share and loss of the run under way."""
        left = "" if left_seconds is None else f"{duration(left_seconds)} left"
        detail = f"  {inside(progress)}" if progress else ""
        self._lines.show(f"{self._label}{detail}", self._done, self._total, left)

    def ended(self, label: str, record: RunRecord, done: int, total: int, left_seconds: float | None) -> None:
        """One line per run."""
        width = len(str(total))
        left = "" if left_seconds is None or done == total else f"  {duration(left_seconds)} left"
        self.message(f"[{done:{width}d}/{total}] {label}  {outcome(record)}{left}")
        self._done = done
        self._lines.show(label, done, total)


def watcher(console: Console) -> RunWatcher:
    """The watcher that suits where ``console`` prints to."""
    return RunWatcher(lines(console))


def outcome(record: RunRecord) -> str:
    """What a run came to, in a few words."""
    if record.failure is not None:
        return f"FAILED {record.failure.kind}: {record.failure.message}"
    if record.stopped is not None:
        return record.stopped.message
    measured = record.measurement
    shown = (
        ("", measured.wall_seconds, "s"),
        ("cpu ", measured.cpu_seconds, "s"),
        ("peak ", measured.peak_rss_bytes, "B"),
    )
    parts = [name + quantity(value, unit) for name, value, unit in shown if value is not None]
    if record.not_understood:
        parts.append(f"{count(record.not_understood, 'value')} of its channel left out")
    return "  ".join(parts).replace("\u00a0", " ") or "done"


def inside(progress: Mapping[str, Any]) -> str:
    """The supervisor's progress in a few words."""
    parts = [str(progress.get("phase") or "")]
    done, total = progress.get("done"), progress.get("total")
    if isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
        parts.append(f"{100 * done / total:.0f} %")
    loss = progress.get("loss")
    if isinstance(loss, (int, float)):
        parts.append(f"loss {loss:.4g}")
    return " ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """A length of time as people say it: "0:42", "12:05", "1:02:03"."""
    whole = round(max(seconds, 0.0))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def size(count: int) -> str:
    """A number of bytes for people, in decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
