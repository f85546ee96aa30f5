"""Containers that an agent left behind: found by the slot's mark, and ended.

Asks the docker client, not the SDK: this runs in the services process, which stays small.
"""

from __future__ import annotations

import logging
import subprocess

from stackyard.agents.configuration import SLOT_LABEL

log = logging.getLogger(__name__)

ANSWER_SECONDS = 30
#: A script that ignores SIGTERM is killed after 8 s by what measures it, which then leaves the record.
GRACE_SECONDS = 12


def end(docker: str, mark: str) -> int:
    """End and remove the containers of a slot; how many there were.

    Args:
        docker: the docker client.
        mark: the slot's mark, which the gate gives every container as a label.
    """
    found = _asked(docker, "ps", "-aq", "--filter", f"label={SLOT_LABEL}={mark}").split()
    for id in found:
        log.warning("container %s is ended", id)
        _asked(docker, "stop", "--time", str(GRACE_SECONDS), id)
        _asked(docker, "rm", "--force", "--volumes", id)
    return len(found)


def _asked(docker: str, *words: str) -> str:
    """What the client answers; nothing where it does not, or refuses."""
    try:
        done = subprocess.run(
            [docker, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("docker does not answer (%s)", error)
        return ""
    return done.stdout if done.returncode == 0 else ""
