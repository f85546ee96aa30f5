"""What a script may tell Stackyard while it runs: phases, step times, progress, losses, results.

One file that needs the standard library only (Python >= 3.7) and nothing else of ours: import it as
``stackyard_task.report`` or ``stackyard_report`` in an environment that Stackyard made, or copy it beside the script
under any name. Outside Stackyard every call is accepted and forgotten::

    from stackyard_task import report

    report.phase("data")
    batches = load()
    report.phase("steady")
    for batch in report.steps(batches):
        report.loss(batch.number, training=train(batch))
    report.metrics(batch.number, accuracy=evaluate())
    report.results(accuracy=evaluate())

Inside, the environment variable STACKYARD_REPORT names a FIFO that the supervisor reads. Any process of the script may
write to it: messages are JSON lines of 4096 bytes at most, which the kernel never mixes. No call raises or holds the
script up: where nobody reads, a message is dropped after a moment and counted.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import math
import os
import select
import signal
import stat
import sys
import threading
import time
from typing import Any, Callable, Dict, Generic, Iterable, Iterator, List, Optional, Set, Tuple, TypeVar

#: Environment variable that holds the path of the supervisor's FIFO.
REPORT_VARIABLE = "STACKYARD_REPORT"

#: Phases in the order they are entered. The supervisor itself opens "startup" when it starts the program.
PHASES = ("startup", "data", "warmup", "steady", "finish")

#: How often buffered step times are sent.
FLUSH_SECONDS = 0.25
#: A line longer than this may mix with another process' line.
LINE_BYTES = min(4096, getattr(select, "PIPE_BUF", 4096))
#: How long a message waits for a supervisor that does not read. Those that follow do not wait until one got through.
WAIT_SECONDS = 0.1
#: Points of one set of metrics that wait for a flush; of more every second one is left out.
POINTS_WAITING = 64
#: Sets of metrics whose points may wait; those of further ones are sent at once.
_SETS_WAITING = 100
#: Warnings that one process writes at most.
_WARNINGS = 20

T = TypeVar("T")

#: Held while a line is buffered or written: a pipe takes long ones in pieces, and threads take turns. One for all
#: reporters, so that a reporter stays a plain value; a signal's handler may say something meanwhile.
_TURN = threading.RLock()


def turn() -> Any:
    """The lock that is held while a line is buffered or written."""
    return _TURN


def _fresh_turn() -> None:
    """A forked process begins with the lock free: the thread that held it is not there."""
    global _TURN
    _TURN = threading.RLock()


os.register_at_fork(after_in_child=_fresh_turn)


class Reporter:
    """A program's way to tell its supervisor what it does, through a FIFO.

    Without a FIFO, or without a reader of it, every call is accepted and forgotten. Instants are CLOCK_MONOTONIC, which
    all processes of a machine share. Threads may share a reporter, and a forked process goes on with its parent's.

    Args:
        path: The FIFO's absolute path; ``None``: nobody listens.
    """

    def __init__(self, path: Optional[str] = None) -> None:
        #: Messages that the supervisor did not take in time; it is told how many as soon as it takes one again.
        self.lost = 0
        self._lost_told = 0
        self._path = path
        self._steps: List[float] = []
        #: Of losses and progress the last ones, which wait for the next flush.
        self._latest: Dict[str, Dict[str, Any]] = {}
        self._latest_sent_at: Dict[str, float] = {}
        #: Names of metrics -> their points that wait for the next flush, and when the last was sent.
        self._points: Dict[Tuple[str, ...], List[List[Any]]] = {}
        self._points_sent_at: Dict[Tuple[str, ...], float] = {}
        #: Names of metrics -> the greatest step that was sent; and name -> values that were left out unsent because
        #: their step was before it, or they were no numbers.
        self._sent_up_to: Dict[Tuple[str, ...], float] = {}
        self._left_out: Dict[str, List[int]] = {}
        self._buffered_by = os.getpid()
        self._flushed_at = time.monotonic()
        self._patience = WAIT_SECONDS

    def phase(self, name: str) -> None:
        """Enter a phase: "data", "warmup", "steady" or "finish".

        Raises:
            ValueError: there is no such phase.
        """
        if name not in PHASES:
            raise ValueError(f"phase {name!r} is not one of {', '.join(PHASES)}")
        self.flush()
        self._send({"kind": "phase", "name": name, "at": time.monotonic()})

    def step(self, seconds: float) -> None:
        """One step of the steady phase took ``seconds``; what is no finite number from 0 up is left out and counted."""
        with turn():
            self._forget_what_a_parent_buffered()
            self._steps.append(seconds)
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def progress(self, done: float, total: float, unit: str = "steps") -> None:
        """``done`` of ``total`` units are finished."""
        self._send_latest({"kind": "progress", "done": _scalar(done), "total": _scalar(total), "unit": unit})

    def loss(self, step: int, training: Optional[float] = None, validation: Optional[float] = None) -> None:
        """The loss at ``step``. Of several within FLUSH_SECONDS the last one is told, and each validation loss."""
        told = {
            "kind": "loss",
            "step": step,
            "training": _scalar(training),
            "validation": _scalar(validation),
        }
        if validation is None:
            self._send_latest(told)
        else:
            self.flush()
            self._send(told)

    def metrics(self, step: float, **values: Any) -> None:
        """Values at ``step``, by name: their course is kept, the last one of each is a result, and a tuner sees them.

        A step that goes backwards is left out. Of values that come faster than FLUSH_SECONDS allows, some are left out
        evenly; never the last.
        """
        names, now = tuple(values), time.monotonic()
        point = [_scalar(step), now, {name: _scalar(value) for name, value in values.items()}]
        with turn():
            self._forget_what_a_parent_buffered()
            waiting = self._points.setdefault(names, [])
            waiting.append(point)
            sent_at = self._points_sent_at.get(names, -FLUSH_SECONDS)
            if now - sent_at >= FLUSH_SECONDS or len(self._points) > _SETS_WAITING:
                if len(self._points_sent_at) < _SETS_WAITING:
                    self._points_sent_at[names] = now
                self._send_points(names)
            elif len(waiting) > POINTS_WAITING:
                self._count_what_is_left_out(names, waiting)
                del waiting[-2::-2]

    def _send_points(self, names: Tuple[str, ...]) -> None:
        """Send the points of one set of metrics that wait, and how many values were left out of them."""
        points = self._points.pop(names)
        self._send({"kind": "metrics", "points": points})
        if names in self._points_sent_at:
            steps = [point[0] for point in points if _is_step(point[0])]
            self._sent_up_to[names] = max([self._sent_up_to.get(names, -math.inf), *steps])
        left_out = {name: self._left_out.pop(name) for name in names if name in self._left_out}
        if left_out:
            self._send({"kind": "left_out", "values": left_out})

    def _count_what_is_left_out(self, names: Tuple[str, ...], waiting: List[List[Any]]) -> None:
        """Count, of every second point that waits, what would not have been kept either had it been sent."""
        up_to = self._sent_up_to.get(names, -math.inf)
        for place, (step, _, values) in enumerate(waiting):
            is_kept = (len(waiting) - place) % 2 == 1
            if is_kept:
                up_to = max(up_to, step) if _is_step(step) else up_to
                continue
            is_backwards = _is_step(step) and step < up_to
            for name, value in values.items():
                if is_backwards or (isinstance(value, float) and not math.isfinite(value)):
                    self._left_out.setdefault(name, [0, 0])[0 if is_backwards else 1] += 1

    def results(self, **values: Any) -> None:
        """What the program found: it goes into the record's results as JSON holds it, the rest as text."""
        self._send({"kind": "results", "values": values})

    def flush(self) -> None:
        """Send the buffered step times, and what waits."""
        with turn():
            if self._buffered_by != os.getpid():
                return
            self._flushed_at = time.monotonic()
            if self._steps:
                steps, self._steps = self._steps, []
                self._send({"kind": "steps", "seconds": steps})
            for kind in list(self._latest):
                self._send(self._latest.pop(kind))
            for names in list(self._points):
                self._send_points(names)

    def _send_latest(self, message: Dict[str, Any]) -> None:
        """Send a message that the next one of its kind makes obsolete: now, or with the next flush."""
        kind, now = message["kind"], time.monotonic()
        with turn():
            self._forget_what_a_parent_buffered()
            if now - self._latest_sent_at.get(kind, -FLUSH_SECONDS) < FLUSH_SECONDS:
                self._latest[kind] = message
                return
            self._latest.pop(kind, None)
            self._latest_sent_at[kind] = now
            self._send(message)

    def _forget_what_a_parent_buffered(self) -> None:
        """In a forked process: that is the parent's to send."""
        if self._buffered_by != os.getpid():
            self._steps, self._latest, self._buffered_by = [], {}, os.getpid()
            self._points, self._points_sent_at = {}, {}
            self._sent_up_to, self._left_out = {}, {}
            _at_the_end_of_a_worker(self.flush)

    def _send(self, message: Dict[str, Any]) -> None:
        """Send one message, in as many lines as it needs."""
        if self._path is None:
            return
        with turn():
            for line in _lines(message):
                self._deliver(line)

    def _deliver(self, line: bytes) -> None:
        """Write one line whole, or not at all. The FIFO is opened anew each time: a script may close what is open."""
        if self._path is None:
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                self._path = (
                    None  # no such FIFO, or nobody reads it: the work itself is still worth finishing
                )
            self.lost += 1
            return
        try:
            if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                self._path = None
            elif self._written(descriptor, line):
                self._patience = WAIT_SECONDS
                lost = self.lost - self._lost_told
                if lost and self._written(descriptor, encoded({"kind": "lost", "messages": lost})):
                    self._lost_told = self.lost
            else:
                self._patience = 0.0
                self.lost += 1
        except OSError:  # the reader went away
            self._path = None
            self.lost += 1
        finally:
            os.close(descriptor)

    def _written(self, descriptor: int, line: bytes) -> bool:
        """Whether the line got into the FIFO while patience lasted."""
        until = time.monotonic() + self._patience
        while True:
            try:
                with _no_broken_pipe_signal():
                    return os.write(descriptor, line) == len(line)
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0:
                    return False
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            room.poll(max(1, int(left * 1000)))


class Steps(Generic[T]):
    """The items of an iterable, each one's step timed: from when it is asked for until the next one is.

    A step that ends the loop early, by ``break`` or an exception, is not counted.
    """

    def __init__(self, iterable: Iterable[T]) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[T]:
        items = iter(self._iterable)
        began = time.monotonic()
        for item in items:
            yield item
            now = time.monotonic()
            step(now - began)
            began = now

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]


def phase(name: str) -> None:
    """Enter a phase: "data", "warmup", "steady" or "finish"."""
    reporter = _reporter()
    if reporter is None:
        return
    try:
        reporter.phase(name)
    except ValueError as error:
        _warn(f"{error}; it is left out")


def step(seconds: float) -> None:
    """One step of the steady phase took ``seconds``."""
    reporter = _reporter()
    if reporter is not None:
        reporter.step(seconds)


def steps(iterable: Iterable[T]) -> Steps[T]:
    """The items of ``iterable``, each one's step timed: ``for batch in steps(loader): ...``."""
    return Steps(iterable)


@contextlib.contextmanager
def timed_step() -> Iterator[None]:
    """Time what stands in the ``with`` block as one step; where it raises, it is not counted."""
    began = time.monotonic()
    yield
    step(time.monotonic() - began)


def progress(done: float, total: float, unit: str = "steps") -> None:
    """``done`` of ``total`` units are finished."""
    reporter = _reporter()
    if reporter is not None:
        reporter.progress(done, total, unit)


def loss(step: int, training: Optional[float] = None, validation: Optional[float] = None) -> None:
    """The loss at ``step``."""
    reporter = _reporter()
    if reporter is not None:
        reporter.loss(step, training, validation)


def metrics(step: float, **values: Any) -> None:
    """Values at ``step``, by name: ``metrics(epoch, loss=0.3, accuracy=0.9)``. The last value of a name is a result."""
    reporter = _reporter()
    if reporter is not None:
        reporter.metrics(step, **values)


def results(**values: Any) -> None:
    """What the script found: numbers and short texts, by name. The last value of a name counts."""
    reporter = _reporter()
    if reporter is not None:
        reporter.results(**values)


def flush() -> None:
    """Send the buffered step times now; at the program's end that happens by itself."""
    reporter = _reporter()
    if reporter is not None:
        reporter.flush()


_made: Optional[Reporter] = None
_asked = False
_warned: Set[str] = set()


def _reporter() -> Optional[Reporter]:
    """This process' reporter; ``None`` outside Stackyard. The environment is asked once."""
    global _made, _asked
    if not _asked:
        with turn():
            path = os.environ.get(REPORT_VARIABLE)
            if path and not _asked:
                _made = Reporter(path)
                atexit.register(_made.flush)
                _at_the_end_of_a_worker(_made.flush)
            _asked = True
    return _made


def _at_the_end_of_a_worker(flush: Callable[[], None]) -> None:
    """Processes that multiprocessing forks end without atexit: it has a list of its own."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, flush, exitpriority=0)


def _scalar(value: Any) -> Any:
    """A value that may wait: a tensor's number, not the tensor, which would keep what it was computed from."""
    return value if value is None or isinstance(value, (int, float, str)) else plain(value)


def _is_step(step: Any) -> bool:
    return isinstance(step, (int, float)) and abs(step) <= 2.0**53


def plain(value: Any) -> Any:
    """A JSON value for what json does not know: numpy and torch scalars as numbers, the rest as text."""
    item = getattr(value, "item", None)
    if callable(item):
        try:
            return item()
        except Exception:  # noqa: BLE001 an array of several, or anything else that has an "item"
            pass
    try:
        return str(value)
    except Exception:  # noqa: BLE001 whatever a foreign class does here, the script goes on
        return type(value).__name__


def encoded(message: Dict[str, Any]) -> bytes:
    """A message as one line."""
    return (json.dumps(message, default=plain) + "\n").encode("utf-8")


def _lines(message: Dict[str, Any]) -> List[bytes]:
    """A message as lines that the kernel keeps whole; what does not fit into one is left out with a warning."""
    try:
        line = encoded(message)
    except Exception as error:  # noqa: BLE001 a key that is no text, a value that contains itself
        return _parts(message) or _refused(message, f"cannot be told as JSON ({error})")
    if len(line) <= LINE_BYTES:
        return [line]
    return _parts(message) or _refused(message, f"takes {len(line)} bytes, more than {LINE_BYTES}")


def _parts(message: Dict[str, Any]) -> List[bytes]:
    """The lines of each half of a message; empty: it has no halves."""
    for key in ("seconds", "values", "points"):
        held = message.get(key)
        if isinstance(held, (list, dict)) and len(held) > 1:
            items, middle = list(held.items()) if isinstance(held, dict) else list(held), len(held) // 2
            halves = [type(held)(items[:middle]), type(held)(items[middle:])]
            return [line for half in halves for line in _lines({**message, key: half})]
        if key == "points" and held:
            step, at, values = held[0]
            if len(values) > 1:
                items, middle = list(values.items()), len(values) // 2
                points = [[[step, at, dict(half)]] for half in (items[:middle], items[middle:])]
                return [line for half in points for line in _lines({**message, key: half})]
    return []


def _refused(message: Dict[str, Any], why: str) -> List[bytes]:
    values, points = message.get("values"), message.get("points")
    what = f"result {next(iter(values))!r}" if values else str(message.get("kind"))
    if points and points[0][2]:
        what = f"metric {next(iter(points[0][2]))!r}"
    if len(what) > 100:
        what = what[:97] + "..."
    _warn(f"{what} {why}; it is left out (results are figures and short texts, what is longer is a file)")
    return []


def _warn(sentence: str) -> None:
    """One line on stderr, once."""
    if sentence in _warned or len(_warned) >= _WARNINGS:
        return
    _warned.add(sentence)
    with contextlib.suppress(Exception):  # no stderr, or a closed one
        sys.stderr.write(f"stackyard: {' '.join(sentence.split())[:500]}\n")


@contextlib.contextmanager
def _no_broken_pipe_signal() -> Iterator[None]:
    """A script may let SIGPIPE end it, as filters do: then a reader that is gone must not.

    The signal of a write goes to the thread that writes, so that one holds it back and takes it away.
    """
    if signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN:  # Python's own choice, and the usual case
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
    try:
        yield
    finally:
        if signal.SIGPIPE not in before:
            if hasattr(signal, "sigtimedwait"):
                while signal.SIGPIPE in signal.sigpending():
                    signal.sigtimedwait([signal.SIGPIPE], 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
