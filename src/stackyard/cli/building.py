"""How a build under way is shown, and how it is ended: for the commands that build stacks and images."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status

#: Without a terminal, one step is reported again after so long.
_QUIET_SECONDS = 15.0


def sparsely(say: Callable[[str], None]) -> Callable[[str], None]:
    """A teller of a build's progress for a file or a log: a line per step, and one more where a step takes long.

    Args:
        say: told the lines that are left.
    """
    step = ""
    told_at = 0.0

    def tell(text: str) -> None:
        nonlocal step, told_at
        if _lasting(text):
            say(text)
            return
        now = time.monotonic()
        if (new := _step(text)) != step or now - told_at >= _QUIET_SECONDS:
            step, told_at = new, now
            say(text)

    return tell


def _step(text: str) -> str:
    return text.partition(": ")[0].partition(" · ")[0]


def _lasting(text: str) -> bool:
    """Whether a line is no step of the build, and has to stay where a user can read it."""
    return text.startswith(("passed over", "another build"))


class Watch:
    """Shows what a build does, on stderr: one live line on a terminal, a line per step elsewhere."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self._console = Console(stderr=True)
        self._status: Status | None = None
        self._started = time.monotonic()
        self._print_sparsely = sparsely(self._print)

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
        if self._status is None or _lasting(text):
            self._print_sparsely(text)
        else:
            seconds = time.monotonic() - self._started
            self._status.update(escape(f"{self._stack}: {text} ({seconds:.0f} s)"))

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
