"""Records of tasks on the host that nobody hands in any more: their supervisor was killed. Looked for, and handed in.

A run folder below an agent's is named by its task, and the process that works in it, and since when. The handing
in is the task side's (``stackyard_task.left``), in a process of its own.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from stackyard.agents.lineage import Identity
from stackyard.clearml.connection import Connection

log = logging.getLogger(__name__)

#: How often folders are looked for, and how long after a failure one is tried again.
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 5.0
#: Longer no handing in takes.
MOST_SECONDS = 60.0
#: So many at once in one look.
MOST_FOLDERS = 20
_CODE = Path(__file__).resolve().parents[2]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from stackyard_task.left import main; sys.exit(main())"
)


class Unsent:
    """Looks below every agent on the host.

    Args:
        connection: the server and the key, as they are now.
        do: has a job done in another thread, one after the other.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        connection: Callable[[], Connection],
        do: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._do = do
        self._clock = clock
        self._next_at: dict[Path, float] = {}
        self._looked_at = float("-inf")

    def look(self, agents: Iterable[str]) -> None:
        """Have what is left handed in; called often, and soon back.

        Args:
            agents: the folder of every agent.
        """
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        left = [folder for agent in agents for folder in left_in(Path(agent) / "runs")][:MOST_FOLDERS]
        self._next_at = {folder: self._next_at.get(folder, now) for folder in left}
        for folder, at in self._next_at.items():
            if at <= now:
                self._next_at[folder] = now + MOST_SECONDS + AGAIN_SECONDS
                self._do(partial(self._hand_in, folder))

    def _hand_in(self, folder: Path) -> None:
        """Hand one in; a job of another thread."""
        if self._next_at.get(folder) is None:
            return
        where = self._connection()
        variables = {
            "CLEARML_API_HOST": where.api,
            "CLEARML_FILES_HOST": where.files,
            "CLEARML_WEB_HOST": where.web,
            "CLEARML_API_ACCESS_KEY": where.access_key,
            "CLEARML_API_SECRET_KEY": where.secret_key,
            **{name: os.environ[name] for name in ("REQUESTS_CA_BUNDLE",) if name in os.environ},
        }
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_CODE), str(folder)],
                env=variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=MOST_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("%s: its record cannot be handed in (%s)", folder.name, error)
            return
        if done.returncode == 0:
            log.info("%s: what its supervisor left is handed in", folder.name)
        else:
            self._next_at[folder] = self._clock() + AGAIN_SECONDS
            if done.stderr:
                log.warning(
                    "%s: its record cannot be handed in yet (%s)", folder.name, done.stderr.strip()[-300:]
                )


def left_in(runs: Path) -> list[Path]:
    """The run folders below ``runs`` whose process is gone."""
    try:
        found = sorted(runs.iterdir())
    except OSError:
        return []
    left = []
    for folder in found:
        pid, _dot, ticks = folder.name.rpartition("-")[2].partition(".")
        if pid.isdigit() and ticks.isdigit() and not Identity(int(pid), int(ticks)).alive():
            left.append(folder)
    return left
