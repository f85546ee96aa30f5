"""How a build under way is shown, and how it is ended: for the commands that build stacks and images."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status

#: Without a terminal, one step is reported again after so long.
_QUIET_SECONDS = 15.0


class Watch:
    """Shows what a build does, on stderr: one live line on a terminal, a line per step elsewhere."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self._console = Console(stderr=True)
        self._status: Status | None = None
        self._started = self._printed_at = time.monotonic()
        self._step = ""

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._status = self._console.status(escape(self._stack))
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the live line."""
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """Show one line of progress."""
        now = time.monotonic()
        step = text.partition(": ")[0].partition(" · ")[0]
        lasting = text.startswith(("passed over", "another build"))
        if self._status is not None:
            if lasting:
                self._print(text)
            else:
                self._status.update(escape(f"{self._stack}: {text} ({now - self._started:.0f} s)"))
        elif lasting or step != self._step or now - self._printed_at >= _QUIET_SECONDS:
            self._print(text)
            self._printed_at = now
        if not lasting:
            self._step = step

    def _print(self, text: str) -> None:
        self._console.print(f"{self._stack}: {text}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def terminated_like_ctrl_c() -> Iterator[None]:
    """SIGTERM ends a build as Ctrl-C does: everything it started is ended and cleared away."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
