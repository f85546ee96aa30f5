"""Lines on stderr, and on a terminal a bar below them that shows what is under way."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Lines:
    """One line per event: for logs, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def message(self, text: str) -> None:
        """One line worth knowing."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, text: str, done: float, total: float, left: str = "") -> None:
        """What is under way, as far as somebody watches: nothing here.

        Args:
            text: in a few words.
            done: of ``total``.
            total: what there is to do.
            left: how long it takes, in words.
        """


class LiveLines(Lines):
    """The same lines above a bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
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

    def __enter__(self) -> LiveLines:
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

    def show(self, text: str, done: float, total: float, left: str = "") -> None:
        """What is under way, on the bar."""
        count = f"{done:.0f}/{total:.0f}" if total > 1 else f"{100 * done:.0f} %"
        if self._task is None:
            self._task = self._progress.add_task(text, total=total, left=left, count=count)
        self._progress.update(self._task, description=text, completed=done, left=left, count=count)
        self._progress.refresh()


def lines(console: Console) -> Lines:
    """What suits where ``console`` prints to."""
    return LiveLines(console) if console.is_terminal else Lines(console)


class Watcher:
    """Who tells by lines what happens; ended with them."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __enter__(self) -> Self:
        self._lines.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is shown as under way any more."""
        self._lines.__exit__(kind, error, trace)

    def message(self, text: str) -> None:
        """One line worth knowing."""
        self._lines.message(text)
