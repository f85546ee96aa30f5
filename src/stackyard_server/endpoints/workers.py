"""``workers``: the agents, what they run and what their machines measure.

Left out: ``get_runtime_properties`` and its kin (agents take the 404), and all of the paid edition's clusters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..calls import Call
from ..calls.dispatch import endpoint
from ..listing.filters import grouped
from ..moments import iso
from ..protocol.error_table import error, field_error
from ..rules import machine_series
from ..rules.machine_series import Series
from ..store import queues, workers
from ..store.condition import Group
from ..store.documents import PROJECT, QUEUE, TASK, USER, Document
from ..store.workers import Worker

#: How far back ``get_metric_keys`` looks.
KEYS_LIFE_MS = 3_600_000
DEFAULT_LAST_SEEN_SECONDS = 3600
LONGEST_TIMEOUT_SECONDS = 7 * 24 * 3600
#: The most points a series may have.
MOST_POINTS = 20_000
LONGEST_ID = 1000


@endpoint("2.4", access="state")
def register(call: Call) -> dict[str, Any]:
    """Nothing; the worker is known from now on and listens on its queues."""
    id, wanted = _id(call), call.get("queues", [])
    known = QUEUE.names(call.tx, wanted)
    if missing := [q for q in wanted if q not in known]:
        raise error("invalid_queue_id", ids=missing)
    timeout = call.get("timeout") or workers.TIMEOUT_SECONDS
    if not 0 < timeout <= LONGEST_TIMEOUT_SECONDS:
        raise field_error(
            "timeout", f": 1 to {LONGEST_TIMEOUT_SECONDS} seconds were expected, found {timeout}."
        )
    worker = Worker(
        user=call.who.user,
        id=id,
        address=call.address,
        session=call.who.session,
        registered=call.now,
        timeout_seconds=timeout,
        last_active=call.now,
        queues=tuple(wanted),
        registered_tags=tuple(call.get("tags", [])),
        tags=tuple(call.get("tags", [])),
        system_tags=tuple(call.get("system_tags", [])),
    )
    workers.save(call.tx, worker)
    return {}


def _id(call: Call) -> str:
    id: str = call.data["worker"]
    if not id or len(id) > LONGEST_ID:
        raise field_error("worker", f": 1 to {LONGEST_ID} characters were expected.")
    return id


@endpoint("2.4", access="state", destructive=True)
def unregister(call: Call) -> dict[str, Any]:
    """Nothing; the worker is forgotten, if it was known."""
    workers.remove(call.tx, call.who.user, call.data["worker"])
    return {}


@endpoint("2.4", access="metrics", fenced="run")
def status_report(call: Call) -> dict[str, Any]:
    """Nothing; what the worker does and its machine measures is kept. An unknown worker is registered.

    Left out: ``timestamp`` (the server's own clock counts), ``is_daemon``.
    """
    tx, now, id = call.tx, call.now, _id(call)
    task = call.get("task")
    if task is not None:
        _note_life(call, task, id)
    worker = workers.find(tx, call.who.user, id) or Worker(
        call.who.user, id, call.address, call.who.session, now, workers.TIMEOUT_SECONDS, now
    )
    worker = replace(
        worker,
        address=call.address,
        session=call.who.session,
        last_active=now,
        last_report=now,
        task=task,
        queue=call.get("queue"),
        queues=tuple(call.get("queues", worker.queues)),
        tags=tuple(call.get("tags", [])),
        system_tags=tuple(call.get("system_tags", worker.system_tags)),
    )
    workers.save(tx, worker)
    stats = {k: v for k, v in call.get("machine_stats", {}).items() if machine_series.variants(v)}
    if stats:
        workers.note_sample(tx, worker, stats, now)
    return {}


def _note_life(call: Call, id: str, worker: str) -> None:
    if not TASK.exists(call.tx, id):
        raise error("invalid_task_id", id=id, company=call.who.company)
    now = call.now
    signs = {"last_worker": worker, "last_worker_report": now, "last_update": now, "last_change": now}
    TASK.update(call.tx, id, signs)


# Who is there


def _seen(call: Call) -> list[Worker]:
    """The living workers a request's ``last_seen``, ``tags`` and ``system_tags`` leave."""
    seconds = call.get("last_seen", DEFAULT_LAST_SEEN_SECONDS)
    since = call.now - seconds * 1000 if seconds else 0  # 0: however long ago
    found = [w for w in workers.alive(call.tx, call.now) if w.last_active >= since]
    for name in ("tags", "system_tags"):
        if wanted := call.get(name, []):
            held = {
                "tags": lambda w: {*w.tags, *w.registered_tags},
                "system_tags": lambda w: set(w.system_tags),
            }[name]
            groups = grouped(name, wanted)
            found = [w for w in found if all(fits(group, held(w)) for group in groups)]
    return found


def fits(group: Group, held: set[str]) -> bool:
    """Whether a worker has some of the tags asked for (all, after ``__$all``), and none of those left out."""
    wanted = {tag for tag in group.includes if tag is not None}
    fitting = wanted <= held if group.joiner == " AND " else not wanted or bool(wanted & held)
    return fitting and held.isdisjoint(group.excludes)


@endpoint("2.4")
def get_all(call: Call) -> dict[str, Any]:
    """The workers that are alive, with what they run and the queues they listen on."""
    found = _seen(call)
    tx = call.tx
    company = {"id": call.who.company, "name": call.who.company_name}
    users = {u["id"]: u for u in USER.get_many(tx, {w.user for w in found}, ["name"])}
    running = [w.task for w in found if w.task]
    fields = ["name", "last_iteration", "active_duration", "project", "execution"]
    tasks = {t["id"]: t for t in TASK.get_many(tx, running, fields)}
    of_tasks = [t["project"] for t in tasks.values() if t.get("project")]
    projects = {p["id"]: p for p in PROJECT.get_many(tx, of_tasks, ["name"])}
    named = [*(q for w in found for q in w.queues), *(_queue_of(t) for t in tasks.values())]
    known = {id: _queue(call, id) for id in set(named) if id}
    return {
        "workers": [
            _shown(w, company, users.get(w.user), tasks.get(w.task or ""), projects, known) for w in found
        ]
    }


def _queue_of(task: Document) -> str:
    """The queue a task came from, if any."""
    return (task.get("execution") or {}).get("queue") or ""


def _queue(call: Call, id: str) -> Document:
    queue = QUEUE.get(call.tx, id, ["name"])
    if queue is None:
        return {"id": id}
    shown: Document = {"id": id, "name": queue["name"], "num_tasks": queues.depth(call.tx, id)}
    first = TASK.get(call.tx, queues.first(call.tx, id, call.now) or "", ["name"])
    if first is not None:
        shown["next_task"] = {"id": first["id"], "name": first.get("name")}
    return shown


def _shown(
    worker: Worker,
    company: Document,
    user: Document | None,
    task: Document | None,
    projects: dict[str, Document],
    known: dict[str, Document],
) -> Document:
    shown: Document = {
        "key": f"worker_{company['id']}_{worker.user}_{worker.id}",
        "id": worker.id,
        "user": {"id": worker.user, "name": user["name"] if user else ""},
        "company": company,
        "ip": worker.address,
        "register_time": iso(worker.registered),
        "register_timeout": worker.timeout_seconds,
        "last_activity_time": iso(worker.last_active),
        "queues": [known[id] for id in worker.queues],
        "tags": list(worker.tags),
        "system_tags": list(worker.system_tags),
    }
    if worker.last_report is not None:
        shown["last_report_time"] = iso(worker.last_report)
    if task is not None:
        shown["task"] = {
            "id": task["id"],
            "name": task.get("name"),
            "last_iteration": task.get("last_iteration") or 0,
            "running_time": (task.get("active_duration") or 0) * 1000,
        }
        if "name" in known.get(_queue_of(task), {}):
            shown["queue"] = known[_queue_of(task)]
        if project := projects.get(task.get("project", "")):
            shown["project"] = {"id": project["id"], "name": project["name"]}
    return shown


@endpoint()
def get_count(call: Call) -> dict[str, Any]:
    """How many workers are alive."""
    return {"count": len(_seen(call))}


# What machines measured


def _dates(call: Call) -> range:
    interval = call.data["interval"]
    since, until = call.data["from_date"], call.data["to_date"]
    if interval < 1 or until <= since:
        raise error("validation", "interval must be positive and to_date after from_date")
    if (until - since) / interval > MOST_POINTS:
        raise error("validation", f"more than {MOST_POINTS} points: ask for a longer interval")
    return machine_series.starts(int(since * 1000), int(until * 1000), interval * 1000)


@endpoint("2.4")
def get_metric_keys(call: Call) -> dict[str, Any]:
    """What the machines of the workers measured lately, by category.

    Raises:
        ApiError: 400/1005 nothing.
    """
    measured = workers.samples(call.tx, call.now - KEYS_LIFE_MS, call.now + 1, call.get("worker_ids", []))
    if not measured:
        raise error("no_worker_stats")
    return {"categories": machine_series.categories(s.stats for s in measured)}


@endpoint("2.4")
def get_stats(call: Call) -> dict[str, Any]:
    """What the machines of the workers measured over time; with ``split_by_resource`` also by device."""
    dates = _dates(call)
    items = [_item(item) for item in call.data["items"] if item]
    by_worker: dict[tuple[str, str], dict[str, Series]] = {}
    for sample in workers.samples(call.tx, dates.start, dates.stop, call.get("worker_ids", [])):
        own = by_worker.setdefault((sample.worker, sample.user), {key: Series(dates) for key, _ in items})
        for key, series in own.items():
            if key in sample.stats:
                series.add(sample.at, sample.stats[key])
    split = bool(call.get("split_by_resource", False))
    variants = bool(call.get("split_by_variant", False))
    shown = []
    for (worker, _), own in sorted(by_worker.items()):
        metrics = [
            m for key, kinds in _grouped(items) for m in _metric(key, kinds, own[key], split, variants)
        ]
        if metrics:
            shown.append({"worker": worker, "metrics": metrics})
    return {"workers": shown}


def _item(item: Document) -> tuple[str, str]:
    key, kind = item.get("key"), item.get("aggregation") or item.get("category") or "avg"
    if not isinstance(key, str):
        raise field_error("items", ": field 'key' is required!.")
    if not isinstance(kind, str) or kind not in machine_series.AGGREGATIONS:
        raise field_error("items", f": value {kind!r} is not a valid choice.")
    return key, kind


def _grouped(items: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    kinds: dict[str, list[str]] = {}
    for key, kind in items:
        if kind not in kinds.setdefault(key, []):
            kinds[key].append(kind)
    return list(kinds.items())


def _metric(key: str, kinds: list[str], series: Series, split: bool, variants: bool) -> list[Document]:
    if not series:
        return []
    dates = list(series.dates)
    if variants:
        return [
            {
                "metric": key,
                "variant": name,
                "stats": [
                    {
                        "aggregation": k,
                        "dates": dates,
                        "values": series.values(k, name),
                        "resource_series": [],
                    }
                    for k in kinds
                ],
            }
            for name in series.variants
        ]
    stats = []
    for kind in kinds:
        devices = [{"name": d, "values": series.values(kind, d)} for d in series.devices] if split else []
        stats.append(
            {"aggregation": kind, "dates": dates, "values": series.values(kind), "resource_series": devices}
        )
    return [{"metric": key, "stats": stats}]


@endpoint("2.4")
def get_activity_report(call: Call) -> dict[str, Any]:
    """How many workers reported over time, and how many of them were running a task."""
    dates = _dates(call)
    return machine_series.busy_counts(workers.activity(call.tx, dates.start, dates.stop), dates)
