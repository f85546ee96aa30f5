"""A pipeline's controller as a process of this machine, for where no agent serves the controller's queue.

The same task and the same entry script as on an agent, in the Python that runs us. What an agent does around it is
done here: mark the task as started, and say how it ended where it did not say so itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackyard.clearml.client import FINAL, Client
from stackyard_server.rules import fate

#: After being told to end it gets so long to end its steps.
GRACE_SECONDS = 60.0
#: What of our own environment it gets.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")
_LOG_CHARACTERS = 2000


class LocalController:
    """A controller under way."""

    def __init__(self, client: Client, id: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self._client = client
        self._id = id
        self._process = process
        self._log = log
        self._finishing = threading.Thread(target=self._finish, daemon=True)
        self._finishing.start()

    def running(self) -> bool:
        """Whether it still works."""
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Tell it to end its steps and itself, and wait for that."""
        if self.running():
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        if self.running():
            self._process.kill()

    def join(self) -> None:
        """Wait for its end, and until its task has a final status."""
        self._finishing.join()

    def _finish(self) -> None:
        status = self._process.wait()
        task = self._client.call("tasks.get_by_id", task=self._id)["task"]
        if task["status"] in FINAL:
            return
        if status == 0:
            self._client.call("tasks.completed", task=self._id, status_reason="all steps completed")
            return
        said = self._log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        why = f"the controller ended with status {status}: {last[:300]}"
        self._client.call(
            "tasks.failed",
            task=self._id,
            force=True,
            status_message=fate.INFRASTRUCTURE,
            status_reason=fate.reason(fate.INFRASTRUCTURE, why),
        )


@contextmanager
def started(client: Client, id: str) -> Iterator[LocalController]:
    """The controller of that task, at work; ended, if it still is, when the block is left.

    Args:
        client: of the server; the process gets its addresses and its key.
        id: the controller's task, a draft.
    """
    script = client.call("tasks.get_by_id", task=id)["task"]["script"]["diff"]
    connection = client.connection
    with tempfile.TemporaryDirectory(prefix="stackyard-controller-") as scratch:
        folder = Path(scratch)
        entry = folder / "dispatched.py"
        entry.write_text(script, encoding="utf-8")
        (folder / "clearml.conf").write_text("", encoding="utf-8")
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "CLEARML_CONFIG_FILE": str(folder / "clearml.conf"),
            "CLEARML_API_HOST": connection.api,
            "CLEARML_WEB_HOST": connection.web,
            "CLEARML_FILES_HOST": connection.files,
            "CLEARML_API_ACCESS_KEY": connection.access_key,
            "CLEARML_API_SECRET_KEY": connection.secret_key,
            "CLEARML_TASK_ID": id,
            "CLEARML_WORKER_ID": f"local:{os.getpid()}",
            "STACKYARD_CACHE": str(folder / "cache"),
            "TMPDIR": str(folder),
        }
        client.call("tasks.started", task=id)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(entry)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C reaches us only, and it in order
            )
        controller = LocalController(client, id, process, folder / "log")
        try:
            yield controller
        finally:
            controller.interrupt()
            controller.join()
