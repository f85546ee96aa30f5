"""The second witness of a task in a container, seen from inside: asked when the script begins and when it has ended.

Whoever started the container listens on a socket of its file system and reads the container's cgroup. Words are lines:
"begin", "end" and "over" go out; the first two are answered by a line of JSON, the first with a descriptor of the file
that the console is kept in. A witness that does not answer is done without. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Callable, List, Optional

from stackyard_task import records
from stackyard_task.measure.proc import ProcessFiles
from stackyard_task.records import Measurement, RecordError, RunRecord, Witness

#: Asked when the script is about to start; when it has ended; told when all that is left of the task is left.
BEGIN, END, OVER = b"begin", b"end", b"over"
#: An answer takes a reading of a few files.
ANSWER_SECONDS = 2.0
_MOST_BYTES = 1 << 14
#: Where the bounds of a measured peak are further apart than this, there is nothing to compare.
OPEN = 2
#: The engine hands on what a container prints; it is awaited until nothing comes any more for a moment.
STILL_SECONDS, LAG_SECONDS = 0.02, 0.3
_CONSOLE_BYTES = 32 << 10
#: Of a witness that differs by more, in percent and by itself, the run's record speaks.
TOLD_PERCENT, TOLD_SECONDS, TOLD_BYTES = 5.0, 0.1, 8 << 20
NOBODY = "no second witness: what started the container does not answer"


class Outside:
    """The witness of one task.

    Args:
        path: its socket; ``None``: there is none, and none is missed.
    """

    def __init__(self, path: Optional[str]) -> None:
        self._path = path
        self._socket: Optional[socket.socket] = None
        self._cpu_before = 0.0
        self._begun = False
        self._console: Optional[int] = None
        if path is not None:
            with contextlib.suppress(OSError):
                self._socket = _connected(path)

    def begin(self) -> None:
        """The script is about to start."""
        self._begun = self._asked(BEGIN, descriptors=1) is not None
        self._cpu_before = time.process_time()

    def end(self, record: RunRecord) -> None:
        """The script and all it started have ended: put into the record what the witness saw."""
        if self._path is None:
            return
        own_cpu = time.process_time() - self._cpu_before
        answer = self._asked(END) if self._begun else None
        if answer is None:
            record.notes.append(NOBODY)
            return
        try:
            seen = records.from_json(Witness, records.parse(answer.decode(), "the witness"), "the witness")
        except (RecordError, UnicodeDecodeError):
            record.notes.append(NOBODY)
            return
        record.witness = compared(seen, record.measurement, own_cpu, _own_bytes())
        record.notes += said_of(record.witness, record.measurement)

    @property
    def console(self) -> Optional[Callable[[], bytes]]:
        """Gives the end of the console, which is not kept in the container; ``None``: nobody has told where it is."""
        return None if self._console is None else self._tail

    def _tail(self) -> bytes:
        """What was printed last, once it has got as far as the file."""
        assert self._console is not None
        until, size = time.monotonic() + LAG_SECONDS, -1
        try:
            while size != os.fstat(self._console).st_size and time.monotonic() < until:
                size = os.fstat(self._console).st_size
                time.sleep(STILL_SECONDS)
            return os.pread(self._console, _CONSOLE_BYTES, max(0, size - _CONSOLE_BYTES))
        except OSError:
            return b""

    def over(self) -> None:
        """Everything is left with the task; whoever listens need not do it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendall(OVER + b"\n")
            self._socket.close()
            self._socket = None
        if self._console is not None:
            os.close(self._console)
            self._console = None

    def _asked(self, word: bytes, descriptors: int = 0) -> Optional[bytes]:
        if self._socket is None:
            return None
        said = b""
        try:
            self._socket.sendall(word + b"\n")
            while not said.endswith(b"\n") and len(said) < _MOST_BYTES:
                piece, found, _, _ = socket.recv_fds(self._socket, _MOST_BYTES, descriptors)
                for number in found:
                    os.set_inheritable(number, False)
                    self._console = number
                if not piece:
                    return None
                said += piece
        except OSError:
            return None
        return said


def compared(seen: Witness, measured: Measurement, own_cpu: float, own_bytes: Optional[int]) -> Witness:
    """What a witness saw, beside what was measured of the same run.

    Args:
        seen: the counts of everything in the container.
        measured: of the run's processes.
        own_cpu: CPU seconds of the supervisor in that span, which the witness counted too.
        own_bytes: its anonymous memory; ``None``: not known.
    """
    seen.supervisor_cpu_seconds, seen.supervisor_bytes = own_cpu, own_bytes
    if seen.cpu_seconds is not None and measured.cpu_seconds:
        differs = seen.cpu_seconds - own_cpu - measured.cpu_seconds
        seen.cpu_differs_percent = 100.0 * differs / measured.cpu_seconds
    peak, files = measured.peak_rss_bytes, measured.peak_mapped_files_bytes
    low, high = measured.peak_rss_low_bytes or 0, measured.peak_rss_high_bytes or 0
    known = own_bytes is not None and files is not None and high <= OPEN * low
    if seen.peak_bytes is not None and peak and known:
        assert own_bytes is not None
        assert files is not None
        seen.peak_differs_percent = 100.0 * (seen.peak_bytes - own_bytes - (peak - files)) / peak
    return seen


def said_of(seen: Witness, measured: Measurement) -> List[str]:
    """What a reader of the run's figures has to know of a witness that contradicts them, as sentences."""
    told = (
        ("CPU time", seen.cpu_differs_percent, (measured.cpu_seconds or 0.0) / TOLD_SECONDS),
        ("peak memory", seen.peak_differs_percent, (measured.peak_rss_bytes or 0) / TOLD_BYTES),
    )
    return [
        f"the host counted {abs(differs):.0f} % {'more' if differs > 0 else 'less'} {what} in the container than was "
        "measured inside, so that figure may be as far off"
        for what, differs, size in told
        if differs is not None and abs(differs) > TOLD_PERCENT and abs(differs) / 100.0 * size > 1.0
    ]


def _connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(ANSWER_SECONDS)
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def _own_bytes() -> Optional[int]:
    found = ProcessFiles(os.getpid(), keep_open=False).residency()
    return None if found is None else found.anonymous + found.shared_memory
