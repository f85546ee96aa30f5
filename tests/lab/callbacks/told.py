"""What a playbook did, as JSON lines for tests and benches: each task of each host, and the recap."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: told
type: notification
short_description: tasks and recap as JSON lines
description: Writes one JSON object a line to the file that STACKYARD_PLAY_REPORT names.
"""


class CallbackModule(CallbackBase):
    """Writes as it goes: an interrupted play has told what it did."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "told"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        path = os.environ.get("STACKYARD_PLAY_REPORT")
        self._file = Path(path).open("a", buffering=1) if path else None  # noqa: SIM115 - open while the play runs
        self._began: dict[str, float] = {}

    def _write(self, **fields: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps(fields) + "\n")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._began[task._uuid] = time.monotonic()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._began[task._uuid] = time.monotonic()

    def _note(self, result: Any, status: str) -> None:
        task, told = result._task, result._result
        role = task._role.get_name() if task._role else ""
        self._write(
            id=task._uuid,
            role=role,
            name=task.get_name(),
            host=result._host.get_name(),
            status=status,
            message="" if told.get("censored") else self._said(told),
            seconds=round(time.monotonic() - self._began.get(task._uuid, time.monotonic()), 3),
        )

    @staticmethod
    def _said(told: Any) -> str:
        message = told.get("msg") or told.get("stderr") or ""
        return str(message)[:2000] if isinstance(message, str) else json.dumps(message)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._note(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._note(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._note(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._note(result, "skipped")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write(recap={host: stats.summarize(host) for host in sorted(stats.processed)})
