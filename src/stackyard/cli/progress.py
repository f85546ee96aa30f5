"""How a matrix under way is shown: a live line on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard_task.records import RunRecord


class PlainWatcher:
    """One line per event: for logs, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> PlainWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def message(self, text: str) -> None:
        """One line worth knowing."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def started(self, label: str, done: int, total: int) -> None:
        """Only preparations are announced: runs are told about when they end."""
        if label.startswith("prepare "):
            self.message(label)

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        """Nothing between runs."""

    def ended(self, label: str, record: RunRecord, done: int, total: int, left_seconds: float | None) -> None:
        """One line per run."""
        width = len(str(total))
        left = "" if left_seconds is None or done == total else f"  {duration(left_seconds)} left"
        self.message(f"[{done:{width}d}/{total}] {label}  {outcome(record)}{left}")


class LiveWatcher(PlainWatcher):
    """The same lines above a bar with the current run, its phase and the remaining time."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            # What changes its width stands last, so that the rest does not move.
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", markup=False),
            console=console,
            # Drawn from ticks only: a drawing thread would compete with the run that is measured.
            auto_refresh=False,
            transient=True,
        )
        self._task: TaskID | None = None
        self._label = ""

    def __enter__(self) -> LiveWatcher:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._progress.stop()

    def message(self, text: str) -> None:
        """One line above the bar."""
        self._progress.console.print(escape(text), highlight=False, soft_wrap=True)

    def started(self, label: str, done: int, total: int) -> None:
        """Show the run that begins."""
        self._label = label
        if self._task is None:
            self._task = self._progress.add_task(label, total=total, completed=done, left="")
        self._progress.update(self._task, description=label, completed=done)
        self._progress.refresh()

    def tick(self, progress: Mapping[str, Any] | None, left_seconds: float | None) -> None:
        """Show phase, share and loss of the run under way."""
        if self._task is None:
            return
        left = "" if left_seconds is None else f"{duration(left_seconds)} left"
        detail = f"  {inside(progress)}" if progress else ""
        self._progress.update(self._task, description=f"{self._label}{detail}", left=left)
        self._progress.refresh()

    def ended(self, label: str, record: RunRecord, done: int, total: int, left_seconds: float | None) -> None:
        """One line per run, and the bar moves on."""
        super().ended(label, record, done, total, left_seconds)
        if self._task is not None:
            self._progress.update(self._task, completed=done)
            self._progress.refresh()


def watcher(console: Console) -> PlainWatcher:
    """The watcher that suits where ``console`` prints to."""
    return LiveWatcher(console) if console.is_terminal else PlainWatcher(console)


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
