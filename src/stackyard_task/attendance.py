"""Whoever stays beside an ordinary task's container: answers the one that measures inside, and reads its cgroup.

The host's end of ``witness``. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

from stackyard_task import records, witness
from stackyard_task.measure import container_use
from stackyard_task.measure.container_use import ContainerUse
from stackyard_task.records import Witness

#: Its name in the folder that the container shares with us.
SOCKET = "witness"
#: How often the container is looked at while the script runs.
LOOK_SECONDS = 0.1
_MOST_BYTES = 1 << 12


class Attendance:
    """Answers the one who measures inside, and reads the container's cgroup meanwhile.

    Args:
        listener: where it is heard.
        at_begin: called when the script is about to start.
    """

    def __init__(self, listener: socket.socket, at_begin: Callable[[], None]) -> None:
        self._listener: Optional[socket.socket] = listener
        self._at_begin = at_begin
        self._inside: Optional[socket.socket] = None
        self._use: Optional[ContainerUse] = None
        self._heard = b""
        self._looking = False
        self.begun_at: Optional[float] = None
        #: What was seen at last.
        self.last: Optional[Witness] = None
        self.kernel_kills = 0
        #: Whether all that is to be left with the task is left.
        self.over = False

    @property
    def begun(self) -> bool:
        """Whether the script was about to start."""
        return self.begun_at is not None

    def until_ended(self, client: subprocess.Popen[bytes]) -> None:
        """Attend until docker's client has ended."""
        number = os.pidfd_open(client.pid) if hasattr(os, "pidfd_open") else None
        try:
            while client.poll() is None:
                heard = [one for one in (self._listener, self._inside, number) if one is not None]
                ready, _, _ = select.select(
                    heard, [], [], LOOK_SECONDS if self._looking or number is None else 5.0
                )
                if self._listener in ready:
                    self._take()
                elif self._inside in ready:
                    self._hear()
                if self._looking and self._use is not None:
                    self._use.sample()
            if self._listener is not None and select.select([self._listener], [], [], 0)[0]:
                self._take()
            while self._inside is not None:
                self._hear()
        finally:
            if number is not None:
                os.close(number)
            self._leave()

    def _take(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._inside, _ = self._listener.accept()
            self._inside.settimeout(witness.ANSWER_SECONDS)
            pid = _peer(self._inside)
            self._use = container_use.of_process(pid) if pid else None
        self._listener = None  # one is heard: it comes before the script does

    def _hear(self) -> None:
        assert self._inside is not None
        try:
            piece = self._inside.recv(_MOST_BYTES)
        except OSError:
            piece = b""
        if not piece or len(self._heard) > _MOST_BYTES:
            self._leave()
            return
        *words, self._heard = (self._heard + piece).split(b"\n")
        for word in words:
            self._answer(word)

    def _answer(self, word: bytes) -> None:
        if word == witness.BEGIN:
            self.begun_at, self._looking = time.time(), self._use is not None
            if self._use is not None:
                self._use.begin()
            self._say({}, _console())
            self._at_begin()
        elif word == witness.END:
            self._looking = False
            if self._use is not None:
                self.last = self._use.seen()
            self._say(None if self.last is None else records.to_json(self.last))
        elif word == witness.OVER:
            self.over = True

    def _say(self, answer: Optional[Dict[str, Any]], descriptor: Optional[int] = None) -> None:
        assert self._inside is not None
        try:
            said = json.dumps(answer).encode() + b"\n"
            socket.send_fds(self._inside, [said], [] if descriptor is None else [descriptor])
        except OSError:
            self._leave()
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _leave(self) -> None:
        """The other end has gone: what its container used is read while it can be."""
        if self._use is not None:
            found = self._use.seen() if self._looking else None
            if found is not None and (self.last is None or found.cpu_seconds is not None):
                self.last = found
            self.kernel_kills = self._use.kernel_kills
            self._use.close()
        if self._inside is not None:
            self._inside.close()
        self._inside = self._use = None
        self._looking = False


@contextlib.contextmanager
def listening(folder: Path, owner: Optional[int]) -> Iterator[socket.socket]:
    """A socket in the folder."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made.bind(
            f"/proc/self/fd/{descriptor}/{SOCKET}"
        )  # the folder's own name may be longer than a socket's may be
        if owner is not None:
            os.chown(SOCKET, owner, owner, dir_fd=descriptor, follow_symlinks=False)
        made.listen(1)
        yield made
    finally:
        made.close()
        os.close(descriptor)


def _console() -> Optional[int]:
    """The file that our stderr goes to, to be read; ``None``: it is none."""
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.fstat(2).st_mode):
            return os.open("/proc/self/fd/2", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _peer(inside: socket.socket) -> Optional[int]:
    """The number of the process at the other end, as this host counts them."""
    with contextlib.suppress(OSError):
        said = inside.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(said[:4], sys.byteorder) or None
    return None
