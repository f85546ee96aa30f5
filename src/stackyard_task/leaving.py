"""How an ordinary task ends: what is left with it, what becomes of a record that nobody takes, and what its agent sees.

Standard library only.
"""

from __future__ import annotations

import datetime
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, List, Mapping, Optional

from stackyard_task import aborts, handing_in, records
from stackyard_task.api import ApiError, Server
from stackyard_task.handing_in import table
from stackyard_task.measure.proc import first_process_started
from stackyard_task.records import Dispatch, Failure, RunRecord

#: The image that a container was started from, by its id; what the agent says of it is a name.
IMAGE_VARIABLE = "STACKYARD_IMAGE"
#: When a container was asked for; in those that the gate starts.
ASKED_AT_VARIABLE = "STACKYARD_CONTAINER_ASKED_AT"
#: Folders for a record whose own takes nothing.
_SPARE = (tempfile.gettempdir(), "/dev/shm")
RUN_PREFIX = "stackyard-task-"
#: After an abort the agent waits so long for what is left with the task, before it kills what runs.
ABORT_SECONDS = 30.0
#: How long the results wait for a server that is away.
PATIENCE_SECONDS = 60.0
FAILED = 1
#: Whoever looks after agents says what becomes of a task whose agent is gone.
AGENT_ENDED = "its agent ended"
#: Of a task that was aborted: what an agent takes for the end that it waited for, however soon that comes.
ABORTED = 137


def dispatch_of(
    task: Mapping[str, Any],
    queue: Optional[str],
    begun: Optional[float],
    started_at: Optional[str],
    variables: Mapping[str, str],
) -> Dispatch:
    """How the task came here.

    Args:
        task: its document.
        queue: the name of its queue; ``None``: the id of that, as far as the server tells.
        begun: epoch seconds at the first line of what its agent started; ``None``: it started nothing.
        started_at: when its script was started; ``None``: it was not.
        variables: the environment that its agent gave.
    """
    return Dispatch(
        task_id=str(task["id"]),
        queue=queue or str(table(table(task, "execution"), "queue").get("id") or "") or None,
        worker=variables.get("CLEARML_WORKER_ID"),
        image=variables.get(IMAGE_VARIABLE) or variables.get("CLEARML_DOCKER_IMAGE"),
        pulled_at=task.get("started"),
        container_started_at=_container_start(variables) if begun is not None else None,
        user_code_at=None if begun is None else instant(begun),
        workload_started_at=started_at,
    )


def _container_start(variables: Mapping[str, str]) -> Optional[str]:
    """When the first process of this container started; ``None``: this is none, or another than the task's."""
    started = first_process_started() if variables.get(ASKED_AT_VARIABLE) else None
    return None if started is None else instant(started)


def not_run(task: Mapping[str, Any], words: Optional[List[str]], failure: Failure) -> RunRecord:
    """The record of a task whose script was never started."""
    now = instant(time.time())
    return RunRecord(
        str(task["id"]), handing_in.called(task), "failed", now, now, failure=failure, command=words
    )


def delivered(server: Server, task: Mapping[str, Any], record: RunRecord, folder: Optional[Path]) -> bool:
    """Leave the record with the task; whether the server took it. What it did not take stays in its folder."""
    place: Optional[Path] = None
    try:
        place = _kept(record, folder)
        began = task.get("started")
        task = handing_in.document(server, str(task["id"]))  # as the script left it
        if handing_in.is_another_run(task, began):
            raise ApiError("the task has been started anew since")
        record.parameters = handing_in.parameters_of(task)
        records.write_json(record, place / records.RECORD_FILE)
        handing_in.hand_in(server, task, record, place)
    except (ApiError, OSError) as error:
        kept = "" if place is None else f"; it lies in {place}"
        said = f"stackyard: the record could not be left with the task ({error}){kept}"
        print(said, file=sys.stderr, flush=True)
        return False
    shutil.rmtree(place, ignore_errors=True)
    return True


def _kept(record: RunRecord, folder: Optional[Path]) -> Path:
    """Where a record is written before the server takes it: elsewhere where its folder is full or not to be written."""
    why: Optional[OSError] = None
    for top in (None, *_SPARE):
        try:
            place = (
                folder
                if folder is not None and top is None
                else Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=top))
            )
            place.mkdir(parents=True, exist_ok=True, mode=0o700)  # a script may remove it
            records.write_json(record, place / records.RECORD_FILE)
            if record.dispatch is not None:
                records.write_json(record.dispatch, place / records.WAY_FILE)
        except OSError as error:
            why = why or error
            continue
        return place
    assert why is not None
    raise why


def said(server: Server, id: str, record: RunRecord, why: Optional[str], is_there: bool) -> int:
    """Say how it ended, and with which status to exit.

    Args:
        server: where the task is.
        id: the task's.
        record: what was left with it.
        why: it was ended on the server; ``None``: it was not.
        is_there: whether the server has the record.
    """
    failure = record.failure
    began = record.dispatch.pulled_at if record.dispatch is not None else None
    if why is not None:
        if is_there:
            aborts.is_over(server, id)
        return ABORTED
    if failure is None:
        return 0
    print(f"stackyard: {failure.kind}: {failure.message}", file=sys.stderr, flush=True)
    if failure.kind != "interrupted" and handing_in.fail(server, id, failure, began):
        return 0
    return failure.exit_code or FAILED


def instant(epoch_seconds: float) -> str:
    """A moment as records write it."""
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds")
