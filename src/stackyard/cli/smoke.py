"""``stackyard task smoke``: one small task on each queue that has a worker, and each stack; says what ran where.

What a lab is checked by after it was set up, changed or restored: the whole way of a task, record included.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stackyard import stacks, workloads
from stackyard.clearml import connection
from stackyard.clearml.client import FINAL, Client, ServerError
from stackyard.clearml.sending import Sender
from stackyard.clearml.tasks import outcomes, submissions
from stackyard.clearml.tasks.submissions import InstalledStacks, Wanted
from stackyard.cli import publishing, typed
from stackyard.cli.options import Config, Json
from stackyard.counting import count
from stackyard.errors import BadInputError, RunsFailedError, StackyardError
from stackyard.settings import Settings
from stackyard.stacks import images
from stackyard.workloads import code_folders
from stackyard.workloads import folder as code_folder
from stackyard_task.commands import Command

#: What the task does: something that only the stack itself can.
_PROGRAM = """\
import platform
import sys

try:
    import torch

    product, version = float(torch.ones(4) @ torch.ones(4)), torch.__version__
except ModuleNotFoundError:
    import numpy

    product, version = float(numpy.ones(4) @ numpy.ones(4)), numpy.__version__
print(platform.node(), version, product)
sys.exit(product != 4.0)
"""
#: Controllers wait there; they start tasks and run none of a stack's.
_CONTROLLERS = "services"
#: A worker that has reported within so long is there.
_LAST_SEEN_SECONDS = 120
_POLL_SECONDS = 0.5
#: The most tasks that one call sends.
_MOST_TASKS = 200


def smoke_command(
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack", metavar="NAME", help="A stack to run on; repeatable; default: the usual one."
        ),
    ] = None,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", metavar="NAME", help="A queue; repeatable; default: each that has a worker."),
    ] = None,
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long to wait for all of them.")
    ] = 600.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run one small task on each queue that has a worker, and each stack; say what ran where."""
    settings, known = Settings.from_environment(), stacks.load()
    names = list(dict.fromkeys(stack or [stacks.DEFAULT]))
    for name in names:
        if name not in known:
            raise submissions.no_stack(name, known)
    with Client(connection.find(settings, config)) as client:
        queues = _queues(client, queue)
        if len(queues) * len(names) > _MOST_TASKS:
            raise BadInputError(
                f"{len(queues)} queues and {len(names)} stacks are more than {_MOST_TASKS} tasks; name some"
            )
        sent: dict[str, tuple[str, str]] = {}
        try:
            _send(client, settings, queues, names, sent)
            _await(client, list(sent), limit)
            rows = [_row(client, id, *of) for id, of in sent.items()]
        finally:  # also where it is interrupted: no task of it waits in a queue afterwards
            _withdraw(client, list(sent))
    if as_json:
        typer.echo(json.dumps({"tasks": rows}, indent=1))
    else:
        _show(rows)
    bad = [row for row in rows if not row["ok"]]
    if bad:
        raise RunsFailedError(f"{len(bad)} of {count(len(rows), 'task')} did not complete with a record")


def _queues(client: Client, wanted: Sequence[str] | None) -> list[str]:
    """The queues to try.

    Raises:
        BadInputError: there is none, or one that was named has no worker.
    """
    seen = client.call("workers.get_all", last_seen=_LAST_SEEN_SECONDS)["workers"]
    served = {queue["name"] for worker in seen for queue in worker.get("queues") or []}
    if wanted:
        idle = sorted(set(wanted) - served)
        if idle:
            raise BadInputError(
                f"no worker serves {', '.join(idle)}; served are: {', '.join(sorted(served)) or 'none'}"
            )
        return list(dict.fromkeys(wanted))
    found = sorted(served - {_CONTROLLERS})
    if not found:
        raise StackyardError(
            "no worker serves any queue: run `stackyard up` on a machine that is to run tasks"
        )
    return found


def _send(
    client: Client,
    settings: Settings,
    queues: list[str],
    names: list[str],
    sent: dict[str, tuple[str, str]],
) -> None:
    """Send all of them, and note each: task id -> (queue, stack)."""
    known, elsewhere = stacks.load(), not client.connection.is_local
    offer = InstalledStacks({name: images.reference(known[name], settings, elsewhere) for name in known})
    declared = typed.declared(["python", "smoke.py"], code=".")
    catalogue, sender = workloads.load(), Sender(client)
    with tempfile.TemporaryDirectory(prefix="stackyard-smoke-") as place:
        Path(place, "smoke.py").write_text(_PROGRAM)
        folder = code_folders.looked_at(
            declared.command or Command(()), Path(place), {}, "the command", [settings.home]
        )
        assert folder is not None
        archive = code_folder.archived(folder, settings.home)
        for name in names:
            origin = publishing.origin(client, settings, known[name], catalogue)
            for queue in queues:
                wanted = Wanted(queue=queue, stack=name, name=f"smoke {queue} {name}")
                done = submissions.submit_command(sender, declared, folder, archive, wanted, origin, offer)
                sent[done.id] = (queue, name)


def _unfinished(client: Client, ids: list[str]) -> list[dict[str, Any]]:
    """Those tasks that have not ended: id and status."""
    if not ids:
        return []
    found = client.pages("tasks.get_all", "tasks", id=ids, only_fields=["id", "status"], search_hidden=True)
    return [task for task in found if task["status"] not in FINAL]


def _await(client: Client, ids: list[str], seconds: float) -> None:
    """Wait until all tasks have ended, or so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and _unfinished(client, ids):
        time.sleep(_POLL_SECONDS)


def _withdraw(client: Client, ids: list[str]) -> None:
    """Abort what has not ended."""
    for task in _unfinished(client, ids):
        with contextlib.suppress(BadInputError, ServerError):  # it has ended just now
            submissions.abort(client, task)


def _row(client: Client, id: str, queue: str, stack: str) -> dict[str, Any]:
    """What one task came to."""
    told = outcomes.of(client, id)
    record = told.record
    return {
        "ok": told.status == "completed" and record is not None,
        "queue": queue,
        "stack": stack,
        "status": told.status,
        "reason": told.reason or None,
        "worker": told.worker,
        "task": id,
        "host": record.environment.host if record else None,
        "torch": record.environment.torch if record else None,
        "stack_digest": record.environment.stack_digest if record else None,
        "image": record.dispatch.image if record and record.dispatch else None,
        "wall_seconds": record.measurement.wall_seconds if record else None,
        "peak_rss_bytes": record.measurement.peak_rss_bytes if record else None,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        ran = f"{row['worker'] or 'no worker'}"
        took = "" if row["wall_seconds"] is None else f", {row['wall_seconds']:.2f} s"
        peak = "" if row["peak_rss_bytes"] is None else f", {row['peak_rss_bytes'] / 1e6:.0f} MB"
        typer.echo(f"{row['queue']:16s} {row['stack']:20s} {row['status']}  {ran}{took}{peak}")
        if not row["ok"] and row["reason"]:
            typer.echo(f"  {row['reason']}")
