"""Commands of a build: started in a session of their own, listened to, ended with everything they started."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: Variables that would make Python or pip look or install elsewhere.
_MISLEADING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT")

#: How often a quiet command is reported as still at work.
TICK_SECONDS = 2.0


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would mislead another Python, and with ``more``."""
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return {
        **kept,
        "PYTHONNOUSERSITE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        **more,
    }


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    lines: tuple[str, ...]


def run(
    command: Sequence[str],
    log: IO[str],
    line: Callable[[str], None] = lambda text: None,
    tick: Callable[[], None] = lambda: None,
    keep_open: Sequence[int] = (),
    temporary: Path | None = None,
) -> Finished:
    """Run ``command`` to its end; every line of its output goes to ``log`` and to ``line``.

    Args:
        command: program and arguments.
        log: where the output is kept.
        line: called with each line.
        tick: called every TICK_SECONDS.
        keep_open: descriptors the command inherits (a build lock lasts as long as anything still builds).
        temporary: where the command puts its temporary files; ``None``: where it likes.

    Raises:
        OSError: the program cannot be started.
        BaseException: whatever interrupts us (Ctrl-C); the command and its children have then been ended.
    """
    log.write(f"$ {' '.join(command)}\n")
    more = {"TMPDIR": str(temporary)} if temporary else {}
    arrived: queue.Queue[str | None] = queue.Queue()
    lines: list[str] = []
    process: subprocess.Popen[str] | None = None
    try:
        with _signals_deferred():
            process = subprocess.Popen(
                list(command),
                env=clean_environment(PYTHONUNBUFFERED="1", **more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=tuple(keep_open),
                start_new_session=True,
            )
            threading.Thread(target=_read, args=(process.stdout, arrived), daemon=True).start()
        ticked = time.monotonic()
        while True:
            try:
                text = arrived.get(timeout=TICK_SECONDS / 8)
                if text is None:
                    break
                lines.append(text)
                log.write(text + "\n")
                line(text)
            except queue.Empty:
                pass
            if time.monotonic() - ticked >= TICK_SECONDS:
                ticked = time.monotonic()
                tick()
        return Finished(process.wait(), tuple(lines))
    finally:
        if process is not None and process.poll() is None:
            _end(process)


def _read(stream: IO[str] | None, arrived: queue.Queue[str | None]) -> None:
    if stream is not None:
        for text in stream:
            arrived.put(text.rstrip("\n"))
        stream.close()
    arrived.put(None)


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back while a process is being started.

    An exception raised between the fork and the return of Popen would leave a child nobody knows of. Blocking
    the signals instead would be inherited by the child, which could then not be ended by them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    old = {
        number: signal.signal(number, lambda n, _frame: arrived.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    for late in arrived:
        signal.raise_signal(late)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and all it started: its leader may be gone while a child still writes."""
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            process.poll()  # a leader that is not waited for keeps its group alive
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                return
            time.sleep(0.02)
