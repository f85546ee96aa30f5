"""The ClearML SDK, for the few tasks that need it: it takes a second to load.

Those are pipelines, and runs that are given data sets, models or artifacts, or whose files go to a store other than
the server's. All else is said through ``api``. Imported by nobody who may do without.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any, Optional

_HAD = "pandas" in sys.modules
if not _HAD:  # the SDK would load it, where it is, for tables that nobody here reports: a fifth of its start
    sys.modules["pandas"] = None  # type: ignore[assignment]
import clearml  # noqa: E402

if not _HAD:
    del sys.modules["pandas"]

# Of this process alone, which forks nothing that knows the task: from a thread it is sooner over than from a process.
clearml.Task._report_subprocess_enabled = False

#: How long the SDK waits at most, after an abort, for this process to end: longer than a task may take to end.
_ABORT_SECONDS = 60.0
_over = threading.Event()
_task: Optional[Any] = None


def task() -> Any:
    """The SDK's task of this process; begun with the first call, which is to come from the main thread."""
    global _task
    if _task is None:
        taken = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        # Nothing of the SDK's own watching: what a run uses is measured by the supervisor, its output is the agent's.
        _task = clearml.Task.init(
            auto_connect_arg_parser=False,
            auto_connect_frameworks=False,
            auto_resource_monitoring=False,
            auto_connect_streams=False,
        )
        # The SDK kills a process whose task is aborted, unless it waits for a function of ours: ``aborts`` ends it.
        _task.register_abort_callback(lambda: _over.wait(_ABORT_SECONDS), _ABORT_SECONDS)
        for number, handler in taken.items():
            signal.signal(number, handler)
    return _task


def close() -> None:
    """Send what is left."""
    if _task is not None:
        _task.flush(wait_for_uploads=True)
    _over.set()


def uploaded(file: Path, url: str) -> bool:
    """Copy a file to a store that only the SDK can write to, such as s3://...; whether it is there."""
    return bool(clearml.StorageManager.upload_file(str(file), url, wait_for_upload=True))
