"""Tasks brought from servers, page by page, with their records; how many and how much is bounded."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from stackyard.clearml.client import Client, ServerError, TooLargeError
from stackyard.comparing import metrics, paging, projects
from stackyard.comparing.choices import choices
from stackyard.comparing.fields import FieldError
from stackyard.comparing.grouping import KEYS, alike
from stackyard.comparing.metrics import Wanted
from stackyard.comparing.near import hint, printable
from stackyard.comparing.selection import LOCAL, Selection, is_parameter
from stackyard.comparing.task import ASKED, OF_ANYBODY, Artifact, Task, shortened, task_of
from stackyard.errors import BadInputError
from stackyard_task.records import RecordError, RunRecord, from_json, parse
from stackyard_task.wishes import script_digest

#: Tasks of one comparison, over all servers.
MOST_TASKS = 5_000
#: Of the changes, or whole scripts, of all tasks together; those beyond are not told apart.
DIFF_BYTES, DIFF_PAGE = 32 << 20, 100
#: A record that is read; it has some kilobytes.
RECORD_BYTES = 1 << 20
#: Records that are downloaded, where a server shows but their beginning, and how many at a time.
MOST_DOWNLOADS, AT_ONCE = 1_000, 8
#: An id, and the beginning of one as lists show it.
_ID, _BEGINNING = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{6,31}")
_NO_TASK = "no server that was asked has that task, or lets you see it"
_MOST_ASKED = 200
#: Hidden projects that a sentence names.
_MOST_NAMED = 3


@dataclass
class Found:
    """The tasks of a comparison, and what could not be read of them."""

    selection: Selection
    tasks: list[Task] = field(default_factory=list)
    #: What servers are called, in order.
    servers: list[str] = field(default_factory=list)
    #: (task, why) of records that cannot be read.
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    #: What is wrong with documents that are none of tasks.
    broken: list[str] = field(default_factory=list)
    #: Tasks too large to be read.
    too_large: int = 0
    #: Hidden projects below the one that is compared, whose tasks were not asked for.
    hidden: list[str] = field(default_factory=list)
    #: Tasks that came from two servers.
    twice: int = 0
    #: Tasks whose changes nobody looked at: they would be too much.
    unlooked: int = 0


def read(
    clients: Sequence[Client], selection: Selection, asked: Sequence[Wanted], keys: Sequence[str] = ()
) -> Found:
    """The tasks of a selection from all servers.

    Args:
        clients: the servers.
        selection: which tasks.
        asked: metrics that somebody named; none: all scalars are read.
        keys: what tasks are grouped or paired by: such parameters are read however many a task has.

    Raises:
        BadInputError: no server has the project, no task fits, or more than MOST_TASKS do.
        ServerError: a server refuses.
        UnreachableError: a server does not answer.
    """
    selection = dataclasses.replace(selection, ids=_whole(clients, selection.ids))
    asking = metrics.asking(asked)
    found = Found(selection, servers=[client.connection.api for client in clients])
    seen: set[str] = set()
    near: list[str] = []
    there = False
    for place, client in enumerate(clients):
        asks = {**selection.asks(), "only_fields": [*ASKED, *asking.fields]}
        if selection.project is not None:
            scope, known = projects.ids_of(client, selection.project, selection.filters.get("project", ()))
            near += known
            if not scope.ids:
                continue
            asks |= scope.asks(whole=bool(selection.ids))
            found.hidden += scope.hidden
        there = True
        for document in _documents(client, asks, found):
            try:
                task = task_of(document, place, asking.names, {*selection.filters, *keys})
            except RecordError as error:
                found.broken.append(str(error))
                continue
            if task.id in seen:
                found.twice += 1
                continue
            seen.add(task.id)
            if not _has_parameters(task, selection):
                continue
            found.tasks.append(task)
            if len(found.tasks) > MOST_TASKS:
                raise BadInputError(
                    f"more than {MOST_TASKS:,} tasks fit ({selection.words()}): narrow them with a tag or a filter"
                )
    if not there:
        raise BadInputError(f"no project is named {selection.project!r}{hint(str(selection.project), near)}")
    missing = [id for id in selection.ids if id not in seen]
    if missing:
        raise FieldError("task", f"{missing[0]}: {_NO_TASK}")
    _bring_records(clients, found)
    there_are = found.tasks
    found.tasks = [task for task in there_are if _fits(task, selection)]
    if not found.tasks:
        why = _other_values(there_are, selection) or _nearest(clients, selection) or _hidden(found)
        raise BadInputError(f"no task fits: {selection.words()}{why}")
    _look_at_code(clients, found)
    return found


def _fits(task: Task, selection: Selection) -> bool:
    """Whether a task has what no server was asked for; what one was asked for is seen to once more."""
    for name, given in selection.filters.items():
        values = list(map(shortened, given))  # as a task has them
        if name in LOCAL and KEYS[name](task) not in values:
            return False
    return set(map(shortened, selection.tags)) <= set(task.tags)


def _whole(clients: Sequence[Client], ids: Sequence[str]) -> tuple[str, ...]:
    """Ids of tasks, those of which the beginning is given made whole; the newest MOST_TASKS are looked through.

    Raises:
        BadInputError: several tasks begin so, or none does.
    """
    begun = [id for id in ids if not _ID.fullmatch(id)]
    known: dict[str, None] = {}
    for client in clients if any(map(_BEGINNING.fullmatch, begun)) else ():
        there = client.pages(
            "tasks.get_all_ex",
            "tasks",
            search_hidden=True,  # who names a task means it
            only_fields=["id"],
            order_by=["-created"],
            system_tags=["-archived"],
        )
        known.update((str(each.get("id")), None) for each in itertools.islice(there, MOST_TASKS))
    whole = {id: id for id in ids}
    for id in begun:
        found = [each for each in known if each.startswith(id)] if _BEGINNING.fullmatch(id) else []
        if len(found) > 1:
            raise FieldError("task", f"{id}: {len(found)} tasks have an id that begins so; give more of it")
        if not found:
            raise FieldError("task", f"{id[:60]}: {_NO_TASK}")
        whole[id] = found[0]
    return tuple(dict.fromkeys(whole.values()))


def _has_parameters(task: Task, selection: Selection) -> bool:
    """Whether a task has the parameters that are asked for: a server compares texts, here numbers are numbers."""
    for name, given in selection.filters.items():
        if is_parameter(name):
            found, *wanted = alike([task.parameters.get(name), *map(shortened, given)])
            if task.parameters.get(name) is None or found not in wanted:
                return False
    return True


def _other_values(tasks: Sequence[Task], selection: Selection) -> str:
    """What the tasks have where no task has the value that is asked for, as the end of a sentence."""
    for name, given in selection.filters.items():
        if name in LOCAL:
            known = {value for task in tasks if (value := KEYS[name](task)) is not None}
            if known and not known & set(map(shortened, given)):
                return f"; none has the {name} {' or '.join(given)}{hint(given[0], sorted(known))}"
    return ""


def _hidden(found: Found) -> str:
    """That tasks of hidden projects are compared where one is named, as the end of a sentence."""
    if not found.hidden or found.selection.ids:
        return ""
    more = ", ..." if len(found.hidden) > _MOST_NAMED else ""
    names = ", ".join(printable(name) for name in found.hidden[:_MOST_NAMED])
    return f"; tasks of hidden projects below it stay out unless one is named: {names}{more}"


def _nearest(clients: Sequence[Client], selection: Selection) -> str:
    """What is there instead of a tag or a parameter that no task of the project has, as the end of a sentence."""
    if selection.project is None:
        return ""
    tags, parameters = [], []
    for client in clients:
        with contextlib.suppress(BadInputError):  # another server has the project
            offered = choices(client, selection.project)
            tags += offered.tags
            parameters += offered.parameters
    for kind, wanted, known in (
        ("tag", selection.tags, tags),
        ("parameter", [name for name in selection.filters if is_parameter(name)], parameters),
    ):
        for name in wanted:
            if name not in known:
                return f"; none has the {kind} {name}{hint(name, known)}"
    return ""


def _documents(client: Client, asks: Mapping[str, Any], found: Found) -> Iterator[Mapping[str, Any]]:
    """The documents of the tasks, in the order in which they were made."""

    def too_large() -> None:
        found.too_large += 1

    try:
        yield from paging.documents(client, asks, ["created", "id"], too_large)
    except paging.TooMuchError as error:
        raise BadInputError(
            f"the tasks hold more than {paging.ALL_BYTES >> 20} MB ({found.selection.words()}): narrow them"
        ) from error


def scalars(clients: Sequence[Client], found: Found) -> list[str]:
    """Names of the scalars that tasks have, "title/variant"; of many tasks those of the newest."""
    names: dict[str, None] = {}
    for place, client in enumerate(clients):
        ids = [task.id for task in found.tasks if task.server == place][-_MOST_ASKED:]
        if ids:
            answer, _ = client.read("projects.get_unique_metric_variants", paging.PAGE_BYTES, ids=ids)
            for each in answer.get("metrics") or []:
                if isinstance(each, dict):
                    names[f"{each.get('metric')}/{each.get('variant')}"] = None
    return list(names)


def _look_at_code(clients: Sequence[Client], found: Found) -> None:
    """Tell apart the uncommitted changes, and the scripts that are stored whole, by their digests."""
    left = DIFF_BYTES
    for place, client in enumerate(clients):
        tasks = {task.id: task for task in found.tasks if task.server == place}
        ids = list(tasks)
        for start in range(0, len(ids), DIFF_PAGE):
            page = ids[start : start + DIFF_PAGE]
            try:
                answer, read = client.read(
                    "tasks.get_all_ex",
                    left,
                    id=page,
                    only_fields=["id", "script.diff"],
                    page=0,
                    page_size=DIFF_PAGE,
                )
            except TooLargeError:
                found.unlooked += len(ids) - start
                break
            left -= read
            for document in answer.get("tasks") or []:
                script = document.get("script") if isinstance(document, dict) else None
                diff = script.get("diff") if isinstance(script, dict) else None
                task = tasks.get(str(document.get("id")))
                if task is None:
                    continue
                whole = diff if isinstance(diff, str) else ""
                said = task.repository or "", task.commit or "", whole, task.entry or ""
                task.code = script_digest(*said) if any(said) else None
                if whole.strip():
                    task.diff = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def _bring_records(clients: Sequence[Client], found: Found) -> None:
    """Give each task its measured record, from what the server shows of it, else from the file server."""
    away: list[tuple[Task, Artifact]] = []
    for task in found.tasks:
        if task.artifact is None:
            continue
        try:
            _take(task, task.artifact.key, task.artifact.preview, whole=False)
        except RecordError as error:
            if task.artifact.uri and not isinstance(error, _NotOfThisTask):
                away.append((task, task.artifact))
            else:
                found.unreadable.append((task.called, str(error)))
    for task, _ in away[MOST_DOWNLOADS:]:
        found.unreadable.append((task.called, f"more than {MOST_DOWNLOADS:,} records would be downloaded"))

    def bring(each: tuple[Task, Artifact]) -> str | None:
        task, artifact = each
        try:
            text = clients[task.server].content(artifact.uri or "", RECORD_BYTES).decode("utf-8")
            _take(task, artifact.key, text)
        except (RecordError, ServerError, UnicodeDecodeError) as error:
            return str(error)
        return None

    if away:
        with ThreadPoolExecutor(AT_ONCE, "records") as pool:
            for (task, _), why in zip(away, pool.map(bring, away[:MOST_DOWNLOADS]), strict=False):
                if why is not None:
                    found.unreadable.append((task.called, why))


class _NotOfThisTask(RecordError):
    """A copy of a task was made with the record of the original."""


def _take(task: Task, named: str, text: str, *, whole: bool = True) -> None:
    """Read a task's record.

    Args:
        task: whose.
        named: the artifact's name.
        text: what it holds.
        whole: whether that is all of it; a server may show its beginning alone.

    Raises:
        RecordError: it cannot be read, or it is another task's.
    """
    if len(text) > RECORD_BYTES:
        raise RecordError(f"more than {RECORD_BYTES >> 20} MiB")
    if whole and named == OF_ANYBODY and '"run_id"' not in text:
        return  # an artifact of the task's author, who may use that name too
    record = from_json(RunRecord, parse(text, "the record"), "the record")
    of = record.dispatch.task_id if record.dispatch is not None else None
    if of not in (None, task.id):
        raise _NotOfThisTask(
            f"it is that of the task {of[:40] if of else ''}, which this one was copied from"
        )
    task.record = record
