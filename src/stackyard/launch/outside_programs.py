"""Programs of others that are called for a word: bounded in time and output, and silence told from refusal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from stackyard.launch.scheduled import SilentError

#: A call is given up after so long; the programs' own patience is shorter.
CALL_SECONDS = 60.0
#: A program that prints more is ended.
MOST_BYTES = 64 << 20
_MOST_SAID = 400
_LOOK_SECONDS = 0.05


class RefusedError(Exception):
    """A program ended with an error that is no silence; the message is its own."""


def called(
    command: Sequence[str],
    silent: re.Pattern[str],
    who: str,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a program prints.

    Args:
        command: the program and its arguments.
        silent: how it says that who it asks does not answer.
        who: it asks, for people.
        text: what it reads; ``None``: nothing.
        environment: its variables; ``None``: ours.

    Raises:
        SilentError: it cannot be started, does not end, or gets no answer.
        RefusedError: it ends with another error.
    """
    program = command[0]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((text or "").encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(command),
                stdin=given,
                stdout=out,
                stderr=err,
                env=None if environment is None else dict(environment),
                start_new_session=True,  # a Ctrl-C at the terminal is the runner's alone
            )
        except OSError as error:
            raise SilentError(f"{program} cannot be started ({error.strerror})") from error
        _await(process, program, (out.fileno(), err.fileno()))
        printed = os.pread(out.fileno(), MOST_BYTES, 0)
        begin = max(0, os.fstat(err.fileno()).st_size - 4096)
        said = os.pread(err.fileno(), 4096, begin).decode("utf-8", "replace").strip()
    if process.returncode == 0:
        return printed.decode("utf-8", "replace")
    last = (said.splitlines() or [f"it ended with status {process.returncode}"])[-1][:_MOST_SAID]
    if silent.search(said):
        raise SilentError(f"{who} does not answer {program} ({last})")
    raise RefusedError(last)


def _await(process: subprocess.Popen[bytes], program: str, printed: Sequence[int]) -> None:
    """Wait for the end of a program; one that takes too long or prints too much is ended with all that it started.

    Raises:
        SilentError: it was ended.
    """
    end = time.monotonic() + CALL_SECONDS
    while True:
        try:
            process.wait(_LOOK_SECONDS)
            return
        except subprocess.TimeoutExpired:
            why = None
            if time.monotonic() >= end:
                why = f"{program} did not end within {CALL_SECONDS:.0f} s"
            elif any(os.fstat(file).st_size > MOST_BYTES for file in printed):
                why = f"{program} printed more than {MOST_BYTES >> 20} MiB"
        except BaseException:
            _kill(process)
            raise
        if why is not None:
            _kill(process)
            raise SilentError(why)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a wrapper's children, too: they would submit all the same
    process.wait()
