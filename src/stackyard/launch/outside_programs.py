"""Programs of others that are called for a word: bounded in time and output, and silence told from refusal."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence

from stackyard.launch.scheduled import SilentError

#: A call is given up after so long; the programs' own patience is shorter.
CALL_SECONDS = 60.0
#: Of what a program prints, so much is read.
MOST_BYTES = 64 << 20
_MOST_SAID = 400


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
    try:
        done = subprocess.run(
            list(command),
            input=(text or "").encode(),
            capture_output=True,
            timeout=CALL_SECONDS,
            env=None if environment is None else dict(environment),
            start_new_session=True,  # a Ctrl-C at the terminal is the runner's alone
            check=False,
        )
    except OSError as error:
        raise SilentError(f"{program} cannot be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise SilentError(f"{program} did not end within {CALL_SECONDS:.0f} s") from error
    if done.returncode == 0:
        return done.stdout[:MOST_BYTES].decode("utf-8", "replace")
    said = done.stderr[-4096:].decode("utf-8", "replace").strip()
    last = (said.splitlines() or [f"it ended with status {done.returncode}"])[-1][:_MOST_SAID]
    if silent.search(said):
        raise SilentError(f"{who} does not answer {program} ({last})")
    raise RefusedError(last)
