"""What a dispatched run left on the server, brought into its run folder as a bare run leaves it.

The record is written last, so that a folder with one is whole. What comes from the server is not trusted: archives
are unpacked below the folder or not at all. May import the client and the records of the seam.
"""

from __future__ import annotations

import datetime
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from stackyard.clearml.client import Client, ServerError, room_bytes
from stackyard_task import records
from stackyard_task.records import (
    FAILURE_KINDS,
    INSTANTS,
    SUPERVISOR_LOG,
    Dispatch,
    Failure,
    RunRecord,
    TaskSpec,
)

#: Files of a run's outputs that are unpacked.
MOST_FILES = 100_000
#: Lines of the task's console that are kept when it fails without a record.
CONSOLE_LINES = 500
#: "kind: sentence", as the supervisor, the entry script and the server write reasons.
_REASON = re.compile(rf"^({'|'.join(FAILURE_KINDS)}): (.+)$", re.DOTALL)
#: Those by the worker's clock, which may differ from the server's.
_WORKERS = ("container_started_at", "user_code_at", "workload_started_at")


class ArchiveError(Exception):
    """An archive holds something that is not unpacked; the message names it."""


def collect(client: Client, task: Mapping[str, Any], folder: Path) -> RunRecord | None:
    """The record the task left, after its companions have been brought to ``folder``; ``None``: it left none.

    Writes no ``record.json``: what the launcher knows is still to be added. May be called again after an error.

    Raises:
        ServerError: something it left cannot be read.
        UnreachableError: the server does not answer.
        RecordError: the record is not one.
        ArchiveError: the archive of its outputs is not safe.
        OSError: the folder cannot be written.
    """
    artifacts = {a["key"]: a.get("uri") or "" for a in (task.get("execution") or {}).get("artifacts") or []}
    for name, file in (
        ("timeline", records.TIMELINE_FILE),
        ("series", records.SERIES_FILE),
        ("output-log", records.LOG_FILE),
    ):
        if name in artifacts:
            client.download(artifacts[name], folder / file)
    outputs = folder / records.OUTPUTS_FOLDER
    if "record" in artifacts:
        outputs.mkdir(exist_ok=True)
    if "outputs" in artifacts:
        archive = folder / ".outputs.zip"
        try:
            client.download(artifacts["outputs"], archive)
            unpack(archive, outputs)
        finally:
            archive.unlink(missing_ok=True)
    if "record" not in artifacts:
        return None
    draft = folder / f".{records.RECORD_FILE}"
    try:
        client.download(artifacts["record"], draft)
        return records.read_json(RunRecord, draft)
    finally:
        draft.unlink(missing_ok=True)


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip archive below ``target``: plain files and folders with relative names, nothing else.

    Raises:
        ArchiveError: it is no archive, is damaged, or holds a link, a device, or a name that leads outside.
        OSError: there is no room for it.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            if len(members) > MOST_FILES:
                raise ArchiveError(
                    f"the outputs are {len(members):,} files, more than the {MOST_FILES:,} that are unpacked; they "
                    "stay on the server"
                )
            for member in members:
                _check(member)
            needed, room = sum(member.file_size for member in members), room_bytes(target)
            if needed > room:
                raise ArchiveError(
                    f"the outputs are {needed} bytes, and {max(0, room)} may be taken in {target}"
                )
            for member in members:
                packed.extract(member, target)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ArchiveError(f"the archive of the outputs cannot be unpacked ({error})") from error


def _check(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or "\0" in member.filename:
        raise ArchiveError(f"the outputs hold {member.filename!r}, which leads outside; nothing was unpacked")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(
            f"the outputs hold {member.filename!r}, which is neither a file nor a folder; nothing was unpacked"
        )


def complete(record: RunRecord, spec: TaskSpec, task: Mapping[str, Any], told: Dispatch) -> RunRecord:
    """The record as a bare run of ``spec`` would say it, with all that is known of its way.

    Args:
        record: as the worker wrote it.
        spec: what was submitted: the record names the submitter's parameters, not a worker's copies.
        task: the task's document.
        told: what the launcher itself knows: queue, enqueued_at, retries.
    """
    record.parameters = spec.parameters
    way = record.dispatch or Dispatch()
    way.task_id = str(task["id"])
    way.queue, way.retries = told.queue, told.retries
    way.enqueued_at = told.enqueued_at
    way.pulled_at = task.get("started")
    way.finished_at = task.get("completed") or task.get("status_changed")
    _drop_disorder(way)
    record.dispatch = way
    return record


def _drop_disorder(way: Dispatch) -> None:
    """Make not measured what is out of order; of two clocks that disagree, the server's is believed."""
    earliest: datetime.datetime | None = None
    server: dict[str, datetime.datetime] = {}
    for name in (name for name in INSTANTS if name not in _WORKERS):
        moment = _moment(getattr(way, name))
        if moment is None or (earliest is not None and moment < earliest):
            setattr(way, name, None)
            continue
        earliest = server[name] = moment
    earliest = server.get("pulled_at") or server.get("enqueued_at")
    latest = server.get("finished_at")
    for name in _WORKERS:
        moment = _moment(getattr(way, name))
        if moment is None or (earliest and moment < earliest) or (latest and moment > latest):
            setattr(way, name, None)
            continue
        earliest = moment


def _moment(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)


def without_record(client: Client, task: Mapping[str, Any], folder: Path) -> Failure:
    """Why a task that left no record ended, from its status, its reason and the end of its console.

    The console is kept in the run folder as SUPERVISOR_LOG.
    """
    lines = console(client, str(task["id"]))
    if lines:
        (folder / SUPERVISOR_LOG).write_text("\n".join(lines) + "\n", encoding="utf-8")
    reason = " ".join(str(task.get("status_reason") or "").split())
    found = _REASON.match(reason)
    if found is None and task["status"] == "failed":
        # what the entry script says, it says before the agent gives the task a reason of its own
        found = next((m for line in reversed(lines) if (m := _REASON.match(line.strip()))), None)
    if found is not None:
        return Failure(found[1], found[2])
    if task["status"] == "stopped":
        return Failure("interrupted", f"the task was aborted ({reason or 'no reason given'})")
    return Failure(
        "infrastructure",
        f"the task ended as {task['status']} without a record ({reason or 'no reason given'}); "
        f"see {SUPERVISOR_LOG if lines else 'its console on the server'}",
    )


def console(client: Client, task_id: str) -> list[str]:
    """The last lines of a task's console; none where the server has none to give."""
    try:
        events = client.call(
            "events.get_task_log",
            task=task_id,
            batch_size=CONSOLE_LINES,
            order="desc",
            navigate_earlier=True,
        )["events"]
    except (ServerError, KeyError):
        return []
    events.reverse()  # the newest come first; those of one moment stay in their order
    events.sort(key=lambda event: event.get("timestamp", 0))
    return "\n".join(str(event.get("msg", "")).rstrip("\n") for event in events).splitlines()[-CONSOLE_LINES:]
