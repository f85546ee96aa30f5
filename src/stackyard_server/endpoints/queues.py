"""``queues``: where tasks wait for workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from .. import listing
from ..calls import Call, pieces
from ..calls.dispatch import endpoint
from ..listing.projection import Virtual
from ..moments import iso
from ..protocol.error_table import error, field_error
from ..rules import metadata, queueing, task_status
from ..store import Transaction, hand_outs, queues, workers
from ..store.documents import QUEUE, TASK, Document
from ..tasks import queueing as task_queueing

#: What clients that ask for a part of the entries are shown of a queue.
WITH_SOME_ENTRIES = ["id", "tags", "system_tags", "entries", "metadata"]
METADATA_BY_KEY = (2, 13)


def _entries(most: int | None) -> Callable[[Transaction, list[str]], Mapping[str, Any]]:
    """The entries of queues in ClearML's form, at most so many of each."""

    def read(tx: Transaction, ids: list[str]) -> Mapping[str, Any]:
        return {id: [_shown(entry) for entry in queues.entries(tx, id, most)] for id in ids}

    return read


def _shown(entry: queues.Entry) -> Document:
    return {"task": entry.task, "added": iso(entry.added)}


def _virtual(call: Call) -> dict[str, Virtual]:
    return {"entries": _entries(call.get("max_task_entries"))}


def _as_asked(call: Call, queue: Document) -> Document:
    """The queue as clients of the asked version know it: before 2.13 metadata was a list."""
    if call.version < METADATA_BY_KEY and "metadata" in queue:
        queue["metadata"] = list(queue["metadata"].values())
    return queue


@endpoint("2.4", access="state")
def create(call: Call) -> dict[str, Any]:
    """The id of a new queue."""
    id = queues.create(
        call.tx,
        call.who,
        call.data["name"],
        call.now,
        display_name=_text(call, "display_name"),
        tags=call.get("tags", []),
        system_tags=call.get("system_tags", []),
        metadata=metadata.read(call.get("metadata")),
    )
    return {"id": id}


def _text(call: Call, name: str) -> str | None:
    value = call.get(name)
    if value is not None and not isinstance(value, str):
        raise field_error(name, f": ('value is wrong, expected type \"str\"', {value!r}).")
    return value


@endpoint("2.4")
def get_by_id(call: Call) -> dict[str, Any]:
    """One queue with its entries; with ``max_task_entries`` the first of them and little else."""
    found = queues.find(call.tx, call.data["queue"])
    only = WITH_SOME_ENTRIES if call.get("max_task_entries") is not None else None
    return {"queue": _as_asked(call, listing.rendered(call, QUEUE, found, only, virtual=_virtual(call)))}


@endpoint("2.4", slow=False)
def get_default(call: Call) -> dict[str, Any]:
    """The id and name of the queue that is taken when none is named."""
    id = queues.default(call.tx)
    if id is None:
        raise error("invalid_queue_id", "there is no default queue", company=call.who.company)
    return {"id": id, "name": queues.find(call.tx, id)["name"]}


@endpoint("2.4", lists="queue")
def get_all(call: Call) -> dict[str, Any]:
    """The queues asked for, with their entries."""
    answer = listing.get_all(call, QUEUE, virtual=_virtual(call))
    return {"queues": [_as_asked(call, queue) for queue in answer["queues"]]}


@endpoint("2.4", lists="queue")
def get_all_ex(call: Call) -> dict[str, Any]:
    """The queues asked for with their entries' task names and the workers that listen.

    Left out: ``only_fields`` (everything is shown), ``count_task_entries``.
    """
    data = {**call.data, "only_fields": ["*", "entries.task.name"]}
    answer = listing.get_all_ex(call, QUEUE, virtual=_virtual(call), data=data)
    listening = workers.by_queue(call.tx, call.now)
    for queue in answer["queues"]:
        queue["workers"] = [
            {"id": w.id, "name": w.id, "ip": w.address, **({"task": {"id": w.task}} if w.task else {})}
            for w in listening.get(queue["id"], ())
        ]
    return answer


@endpoint("2.4", access="state")
def update(call: Call) -> dict[str, Any]:
    """Rename or tag a queue, or set its metadata: how many changed and to what."""
    changes: Document = {}
    if call.get("name") is not None:
        changes["name"] = queues.checked_name(call.data["name"])
    if "display_name" in call.data:
        changes["display_name"] = _text(call, "display_name")
    for name in ("tags", "system_tags"):
        if call.get(name) is not None:
            changes[name] = call.data[name]
    if call.get("metadata") is not None:
        changes["metadata"] = metadata.read(call.data["metadata"])
    return {"updated": queues.update(call.tx, call.data["queue"], changes), "fields": changes}


@endpoint("2.4", access="state", pieces="steps", destructive=True)
def delete(call: Call) -> Generator[None, None, dict[str, Any]]:
    """Remove a queue; one in which tasks wait only with ``force``, and they get their earlier status back."""
    queue = call.data["queue"]
    while queues.depth(call.tx, queue):  # others may come while the first ones go
        if not call.get("force", False):
            raise error("queue_not_empty", "use force=true to delete", id=queue)
        yield from _empty(call, queue)
    for number, task in enumerate(task_queueing.left_behind(call.tx, queue)):
        if pieces.is_due(number):
            yield
        if task_queueing.is_left_behind(call.tx, task):
            task_queueing.dequeue(call, task)
    for entry in queues.entries(call.tx, queue):  # of this moment's step
        if not call.get("force", False):
            raise error("queue_not_empty", "use force=true to delete", id=queue)
        task_queueing.dequeue(call, entry.task)
    queues.delete(call.tx, queue)
    return {"deleted": 1}


def _empty(call: Call, queue: str) -> Generator[None, None, list[str]]:
    """Take every task out of a queue that waits there now: which they were."""
    removed = []
    for number, entry in enumerate(queues.entries(call.tx, queue)):
        if pieces.is_due(number):
            yield
        if queues.of_task(call.tx, entry.task) == queue:  # nobody took it meanwhile
            task_queueing.dequeue(call, entry.task)
            removed.append(entry.task)
    return removed


@endpoint(access="state", pieces="steps", destructive=True)
def clear_queue(call: Call) -> Generator[None, None, dict[str, Any]]:
    """Take every task out of a queue: which they were. They get their earlier status back."""
    queue = call.data.get("queue")
    if not isinstance(queue, str) or not QUEUE.exists(call.tx, queue):
        raise error("invalid_queue_id", queue=queue)
    return {"removed_tasks": (yield from _empty(call, queue))}


@endpoint("2.13", access="state")
def add_or_update_metadata(call: Call) -> dict[str, Any]:
    """Set items of a queue's metadata, or all of it with ``replace_metadata``."""
    queue = queues.find(call.tx, call.data["queue"])
    items = metadata.read(call.data["metadata"])
    kept = {} if call.get("replace_metadata", False) else queue.get("metadata", {})
    return {"updated": queues.update(call.tx, queue["id"], {"metadata": {**kept, **items}})}


@endpoint("2.13", access="state", destructive=True)
def delete_metadata(call: Call) -> dict[str, Any]:
    """Remove items of a queue's metadata."""
    queue = queues.find(call.tx, call.data["queue"])
    gone = set(call.data["keys"])
    kept = {k: v for k, v in queue.get("metadata", {}).items() if k not in gone}
    return {"updated": queues.update(call.tx, queue["id"], {"metadata": kept})}


# Entries


@endpoint("2.4", access="state")
def add_task(call: Call) -> dict[str, Any]:
    """Let a task wait at the end of a queue; its status stays.

    The task names that queue as its own, unless ``update_execution_queue`` is false.
    """
    queue, task = call.data["queue"], call.data["task"]
    queues.number_of(call.tx, queue)
    if not TASK.exists(call.tx, task):
        raise error("invalid_task_id", id=task, company=call.who.company)
    queues.add(call.tx, queue, task, call.now)
    _name_queue(call, task, queue)
    return {"added": 1}


def _name_queue(call: Call, task: str, queue: str) -> None:
    """Let a task name a queue as its own, unless the request says not to."""
    if call.get("update_execution_queue", True):
        held = TASK.field(call.tx, task, "execution") or {}
        TASK.update(call.tx, task, {"execution": {**held, "queue": queue}})


@endpoint("2.4", access="state", destructive=True)
def remove_task(call: Call) -> dict[str, Any]:
    """Take a task out of a queue; its status stays, but with ``update_task_status`` it gets back its earlier one."""
    queue, task = call.data["queue"], call.data["task"]
    if queues.remove_task(call.tx, task, call.now) != queue:
        raise queues.not_waiting(call.tx, queue, task)
    if call.get("update_task_status", False):
        task_queueing.dequeue(call, task)
    return {"removed": 1}


@endpoint()
def get_by_task_id(call: Call) -> dict[str, Any]:
    """The queue in which a task waits: its id, name and display name; nothing where it waits in none."""
    task = call.data["task"]
    if not TASK.exists(call.tx, task):
        raise error("invalid_task_id", id=task, company=call.who.company)
    id = queues.of_task(call.tx, task)
    if id is None:
        return {}
    found = queues.find(call.tx, id)
    return {name: found.get(name) for name in ("id", "name", "display_name")}


@endpoint(access="state")
def move_task_to_queue(call: Call) -> dict[str, Any]:
    """Move a waiting task from a queue to the end of another; ``update_execution_queue`` as ``add_task``."""
    queue, task, target = call.data["queue"], call.data["task"], call.data["target_queue"]
    queues.number_of(call.tx, target)
    if queues.remove_task(call.tx, task, call.now) != queue:
        raise queues.not_waiting(call.tx, queue, task)
    if target == queue:
        raise error("already_queued", task=task)
    queues.add(call.tx, target, task, call.now)
    _name_queue(call, task, target)
    return {"moved": 1}


def _nothing_waits(call: Call) -> dict[str, Any] | None:
    """Most polls end here: nothing is written, and the writing connection is left alone."""
    return {} if queues.first(call.tx, call.data["queue"], call.now) is None else None


@endpoint(access="state", glance=_nothing_waits)
def get_next_task(call: Call) -> dict[str, Any]:
    """The first task of a queue, which waits no longer: it is this caller's; nothing where none waits.

    Its status stays (the agent then calls ``tasks.started``), but one that was stopped meanwhile is queued again.
    """
    tx, queue = call.tx, call.data["queue"]
    while True:
        entry = queues.pop(tx, queue, call.now)
        if entry is None:
            return {}
        task = TASK.get(tx, entry.task, ["status", "company", "user"])
        if task is not None:
            break
    if task.get("status") == task_status.STOPPED:
        TASK.update(tx, entry.task, {"status": task_status.QUEUED})
    user, session, header = call.who.user, call.who.session, call.worker_name
    names = workers.of_session(tx, user, session) if session else []
    hand_outs.note(tx, entry.task, call.now, user=user, session=session, header=header, workers=names)
    answer: dict[str, Any] = {"entry": _shown(entry)}
    if call.get("get_task_info", False):
        answer["task_info"] = {"company": task.get("company"), "user": task.get("user")}
    return answer


@endpoint("2.15", slow=False)
def get_num_entries(call: Call) -> dict[str, Any]:
    """How many tasks wait in a queue."""
    return {"num": queues.depth(call.tx, call.data["queue"])}


@endpoint("2.15", slow=False)
def peek_task(call: Call) -> dict[str, Any]:
    """The task that would be handed out next; null where none waits."""
    return {"task": queues.first(call.tx, call.data["queue"], call.now)}


def _move(call: Call, places: int | None, *, towards_head: bool) -> dict[str, Any]:
    queue, task = call.data["queue"], call.data["task"]
    return {"position": queues.move(call.tx, queue, task, places, towards_head=towards_head)}


@endpoint("2.4", access="state")
def move_task_forward(call: Call) -> dict[str, Any]:
    """Move a waiting task ``count`` places towards the head: its new place. A count below 0 moves it backward."""
    return _move(call, call.get("count", 1), towards_head=True)


@endpoint("2.4", access="state")
def move_task_backward(call: Call) -> dict[str, Any]:
    """Move a waiting task ``count`` places towards the tail: its new place. A count below 0 moves it forward: so the
    web app says that somebody dragged it up."""
    return _move(call, call.get("count", 1), towards_head=False)


@endpoint("2.4", access="state")
def move_task_to_front(call: Call) -> dict[str, Any]:
    """Move a waiting task to the head: its new place."""
    return _move(call, None, towards_head=True)


@endpoint("2.4", access="state")
def move_task_to_back(call: Call) -> dict[str, Any]:
    """Move a waiting task to the tail: its new place."""
    return _move(call, None, towards_head=False)


@endpoint("2.4")
def get_queue_metrics(call: Call) -> dict[str, Any]:
    """How many tasks waited and how long, over time: of all queues together, or of each queue named.

    Left out: ``refresh`` (every change is written down as it happens).
    """
    since, until = (int(call.data[name] * 1000) for name in ("from_date", "to_date"))
    interval = call.data["interval"]
    if interval < 1 or until <= since:
        raise error("validation", "interval must be positive and to_date after from_date")
    ids: list[str] = call.get("queue_ids", [])
    for id in ids:
        queues.number_of(call.tx, id)
    changes = [
        queueing.Change(
            s.queue,
            s.at,
            queueing.Depth(s.waiting, s.added_sum),
            queueing.Depth(s.waiting_after, s.added_sum_after),
        )
        for s in queues.samples(call.tx, ids, since, until)
    ]
    series = {id: [c for c in changes if c.queue == id] for id in ids} if ids else {queueing.TOTAL: changes}
    return {
        "queues": [
            {"queue": name, **queueing.depth_series(own, since, interval * 1000)}
            for name, own in series.items()
        ]
    }
