"""Containers that an agent left behind: found by the worker's label and the slot's mark, and ended.

Asks the docker client, not the SDK: this runs in the services process, which stays small.
"""

from __future__ import annotations

import json
import logging
import subprocess

log = logging.getLogger(__name__)

#: The gate gives it to every container (``agents.container_rules.WORKER_LABEL``).
LABEL = "stackyard.worker"
ANSWER_SECONDS = 30
GRACE_SECONDS = 5


def end(docker: str, worker: str, variable: str) -> int:
    """End and remove the containers of a worker; how many there were.

    Args:
        docker: the docker client.
        worker: the worker's id.
        variable: what must be in a container's environment ("NAME=value"): that it is this installation's.
    """
    found = _asked(docker, "ps", "-aq", "--filter", f"label={LABEL}={worker}").split()
    ours = []
    for id in found:
        text = _asked(docker, "inspect", "--format", "{{json .Config.Env}}", id)
        if variable in (json.loads(text) if text.strip() else []):
            ours.append(id)
    for id in ours:
        log.warning("container %s of %s is ended", id, worker)
        _asked(docker, "stop", "--time", str(GRACE_SECONDS), id)
        _asked(docker, "rm", "--force", "--volumes", id)
    return len(ours)


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
