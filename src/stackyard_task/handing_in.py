"""What a measured task leaves with its server: the record, its figures, a plot, and why it failed.

The scalars, models and artifacts of an ordinary task are its author's: nothing that ``hand_in`` leaves has their names.
Tasks that Stackyard itself sends leave more (``clearml_results``), made of the same parts. Speaks through ``api``
alone. Standard library only.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from stackyard_task import figures, records
from stackyard_task.api import ApiError, Refused, Server
from stackyard_task.criteria import Stopped
from stackyard_task.figure_names import BESIDE_ITS_OWN
from stackyard_task.inputs import digest_of
from stackyard_task.records import Course, Failure, RunRecord
from stackyard_task.wishes import Choice

#: Names of the artifacts; our side asks for them by these. A task that Stackyard itself sends has others.
RECORD, TIMELINE = "stackyard-record", "stackyard-timeline"
TIMELINE_SAID = "CPU, RAM and GPU over the seconds of the run"
_CONTENT_TYPES = {".json": "application/json", ".zip": "application/zip", ".log": "text/plain"}
#: Names of runtime properties: which stack runs a task, and why; a clone has none, and a reset takes them away.
STACK, STACK_WHY = "stackyard_stack", "stackyard_stack_why"
_MOST_WHY = 1000
#: How the SDK reports a single value.
_SUMMARY, _SINGLE = "Summary", -(2**31)
#: What of a task's document is read.
FIELDS = [
    *("id", "name", "type", "status", "started", "project.name", "script", "hyperparams", "runtime"),
    *("execution.queue", "execution.artifacts", "last_metrics"),
]
#: Of names, so many parts, and of each so many characters are used for a folder's.
_MOST_PARTS, _MOST_NAME = 12, 80
_MOST_REASON = 2000
#: Statuses of a run that may still be failed: it is under way, or its agent has just failed it.
_OPEN = ("in_progress", "failed")


class NoTask(Refused):
    """The server knows no such task."""


def document(server: Server, id: str, fields: Sequence[str] = tuple(FIELDS)) -> Dict[str, Any]:
    """What the server says of a task.

    Args:
        server: where it is.
        id: which.
        fields: what is read.

    Raises:
        NoTask: it knows no such task.
        ApiError: it does not answer, or refuses.
    """
    found = server.call("tasks.get_all_ex", id=[id], only_fields=list(fields), search_hidden=True).get(
        "tasks"
    )
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        raise NoTask(f"the server knows no task {id}")
    return found[0]


def parameters_of(task: Mapping[str, Any]) -> Dict[str, Any]:
    """A task's hyperparameters: "Section/name" -> text."""
    found = {}
    for section, values in table(task, "hyperparams").items():
        for name in values if isinstance(values, dict) else {}:
            found[f"{section}/{name}"] = str(table(values, name).get("value", ""))
    return found


def called(task: Mapping[str, Any]) -> str:
    """What its records call a task."""
    return str(table(task, "script").get("entry_point") or task.get("name") or "task")[:200]


def table(value: Any, name: str) -> Dict[str, Any]:
    """The table of that name in a document; empty where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def hand_in(server: Server, task: Mapping[str, Any], record: RunRecord, folder: Path) -> None:
    """Leave a record and its companions with a task; the record last, so a task that has one has everything.

    Args:
        server: where the task is.
        task: its document: id, name, project's name.
        record: as it stands in the folder.
        folder: the run folder.

    Raises:
        ApiError: the server does not take them.
        OSError: the folder cannot be read.
    """
    id = str(task["id"])
    events = shown(id, record, folder, own_values(task))
    base = folder_of(task)
    artifacts = []
    if (folder / records.TIMELINE_FILE).is_file():
        artifacts.append(_sent(server, base, TIMELINE, folder / records.TIMELINE_FILE, TIMELINE_SAID))
    if events:
        server.call_lines("events.add_batch", events)
    text = (folder / records.RECORD_FILE).read_text(encoding="utf-8")
    artifacts.append(_sent(server, base, RECORD, folder / records.RECORD_FILE, text))
    register(server, id, artifacts)


def stack_noted(choice: Choice) -> Dict[str, str]:
    """The runtime properties by which a task's page says which stack runs it, and why; the record says it too.

    Args:
        choice: what was chosen; of none, as in the environment of an agent, nothing is noted.
    """
    noted = {STACK_WHY: "; ".join(choice.said)[:_MOST_WHY]} if choice.said else {}
    if choice.stack is not None:
        noted[STACK] = choice.stack.name
    return noted


def shown(id: str, record: RunRecord, folder: Path, taken: Sequence[str] = ()) -> List[Dict[str, Any]]:
    """The events that show a record on a task's pages: its figures, and a plot of the run's course.

    Args:
        id: the task's.
        record: what is shown.
        folder: the run folder, whose timeline is plotted.
        taken: names of single values that are the task's own.
    """
    events = [
        event(id, "training_stats_scalar", _SUMMARY, name, iter=_SINGLE, value=value)
        for name, value in _unlike(figures.figures(record), taken).items()
    ]
    try:
        plot = figures.timeline_plot(records.read_json(Course, folder / records.TIMELINE_FILE))
    except records.RecordError:
        plot = None
    if plot is not None:
        events.append(event(id, "plot", "Resources", "timeline", iter=0, plot_str=json.dumps(plot)))
    return events


def artifact(name: str, kind: str, file: Path, uri: str, preview: str) -> Dict[str, Any]:
    """A file as a task's artifact.

    Args:
        name: the artifact's.
        kind: as the pages name it: "JSON", "text", "archive".
        file: the file, for its size, digest and type.
        uri: where its copy lies.
        preview: what a page shows of it.

    Raises:
        OSError: the file cannot be read.
    """
    return {
        "key": name,
        "type": kind,
        "mode": "output",
        "uri": uri,
        "content_size": file.stat().st_size,
        "hash": digest_of(file),
        "timestamp": int(time.time()),
        "type_data": {"preview": preview, "content_type": _CONTENT_TYPES.get(file.suffix)},
    }


def register(server: Server, id: str, artifacts: List[Dict[str, Any]]) -> None:
    """Name files of the file server as artifacts of a task.

    Raises:
        ApiError: the server does not take them.
    """
    try:
        server.call("tasks.add_or_update_artifacts", task=id, artifacts=artifacts, force=True)
    except Refused:  # of a task that is over, the server takes the whole list only
        held = table(document(server, id), "execution").get("artifacts") or []
        names = [one["key"] for one in artifacts]
        kept = [one for one in held if isinstance(one, dict) and one.get("key") not in names]
        server.call("tasks.edit", task=id, execution={"artifacts": [*kept, *artifacts]}, force=True)


def fail(server: Server, task_id: str, failure: Failure, began: Optional[str] = None) -> bool:
    """Say why a task failed, as the last word; whether the server took it.

    Whoever asks this should exit with 0 then: of any other status the agent would make a reason of its own.

    Args:
        server: where it is.
        task_id: which.
        failure: why.
        began: when its run began, as the server has it: of a later run nothing is said. ``None``: nobody knows.
    """
    try:
        found = document(server, task_id, ("status", "started"))
        if found.get("status") not in _OPEN or is_another_run(found, began):
            return False
        server.call(
            "tasks.failed",
            task=task_id,
            status_reason=_on_one_line(f"{failure.kind}: {failure.message}")[:_MOST_REASON],
            status_message=failure.kind,
            force=True,
        )
    except ApiError:
        return False
    return True


def stop(server: Server, task_id: str, stopped: Stopped) -> bool:
    """Say at which criterion a task's run was stopped, as the last word; whether the server took it.

    Whoever asks this should wait for its agent then: of any exit status that makes another end.

    Args:
        server: where it is.
        task_id: which.
        stopped: why.
    """
    try:
        if document(server, task_id, ("status",)).get("status") != "in_progress":
            return False
        server.call(
            "tasks.stopped",
            task=task_id,
            status_reason=_on_one_line(stopped.message)[:_MOST_REASON],
            status_message=stopped.criterion,
            force=True,
        )
    except ApiError:
        return False
    return True


def _on_one_line(text: str) -> str:
    """A sentence that may be a script's own, without what would drive a terminal."""
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def is_another_run(task: Mapping[str, Any], began: Optional[str]) -> bool:
    """Whether a task was started anew since a run of it began; both instants are the server's."""
    return began is not None and task.get("started") not in (None, began)


def event(task_id: str, kind: str, metric: str, variant: str, **fields: Any) -> Dict[str, Any]:
    """Something that a task reports, as ``events.add_batch`` takes it."""
    same = {"type": kind, "task": task_id, "metric": metric, "variant": variant}
    return {**same, "timestamp": int(time.time() * 1000), **fields}


def _sent(server: Server, base: str, name: str, file: Path, preview: str) -> Dict[str, Any]:
    uri = server.upload(file, f"{base}/artifacts/{name}/{file.name}")
    return artifact(name, "JSON", file, uri, preview)


def own_values(task: Mapping[str, Any]) -> List[str]:
    """The names of the single values that the task itself has reported."""
    found = []
    try:
        for metric in (task.get("last_metrics") or {}).values():
            for variant in metric.values():
                if variant.get("metric") == _SUMMARY:
                    found.append(str(variant.get("variant")))
    except AttributeError:  # not as a ClearML server says it
        return found
    return found


def _unlike(values: Dict[str, float], taken: Sequence[str]) -> Dict[str, float]:
    """The same values, none with a name that is taken."""
    return {name + BESIDE_ITS_OWN if name in taken else name: value for name, value in values.items()}


def folder_of(task: Mapping[str, Any]) -> str:
    """The folder of a task on the file server, as the SDK lays it out, in characters and lengths every server takes."""
    project = task.get("project")
    named = project.get("name") if isinstance(project, dict) else None
    parts = [_clean(part) for part in f"{named or 'none'}/{task.get('name')}".split("/")]
    *above, last = [part for part in parts if part.strip(".")][:_MOST_PARTS] or ["none"]
    return "/".join([*above, f"{last}.{task['id']}"])


def _clean(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", part)[:_MOST_NAME]
