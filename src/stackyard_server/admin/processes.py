"""The server as a process: started in the background, asked to end. No HTTP, no database.

The child is a session of its own with its own log; it answers once, over a pipe, with what it listens on or why it
cannot. A process is signalled only when the folder's lock is held, and by the very process the lock names
(pid and start time), so that a recycled pid is never hit.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..store import data_folder

LOG_NAME = "server.log"


class ProcessError(Exception):
    """The server's process did not do what was asked; the message says what is so now."""


def spawn(folder: Path, options: dict[str, Any], patience_seconds: float) -> dict[str, Any]:
    """Start a server in the background and wait for its word.

    Args:
        folder: The data folder; exists.
        options: What the command line said (see ``settings.read``).
        patience_seconds: How long it may take.

    Returns:
        What the child says: ``pid``, ``urls``, ``admin`` (see ``admin.First``; None but on a new folder).

    Raises:
        ProcessError: It cannot start.

    Whoever is interrupted meanwhile leaves no server behind.
    """
    log_path = folder / LOG_NAME
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    hear, say = os.pipe()
    command = [
        *(sys.executable, "-m", "stackyard_server", "--folder", str(folder), "--log", str(log_path)),
        *("--options", json.dumps(options, default=str), "--say", str(say)),
    ]
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(say,),
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(say)
        os.close(log)
    try:
        with os.fdopen(hear, "rb") as pipe:
            said = _hear(pipe.fileno(), patience_seconds)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if said is None:
        child.terminate()
        raise ProcessError(
            f"The server did not come up within {patience_seconds:.0f} s and was asked to end; see {log_path}."
        )
    if not said:
        raise ProcessError(f"The server ended at once with status {child.wait()}; see {log_path}.")
    word: dict[str, Any] = json.loads(said)
    if "failed" in word:
        child.wait()
        raise ProcessError(word["failed"])
    return word


def _hear(number: int, patience_seconds: float) -> bytes | None:
    """One line, or what came until the end; None when nothing came in time."""
    until = time.monotonic() + patience_seconds
    said = b""
    while not said.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([number], [], [], left)[0]:
            return None
        part = os.read(number, 65536)
        if not part:
            break
        said += part
    return said


def end(folder: Path, patience_seconds: float) -> int | None:
    """Ask the server on a folder to end, and wait until it has.

    Returns:
        Its pid; None when none runs.

    Raises:
        ProcessError: It did not end, or the lock does not say who holds it. Nothing is killed.
    """
    if not data_folder.held(folder):
        return None
    holder = data_folder.read_lock(folder) or {}
    pid = holder.get("pid")
    if not isinstance(pid, int):
        raise ProcessError(f"{folder} is in use, but its lock does not say by which process.")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if data_folder.started_at(pid) != holder.get("started"):
            raise ProcessError(
                f"{folder}: its lock names process {pid}, which started at another time: it is not the server "
                "and was left alone."
            )
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], patience_seconds)[0]:
            raise ProcessError(
                f"The server (process {pid}) was asked to end and still runs after {patience_seconds:.0f} s."
            )
    except PermissionError:
        raise ProcessError(f"The server (process {pid}) belongs to another user.") from None
    finally:
        os.close(handle)
    return pid
