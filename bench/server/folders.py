"""Data folders of a size, made through the server's own store before it starts."""

from __future__ import annotations

import random
import time
from pathlib import Path

from stackyard_server.store import Store
from stackyard_server.store.documents import PROJECT, TASK, Document, new_id
from stackyard_server.store.scalars import Memory, Points, store_points

from . import processes

STATUSES = ("completed", "failed", "stopped", "created", "published")
METRIC, VARIANT = "loss", "validation"
PROJECTS = 20
#: Tasks in one transaction.
CHUNK = 2000


def task(id: str, number: int, project: str, at: int, chance: random.Random) -> Document:
    """A finished task of a common size, about 2 kB."""
    parameters = {
        f"p{i}": {"section": "Args", "name": f"p{i}", "value": str(chance.random())} for i in range(10)
    }
    return {
        "id": id,
        "name": f"task {number}",
        "type": "training",
        "status": chance.choice(STATUSES),
        "project": project,
        "created": at,
        "started": at,
        "last_update": at,
        "last_change": at,
        "status_changed": at,
        "tags": [],
        "system_tags": ["archived"] if number % 50 == 0 else [],
        "last_iteration": 1,
        "runtime": {},
        "hyperparams": {"Args": parameters},
        "script": {"binary": "python3", "repository": "", "diff": "print('x')\n" * 40},
        "execution": {"artifacts": []},
        "models": {"input": [], "output": []},
    }


def make(folder: Path, tasks: int, points: int = 0, owners: int = 8, series: int = 4) -> tuple[str, str]:
    """A folder with that many tasks, each with one metric, and that many points in a few long series.

    Args:
        folder: Where; made.
        tasks: How many, spread over 20 projects and five statuses.
        points: Scalar points in all, beside the one a task has.
        owners: Tasks that share the points.
        series: Series of each of them.

    Returns:
        The access key and secret of a user.
    """
    pair = processes.prepare(folder)
    store, chance, now = Store(folder), random.Random(7), int(time.time() * 1000)
    memory = Memory(store)
    with store.reading() as tx:
        company, user = tx.one("SELECT company, id FROM user LIMIT 1") or ("", "")
    projects = [new_id() for _ in range(PROJECTS)]
    with store.writing() as tx:
        for number, id in enumerate(projects):
            name = f"project {number:02}"
            PROJECT.insert(
                tx,
                {"id": id, "company": company, "user": user, "name": name, "basename": name, "created": now,
                 "last_update": now, "tags": [], "system_tags": [], "featured": 9999, "path": []},
            )  # fmt: skip
    ids = [new_id() for _ in range(tasks)]
    for start in range(0, tasks, CHUNK):
        with store.writing("metrics") as tx:
            memory.refresh(tx)
            form, batch = memory.form(tx, "bench", {}), []
            for number in range(start, min(start + CHUNK, tasks)):
                at = now - (tasks - number) * 1000
                document = task(ids[number], number, projects[number % PROJECTS], at, chance)
                TASK.insert(tx, {**document, "company": company, "user": user})
                line = memory.series(tx, ids[number], METRIC, VARIANT)
                batch.append(Points(line, [1], [chance.random()], [at], [form]))
            store_points(tx, batch, now)
    each = points // (owners * series) if points else 0
    for owner in ids[:owners] if each else []:
        for number in range(series):
            for start in range(0, each, 50_000):
                with store.writing("metrics") as tx:
                    memory.refresh(tx)
                    form, line = memory.form(tx, "bench", {}), memory.series(tx, owner, "long", f"v{number}")
                    iters = list(range(start, min(start + 50_000, each)))
                    values: list[float | None] = [chance.random() for _ in iters]
                    store_points(
                        tx, [Points(line, iters, values, [now] * len(iters), [form] * len(iters))], now
                    )
    store.close()
    return pair
