"""A small set of our own server's answers that guards every clone, where the recordings are absent.

Lives here: the requests, in an order in which each has what it needs, and the command that records the answers:
``python -m tests.stackyard_server.conformance.golden_script``. The answers (``golden/answers.json``) have the
recordings' form with ids and moments made even, so that recording them again shows only what changed. Look at that
difference before committing it: it is a change of behaviour.
Lives elsewhere: replaying them (``test_golden``). May import: the suite's rooms, our server's test fixture.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .mapping import MOMENT
from .player import Player
from .recordings import Exchange
from .suite import RECORDED_ADDRESSES, start_our_server

ANSWERS = Path(__file__).parent / "golden" / "answers.json"
EVEN_MOMENT = "2026-01-01T00:00:00.000000"
EVEN_MILLISECONDS = 1795293768694
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])")
_EPOCH = re.compile(r"(?<![\d.\"])1[78]\d{8}(?:\d{3})?(?![\d.])")

_SCALARS = [
    {
        "type": "training_stats_scalar", "task": "$task", "metric": "loss", "variant": variant, "iter": step,
        "value": scale / (step + 1), "timestamp": EVEN_MILLISECONDS + step, "worker": "w",
    }
    for step in range(3)
    for variant, scale in (("train", 1.0), ("val", 2.0))
]  # fmt: skip
_LOGS = [
    {
        "type": "log", "task": "$task", "level": "INFO", "msg": f"line {n}", "worker": "w",
        "timestamp": EVEN_MILLISECONDS + n,
    }
    for n in range(3)
]  # fmt: skip
_PLOT = {
    "type": "plot", "task": "$task", "metric": "roc", "variant": "all", "iter": 0, "plot_str": '{"data": []}',
    "timestamp": EVEN_MILLISECONDS, "worker": "w",
}  # fmt: skip
_REPORT = {"worker": "host:0", "timestamp": EVEN_MILLISECONDS}
_PARAMETER = {"section": "Args", "name": "lr", "value": "0.1", "type": "float", "description": "rate"}

# (endpoint, body, name under which the answer's id is kept); "$name" stands for such an id.
REQUESTS: list[tuple[str, Any, str]] = [
    ("debug.ping", {}, ""),
    ("server.info", {}, ""),
    ("login.supported_modes", {}, ""),
    ("users.get_current_user", {}, ""),
    ("users.set_preferences", {"preferences": {"a": {"b": 1}}}, ""),
    ("users.get_preferences", {}, ""),
    ("no.such_endpoint", {}, ""),
    ("projects.create", {"name": "golden/one", "description": "first"}, "project"),
    ("projects.create", {"name": "ab"}, ""),
    ("projects.get_by_id", {"project": "$project"}, ""),
    ("queues.create", {"name": "golden queue", "tags": ["q"]}, "queue"),
    ("queues.create", {"name": "golden queue"}, ""),
    ("queues.get_all", {"name": "golden"}, ""),
    (
        "tasks.create",
        {
            "name": "golden task",
            "type": "training",
            "project": "$project",
            "tags": ["x", "y"],
            "hyperparams": {"Args": {"lr": _PARAMETER}},
            "script": {"binary": "python", "repository": "https://git/x.git", "entry_point": "train.py"},
            "container": {"image": "python:3.11"},
        },
        "task",
    ),
    ("tasks.create", {"type": "training"}, ""),
    ("tasks.create", {"name": "x", "type": "training"}, ""),
    ("tasks.get_by_id", {"task": "$task"}, ""),
    ("tasks.get_by_id", {"task": "0" * 32}, ""),
    ("tasks.edit", {"task": "$task", "comment": "edited"}, ""),
    ("tasks.edit_hyper_params", {"task": "$task", "hyperparams": [{**_PARAMETER, "value": "0.2"}]}, ""),
    ("tasks.enqueue", {"task": "$task", "queue": "$queue"}, ""),
    ("tasks.enqueue", {"task": "$task", "queue": "$queue"}, ""),
    ("queues.get_by_id", {"queue": "$queue"}, ""),
    ("workers.register", {"worker": "host:0", "queues": ["$queue"]}, ""),
    ("queues.get_next_task", {"queue": "$queue"}, ""),
    ("queues.get_next_task", {"queue": "$queue"}, ""),
    ("tasks.started", {"task": "$task", "force": True, "status_message": "pulled by agent"}, ""),
    ("workers.status_report", {**_REPORT, "queues": ["$queue"], "task": "$task"}, ""),
    ("workers.get_all", {}, ""),
    ("events.add_batch", {"__jsonlines__": _SCALARS}, ""),
    ("events.add_batch", {"__jsonlines__": [*_LOGS, _PLOT]}, ""),
    ("events.add_batch", {"__jsonlines__": [{"type": "log", "task": "0" * 32, "msg": "lost"}]}, ""),
    ("events.scalar_metrics_iter_histogram", {"task": "$task"}, ""),
    ("events.get_task_log", {"task": "$task", "batch_size": 2}, ""),
    ("events.get_task_plots", {"task": "$task"}, ""),
    ("events.get_task_metrics", {"tasks": ["$task"]}, ""),
    ("tasks.get_all_ex", {"id": ["$task"], "only_fields": ["name", "last_metrics", "project.name"]}, ""),
    ("tasks.stopped", {"task": "$task"}, ""),
    ("tasks.close", {"task": "$task"}, ""),
    ("tasks.publish", {"task": "$task"}, ""),
    ("tasks.publish", {"task": "$task"}, ""),
    ("tasks.clone", {"task": "$task", "new_task_name": "golden clone"}, "clone"),
    ("tasks.get_by_id", {"task": "$clone"}, ""),
    ("tasks.get_all", {"project": ["$project"], "order_by": ["name"], "only_fields": ["name", "status", "tags"]}, ""),
    ("tasks.get_all", {"order_by": ["no_such_field"]}, ""),
    ("tasks.delete", {"task": "$task"}, ""),
    ("tasks.delete", {"task": "$clone"}, ""),
    ("models.create", {"name": "golden model", "uri": "http://x/m.pt", "project": "$project"}, "model"),
    ("models.get_by_id", {"model": "$model"}, ""),
    ("models.set_ready", {"model": "$model"}, ""),
    ("models.get_all", {"project": ["$project"], "only_fields": ["name", "ready"]}, ""),
    ("projects.get_all_ex", {"id": ["$project"], "include_stats": True}, ""),
    ("projects.get_task_tags", {"projects": ["$project"]}, ""),
    ("projects.delete", {"project": "$project"}, ""),
    ("organization.get_tags", {}, ""),
    ("workers.unregister", {"worker": "host:0"}, ""),
    ("queues.delete", {"queue": "$queue", "force": True}, ""),
]  # fmt: skip


def build_exchanges() -> list[Exchange]:
    """The requests, without answers."""
    return [
        Exchange(
            flow="golden",
            index=index,
            name=f"{index:02d} {endpoint}",
            client="probe",
            method="POST",
            path=f"/v2.34/{endpoint}",
            headers={
                "Authorization": "Bearer <jwt>",
                "Content-Type": "application/json-lines" if "__jsonlines__" in body else "application/json",
            },
            request=body,
            status=0,
            response_headers={},
            response=None,
        )
        for index, (endpoint, body, _) in enumerate(REQUESTS)
    ]


def _fill(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, known) for item in value]
    return known.get(value, value) if isinstance(value, str) and value.startswith("$") else value


def even_out(entries: list[dict[str, Any]], addresses: dict[str, str]) -> list[dict[str, Any]]:
    """The entries with ids numbered in the order of their appearance and every moment the same."""
    text = json.dumps(entries)
    names: dict[str, str] = {"0" * 32: "0" * 32}
    known_metrics = set(re.findall(r'"([0-9a-f]{32})": ?\{', text))

    def rename(found: re.Match[str]) -> str:
        name = found.group()
        return name if name in known_metrics else names.setdefault(name, f"{len(names):032x}")

    text = _HEX.sub(rename, text)
    text = MOMENT.sub(lambda found: EVEN_MOMENT + ("Z" if found.group().endswith("Z") else "+00:00"), text)
    own = range(EVEN_MILLISECONDS, EVEN_MILLISECONDS + 1000)
    text = _EPOCH.sub(
        lambda found: (
            found.group() if int(found.group()) in own else str(EVEN_MILLISECONDS)[: len(found.group())]
        ),
        text,
    )
    for recorded, ours in addresses.items():
        text = text.replace(ours, recorded)
    evened: list[dict[str, Any]] = json.loads(text)
    return evened


def record() -> list[dict[str, Any]]:
    """Plays the requests against a new server of ours and returns the exchanges in the recordings' form."""
    entries = []
    known: dict[str, str] = {}
    with start_our_server(("golden",)) as (target, mapping, _running):
        player = Player(target, mapping, {})
        for exchange, (_, _, keep) in zip(build_exchanges(), REQUESTS, strict=True):
            request = _fill(exchange.request, known)
            played = Exchange(**{**_fields(exchange), "request": request})
            answer = player.ask_raw(played)
            response = json.loads(answer.body)
            if keep:
                known[f"${keep}"] = response["data"]["id"]
            entries.append(
                {
                    **{key: value for key, value in _fields(played).items() if key not in ("flow", "index")},
                    "status": answer.status,
                    "response_headers": {"Content-Type": answer.headers.get("Content-Type", "")},
                    "response": response,
                }
            )
        player.close()
        addresses = {recorded: getattr(target, name) for name, recorded in RECORDED_ADDRESSES.items()}
    return even_out(entries, addresses)


def _fields(exchange: Exchange) -> dict[str, Any]:
    return {name: getattr(exchange, name) for name in Exchange.__dataclass_fields__}


def main() -> None:
    """Record the answers anew."""
    entries = record()
    ANSWERS.parent.mkdir(exist_ok=True)
    ANSWERS.write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
    print(f"{len(entries)} answers in {ANSWERS}")


if __name__ == "__main__":
    main()
