"""Tasks of this machine's agents that ended before their script began: a reason that is a sentence, and a record.

The agent's own reasons for a failure are "failed cloning repository" and an exit code. What it said in the task's
console tells more. So does the record of a task whose supervisor was killed: it comes after the agent's reason. Where
there is none it is made: it lies in a run folder below the agent, where ``unsent`` finds it and hands it in.

A task that was aborted before anything could measure it gets such a record too, and keeps its reason. Its agent waits
for whoever hands in a record, and what lies in a run folder is handed in by others: nothing is laid beside those.

An agent whose task said itself why it failed speaks last all the same, of its own process: "Process completed
successfully", or "aborted by user". Then the console's last word is ours.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stackyard.clearml.client import Client
from stackyard.clearml.collecting import console
from stackyard.clearml.sending import ENTRY
from stackyard.clearml.tasks.outcomes import RECORDS
from stackyard.services.early_words import (
    AGENTS_REASON,
    LAST_WORD,
    explained,
    has_begun,
    is_unmeasured,
    last_run,
)
from stackyard.services.recent import Recent
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
#: So many tasks are worked on in one look.
MOST_AT_ONCE = 20
FAILED, ABORTED = "failed", "stopped"
#: An agent that goes on saying that it runs a failed task is not waited for any longer; nor one that does not say that
#: it is through with an aborted task, whose record it waits for itself (``stackyard_task.leaving``) before it ends it.
_SETTLED_SECONDS = {FAILED: 30.0, ABORTED: 60.0}
#: So long after an abort a record may still come out of a container.
_INSIDE_SECONDS = 90.0
_MOST_REASON = 1000
_MOST_RECORD = 16 << 20
_LAST_WORD = "stackyard: this task failed: "
_NOT_BEGUN = "the task was aborted before its script began"
_NO_WORD = "the task was aborted, and what measured it ended before it could leave a record"
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
        self._recent = Recent((FAILED, ABORTED))

    def look(
        self, workers: Mapping[str, Worker], agents: Mapping[str, str], on_host: Collection[str] = ()
    ) -> None:
        """Have such tasks told; called often, and soon back.

        Args:
            workers: what each worker runs, as the server says it.
            agents: worker id -> the folder of its agent.
            on_host: those of them whose tasks run on the host, in no container.
        """
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS and agents:
            self._looked_at = now
            self._do(partial(self.settle, dict(workers), dict(agents), frozenset(on_host)))

    def settle(
        self, workers: Mapping[str, Worker], agents: Mapping[str, str], on_host: Collection[str] = ()
    ) -> None:
        """Look once; a job of another thread.

        Raises:
            ServerError: the server refuses.
            UnreachableError: it does not answer.
        """
        now, at = self._wall(), self._clock()
        self._recent.look(self._client(), agents, now, at)
        through: list[Task] = []
        for task in self._recent.due(at):
            if not _is_awaited(task) or task.worker not in agents:
                self._recent.settle(task)
            elif _is_through(task, workers.get(task.worker), now):
                through.append(task)
            if len(through) == MOST_AT_ONCE:
                break
        if not through:
            return
        found = self._client().call(
            "tasks.get_all",
            id=[task.id for task in through],
            only_fields=[*FIELDS, *_SCRIPT, "execution.artifacts"],
            search_hidden=True,
        )["tasks"]
        entries = {str(entry["id"]): entry for entry in found}
        for task in through:
            # first: one that the server refuses keeps no others waiting
            self._recent.later(task, now, at)
            entry = entries.get(task.id)
            if entry is None or self._is_done(task, entry, Path(agents[task.worker]), task.worker in on_host):
                self._recent.settle(task)

    def _is_done(self, task: Task, entry: Mapping[str, Any], agent: Path, on_host: bool) -> bool:
        """Do what can be done for a task; whether that is all."""
        known = task_of(entry)
        if (known.status, known.changed) != (task.status, task.changed):
            return True  # it is found anew, where it has ended
        if task.status == ABORTED:
            return self._is_recorded(task, entry, agent, on_host)
        if AGENTS_REASON.fullmatch(task.reason) is not None:
            return self._is_told(entry, agent)
        is_old = self._wall() - (task.changed or 0.0) >= _SETTLED_SECONDS[FAILED]
        return self._speaks_last(task) or is_old

    def _is_recorded(self, task: Task, entry: Mapping[str, Any], agent: Path, on_host: bool) -> bool:
        """Lay a record of an aborted task where nobody else will; whether it has one, or is to have none."""
        if _records(entry) or task.started is None:
            return True
        if _has_folder(agent / "runs", task.id):
            return False
        said = last_run(console(self._client(), task.id))
        begun = has_begun(said)
        is_ours = os.path.basename(str((entry.get("script") or {}).get("entry_point") or "")) == ENTRY
        if is_unmeasured(said) or (
            begun and is_ours
        ):  # what Stackyard sends leaves a record of its own, or none
            return True
        begun = begun and not on_host  # there is a folder as soon as somebody measures on the host
        if begun and self._wall() - (task.changed or 0.0) < _INSIDE_SECONDS:
            return False
        now = self._now(task.id)
        if now is not None and (now.status, now.started) == (task.status, task.started):
            record = record_of(entry, Failure("interrupted", _NO_WORD if begun else _NOT_BEGUN))
            laid(agent / "runs", task.id, record.dispatch or Dispatch(task_id=task.id), record)
            log.info("task %s: %s", task.id, record.failure.message if record.failure else "")
        return False

    def _speaks_last(self, task: Task) -> bool:
        """Say in a failed task's console that it failed, once its agent's last word is there, which is not why."""
        said = last_run(console(self._client(), task.id))
        if any(line.startswith(_LAST_WORD) for line in said):
            return True
        if not any(
            LAST_WORD.match(line) for line in said
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

    def _is_told(self, entry: Mapping[str, Any], agent: Path) -> bool:
        """Give a failed task a sentence as its reason; whether there is none to give, or it has it."""
        id = str(entry["id"])
        held = _records(entry)
        failure = (
            _recorded(held) if held else explained(console(self._client(), id), entry.get("script") or {})
        )
        if failure is None:
            return bool(held)
        was, now = task_of(entry), self._now(id)
        if now is None or (now.status, now.started) != (was.status, was.started):
            return True  # reset, or on its way again, since it was looked at
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
        return True

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


def _is_awaited(task: Task) -> bool:
    """Whether something may be left to do for a task, as far as its status and reason tell."""
    if task.status == ABORTED:
        return task.started is not None
    return AGENTS_REASON.fullmatch(task.reason) is not None or task.message in FAILURE_KINDS


def _is_through(task: Task, worker: Worker | None, now: float) -> bool:
    """Whether a task's agent is through with it: until then it may still say a reason of its own, or hand in a record.

    Args:
        task: it has ended.
        worker: what its agent said last; ``None``: it is not there any more.
        now: epoch seconds.
    """
    changed = task.changed or now
    if worker is None or now - changed >= _SETTLED_SECONDS[task.status]:
        return True
    if worker.task == task.id:
        return False
    # of an abort others tell the server too; its agent says that it goes on once it has ended what ran
    return task.status == FAILED or (worker.reported or 0.0) >= changed


def _has_folder(runs: Path, id: str) -> bool:
    """Whether a task has a run folder: somebody works in it, or it is there to be handed in."""
    try:
        return any(place.name.startswith(f"{id}-") for place in runs.iterdir())
    except OSError:
        return False


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
