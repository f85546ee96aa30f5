"""Tasks that an agent of this machine failed before their script began: their reason made a sentence, a record left.

The agent's own reasons are "failed cloning repository" and an exit code. What it said in the task's console tells
more. So does the record of a task whose supervisor was killed: it comes after the agent's reason. Where there is none
it is made: it lies in a run folder below the agent, where ``unsent`` finds it and hands it in.

An agent whose task said itself why it failed speaks last all the same, of its own process: "Process completed
successfully". Then the console's last word is ours.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stackyard.clearml.client import Client
from stackyard.clearml.collecting import console
from stackyard.clearml.tasks.outcomes import RECORDS
from stackyard.services.early_words import AGENTS_REASON, GOES_WELL, explained, last_run
from stackyard.services.watch import FIELDS, Task, Worker, task_of
from stackyard_task.records import (
    FAILURE_KINDS,
    Dispatch,
    Failure,
    RecordError,
    RunRecord,
    from_json,
    parse,
)
from stackyard_task.run_folders import laid

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
#: Tasks that failed longer ago are left as they are.
_RECENT_SECONDS = 900.0
#: An agent that goes on saying that it runs a failed task is not waited for any longer.
_SETTLED_SECONDS = 30.0
_MOST_TASKS = 50
_MOST_REASON = 1000
_MOST_RECORD = 16 << 20
_LAST_WORD = "stackyard: this task failed: "
_SCRIPT = tuple(
    f"script.{name}" for name in ("repository", "branch", "version_num", "tag", "working_dir", "entry_point")
)


class Early:
    """Looks for such tasks.

    Args:
        client: the server, as it can be asked now.
        do: has a job done in another thread, one after the other.
        clock: monotonic seconds.
        wall: epoch seconds.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        do: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._do = do
        self._clock = clock
        self._wall = wall
        self._looked_at = float("-inf")
        #: Tasks whose console was looked at, each with when it failed.
        self._heard: set[tuple[str, float | None]] = set()

    def look(self, workers: Mapping[str, Worker], agents: Mapping[str, str]) -> None:
        """Have such tasks told; called often, and soon back.

        Args:
            workers: what each worker runs, as the server says it.
            agents: worker id -> the folder of its agent.
        """
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS and agents:
            self._looked_at = now
            self._do(partial(self.settle, dict(workers), dict(agents)))

    def settle(self, workers: Mapping[str, Worker], agents: Mapping[str, str]) -> None:
        """Look once; a job of another thread.

        Raises:
            ServerError: the server refuses.
            UnreachableError: it does not answer.
        """
        now = self._wall()
        since = datetime.datetime.fromtimestamp(now - _RECENT_SECONDS, datetime.UTC)
        found = self._client().call(
            "tasks.get_all",
            status=["failed"],
            last_worker=sorted(agents),
            status_changed=[f">={since.isoformat(timespec='seconds').replace('+00:00', '')}"],
            only_fields=[*FIELDS, *_SCRIPT, "execution.artifacts"],
            page=0,
            page_size=_MOST_TASKS,
            search_hidden=True,
        )["tasks"]
        tasks = [(entry, task_of(entry)) for entry in found]
        self._heard &= {(task.id, task.changed) for _, task in tasks}
        for entry, task in tasks:
            is_agents = AGENTS_REASON.fullmatch(task.reason) is not None
            is_heard = task.message not in FAILURE_KINDS or (task.id, task.changed) in self._heard
            if task.worker not in agents or (is_heard and not is_agents):
                continue
            worker = workers.get(task.worker)
            # until its agent is through with it, it may still say a reason of its own
            if (
                worker is not None
                and worker.task == task.id
                and now - (task.changed or now) < _SETTLED_SECONDS
            ):
                continue
            if is_agents:
                self._tell(entry, Path(agents[task.worker]))
            elif self._speaks_last(task) or now - (task.changed or 0) >= _SETTLED_SECONDS:
                self._heard.add((task.id, task.changed))

    def _speaks_last(self, task: Task) -> bool:
        """Say in a failed task's console that it failed, once its agent's last word is there that all went well."""
        said = last_run(console(self._client(), task.id))
        if any(line.startswith(_LAST_WORD) for line in said):
            return True
        if not any(
            GOES_WELL.match(line) for line in said
        ):  # lines of one moment come in any order from some servers
            return False
        why = task.reason[:_MOST_REASON]
        self._client().call(
            "events.add",
            type="log",
            task=task.id,
            level="error",
            worker=task.worker,
            timestamp=round(self._wall() * 1000),
            msg=f"{_LAST_WORD}{why} (what its agent says before is of the agent's own process)",
        )
        return True

    def _tell(self, entry: Mapping[str, Any], agent: Path) -> None:
        id = str(entry["id"])
        held = _records(entry)
        failure = (
            _recorded(held) if held else explained(console(self._client(), id), entry.get("script") or {})
        )
        if failure is None:
            return
        was, now = task_of(entry), self._now(id)
        if now is None or (now.status, now.started) != (was.status, was.started):
            return  # reset, or on its way again, since it was looked at
        if not held:
            record = record_of(entry, failure)
            laid(agent / "runs", id, record.dispatch or Dispatch(task_id=id), record)
        self._client().call(
            "tasks.failed",
            task=id,
            status_reason=f"{failure.kind}: {failure.message}"[:_MOST_REASON],
            status_message=failure.kind,
            force=True,
        )
        log.info("task %s: %s", id, failure.message)

    def _now(self, id: str) -> Task | None:
        """The task as it is now; ``None``: it is gone."""
        found = self._client().call("tasks.get_all", id=[id], only_fields=list(FIELDS), search_hidden=True)
        return next(map(task_of, found["tasks"]), None)


def record_of(entry: Mapping[str, Any], failure: Failure) -> RunRecord:
    """The record of a task whose script never began: nothing was measured.

    Args:
        entry: its document.
        failure: why.
    """
    script = entry.get("script") or {}
    started = str(entry.get("started") or "")
    record = RunRecord(
        str(entry["id"]),
        str(script.get("entry_point") or entry.get("name") or "task")[:200],
        "failed",
        started,
        str(entry.get("status_changed") or started),
        failure=failure,
    )
    record.dispatch = Dispatch(
        task_id=str(entry["id"]),
        queue=(entry.get("execution") or {}).get("queue"),
        worker=entry.get("last_worker"),
        pulled_at=entry.get("started"),
    )
    return record


def _records(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records that are with a task."""
    held = (entry.get("execution") or {}).get("artifacts") or []
    return [one for one in held if isinstance(one, dict) and one.get("key") in RECORDS]


def _recorded(held: Sequence[Mapping[str, Any]]) -> Failure | None:
    """Why a task failed, as the record says it that is with the task."""
    if held[0].get("key") != RECORDS[0]:  # what Stackyard sends has its reasons from elsewhere
        return None
    try:
        preview = str((held[0].get("type_data") or {})["preview"])
        failure = from_json(RunRecord, parse(preview[:_MOST_RECORD], "the record"), "record").failure
    except (RecordError, KeyError, TypeError, AttributeError):  # no preview, or cut off
        return None
    if failure is None:
        return None
    return Failure(failure.kind, " ".join(failure.message.split()))
