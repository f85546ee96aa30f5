"""Records of tasks on the host that nobody hands in any more: their supervisor was killed. Looked for, and handed in.

A run folder below an agent's names the process that works in it (``stackyard_task.run_folders``). The handing in is
the task side's (``stackyard_task.left``), in a process of its own, and in a thread that nothing else waits for: a
server that does not answer is waited for a while.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from stackyard.agents.lineage import Identity
from stackyard.clearml.connection import Connection
from stackyard_task import run_folders

log = logging.getLogger(__name__)

#: How often folders are looked for, and how long after a failure one is tried again.
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 5.0
#: Longer no handing in takes.
MOST_SECONDS = 60.0
#: So many at once in one look.
MOST_FOLDERS = 5
_CODE = Path(__file__).resolve().parents[2]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from stackyard_task.left import main; sys.exit(main())"
)


def _in_a_thread(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="unsent", daemon=True).start()


class Unsent:
    """Looks below every agent on the host.

    Args:
        connection: the server and the key, as they are now.
        clock: monotonic seconds.
        start: has a job done beside everything else.
    """

    def __init__(
        self,
        connection: Callable[[], Connection],
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], object] = _in_a_thread,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._start = start
        #: When a folder is tried next.
        self._next_at: dict[Path, float] = {}
        self._looked_at = float("-inf")
        self._busy = False

    def look(self, agents: Iterable[str]) -> None:
        """Have what is left handed in; called often, and soon back.

        Args:
            agents: the folder of every agent.
        """
        now = self._clock()
        if self._busy or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        left = [folder for agent in agents for folder in left_in(Path(agent) / "runs")]
        self._next_at = {folder: self._next_at.get(folder, now) for folder in left}
        # those that wait longest, so that some which cannot be handed in keep no others waiting
        due = sorted((at, folder) for folder, at in self._next_at.items() if at <= now)[:MOST_FOLDERS]
        if due:
            self._busy = True
            self._start(partial(self._hand_in_all, [folder for _, folder in due]))

    def _hand_in_all(self, folders: Iterable[Path]) -> None:
        try:
            for folder in folders:
                self._next_at[folder] = self._clock() + AGAIN_SECONDS
                self._hand_in(folder)
        finally:
            self._busy = False

    def _hand_in(self, folder: Path) -> None:
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
        elif done.stderr:
            log.warning(
                "%s: its record cannot be handed in yet (%s)", folder.name, done.stderr.strip()[-300:]
            )


def left_in(runs: Path) -> list[Path]:
    """The run folders below ``runs`` whose process is gone."""
    try:
        found = sorted(runs.iterdir())
    except OSError:
        return []
    owners = ((folder, run_folders.owner(folder)) for folder in found)
    return [folder for folder, owner in owners if owner is not None and not Identity(*owner).alive()]
