"""What runs on this machine, what waits on its server, and in words what is wrong: for ``stackyard status``.

Looks, changes nothing. Every word to the server is the client's.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard.agents import lineage
from stackyard.clearml.client import Client
from stackyard.counting import count
from stackyard.errors import StackyardError
from stackyard.services import embedded
from stackyard.services.files import GIVEN, RUN, STARTING, Plan, ServicesFiles
from stackyard.services.watch import epoch
from stackyard.settings import Settings
from stackyard_server.rules import fate

#: A services process writes its state every few seconds.
STALE_SECONDS = 30.0
#: An agent reports every ten seconds.
SILENT_SECONDS = 60.0


def status(settings: Settings) -> dict[str, Any]:
    """What runs here, what waits, and in words what is wrong (``problems``).

    Raises:
        StackyardError: nothing was ever up here.
    """
    files = ServicesFiles(settings.home)
    plan = files.plan()
    if plan is None:
        raise StackyardError("nothing was ever up here; start with: stackyard up")
    holder, state, unreadable = files.holder(), {}, None
    try:
        state = files.last_word()
    except StackyardError as error:
        unreadable = str(error)
    server: dict[str, Any] = {
        "kind": plan.server.kind,
        "web": plan.server.web,
        "api": plan.server.api,
        "files": plan.server.files,
    }
    found: dict[str, Any] = {
        "up": plan.mode == RUN and holder is not None,
        "mode": plan.mode,
        "server": {**server, "answers": False, "fault": None},
        "services": {
            "running": holder is not None,
            "pid": holder.pid if holder else None,
            "metrics": state.get("metrics") if holder else None,
            "log": str(files.log_file),
        },
        "web_app": state.get("web_app") if holder else None,
        "queues": [],
        "workers": [],
        "slots": _slots(state, plan) if holder else [],
        "absent": dict(plan.absent),
        "problems": [],
    }
    problems: list[str] = found["problems"]
    if plan.mode == RUN and holder is None:
        left = len(lineage.marked_for(files.mark_prefix))
        more = (
            f", and {count(left, 'process', 'processes')} of its agents {'is' if left == 1 else 'are'} left"
            if left
            else ""
        )
        problems.append(
            f"the services process has died{more}; `stackyard up` puts that right (log: {files.log_file})"
        )
    if plan.mode == STARTING and holder is None:
        found["server"]["answers"] = _is_up(plan)
        if found["server"]["answers"]:
            problems.append(
                "`stackyard up` was cut off when the server ran and no agent yet: run it again, "
                "or end the server with `stackyard down`"
            )
        else:
            problems.append(f"`stackyard up` was cut off and nothing runs; start with: {_again(plan, files)}")
        return found
    if unreadable is not None:
        problems.append(f"{unreadable}; the services process writes it again, if it runs")
    elif holder is not None and time.time() - state.get("at", 0.0) > STALE_SECONDS:
        problems.append(
            f"the services process {holder.pid} has said nothing for a while; see {files.log_file}"
        )
    if not (found["up"] or plan.server.kind == GIVEN or _is_up(plan)):
        problems.append(f"not up; start with: {_again(plan, files)}")
        return found
    try:
        with Client(files.connection(plan.server), patience_seconds=2) as client:
            found["queues"] = _queue_rows(client, plan)
            found["workers"] = _worker_rows(client, plan)
            found["server"]["answers"] = True
    except StackyardError as error:
        found["server"]["fault"] = str(error)
        problems.append(str(error))
    problems += _slot_problems(found)
    web_app = found["web_app"]
    if web_app and web_app["phase"] == "waiting" and web_app["trouble"]:
        problems.append(f"{web_app['trouble']}; it is started again")
    problems += _queue_problems(found)
    return found


def _slots(state: Mapping[str, Any], plan: Plan) -> list[dict[str, Any]]:
    """The slots as the services process wrote them; ``outdated``: the agent is replaced once it has no task."""
    wanted = {prepared.slot: prepared.digest for prepared in plan.agents}
    return [
        {**slot, "outdated": slot.get("digest") != wanted.get(slot.get("slot"))}
        for slot in state.get("slots", [])
    ]


def _again(plan: Plan, files: ServicesFiles) -> str:
    """The command that starts what was up, in the folder where it was."""
    folder = plan.server.folder
    usual = folder is None or Path(folder) == files.home / "server"
    return "stackyard up" if usual else f"stackyard up --folder {shlex.quote(str(folder))}"


def _is_up(plan: Plan) -> bool:
    return plan.server.folder is not None and embedded.runs(Path(plan.server.folder))


def _queue_rows(client: Client, plan: Plan) -> list[dict[str, Any]]:
    """Every queue of the server: depth, who listens, and whether this machine does."""
    here = {prepared.queue for prepared in plan.agents}
    rows = []
    for entry in client.pages("queues.get_all_ex", "queues"):
        waiting = entry.get("entries") or []
        oldest = min((at for e in waiting if (at := epoch(e.get("added"))) is not None), default=None)
        rule = plan.queues.get(entry["id"])
        rows.append(
            {
                "name": entry["name"],
                "waiting": len(waiting),
                "oldest_seconds": None if oldest is None else max(0.0, time.time() - oldest),
                "workers": [worker["id"] for worker in entry.get("workers") or []],
                "here": entry["name"] in here,
                "why_not_here": plan.absent.get(entry["name"]),
                "time_limit_seconds": rule.time_limit_seconds if rule else None,
                "retries": rule.retries if rule else None,
            }
        )
    return sorted(rows, key=lambda row: str(row["name"]))


def _worker_rows(client: Client, plan: Plan) -> list[dict[str, Any]]:
    """Every worker of the server: what it runs, when it last reported, and whether it is of this machine."""
    here = {prepared.worker for prepared in plan.agents}
    now, rows = time.time(), []
    for worker in client.call("workers.get_all")["workers"]:
        reported = epoch(worker.get("last_report_time"))
        task = worker.get("task")
        rows.append(
            {
                "id": worker["id"],
                "here": worker["id"] in here,
                "queues": [queue.get("name", queue["id"]) for queue in worker.get("queues") or []],
                "task": None if not task else {"id": task.get("id"), "name": task.get("name")},
                "running_seconds": None if not task else (task.get("running_time") or 0) / 1000,
                "last_report_seconds": None if reported is None else max(0.0, now - reported),
            }
        )
    return sorted(rows, key=lambda row: str(row["id"]))


def _slot_problems(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with this machine's agents."""
    workers = {row["id"]: row for row in found["workers"]}
    words = []
    for slot in found["slots"]:
        name = slot["slot"]
        if slot["phase"] == "held":
            words.append(f"{name}: no agent for now: {slot['hold']}")
        elif slot["phase"] == "waiting" and slot["trouble"]:
            words.append(f"{name}: {slot['trouble']}; it is started again; see `stackyard logs {name}`")
        elif slot["phase"] == "running" and found["server"]["answers"]:
            row = workers.get(slot["worker"])
            silent = row["last_report_seconds"] if row else None
            if row is None:
                words.append(
                    f"{name}: its agent runs and the server does not know it; see `stackyard logs {name}`"
                )
            elif silent is not None and silent > SILENT_SECONDS:
                words.append(f"{name}: its agent has not reported for {fate.shown(silent)}")
    return words


def _queue_problems(found: Mapping[str, Any]) -> list[str]:
    """Queues in which tasks wait for nobody."""
    words = []
    for row in found["queues"]:
        if row["waiting"] and not row["workers"]:
            why = f" ({row['why_not_here']})" if row["why_not_here"] else ""
            words.append(
                f"{count(row['waiting'], 'task')} {'waits' if row['waiting'] == 1 else 'wait'} in queue "
                f"{row['name']}, to which no agent listens{why}"
            )
    return words
