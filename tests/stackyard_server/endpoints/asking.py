"""What tests of tasks ask a server, and a clock that stands still until it is moved."""

from __future__ import annotations

from typing import Any

from ..running import Running


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_795_293_737.0

    def __call__(self) -> float:
        return self.seconds


def create(server: Running, **more: Any) -> str:
    id: str = server.call("tasks.create", **{"name": "a task", "type": "training", **more})["id"]
    return id


def read(server: Running, id: str) -> dict[str, Any]:
    task: dict[str, Any] = server.call("tasks.get_by_id", task=id)["task"]
    return task


def refusal(server: Running, name: str, /, **data: Any) -> tuple[int, int, str]:
    meta = server.ask(name, **data)["meta"]
    return meta["result_code"], meta["result_subcode"], meta["result_msg"]


def queue(server: Running, name: str) -> str:
    known = server.call("queues.get_all", name=f"^{name}$")["queues"]
    id: str = known[0]["id"] if known else server.call("queues.create", name=name)["id"]
    return id


def waiting(server: Running, queue_id: str) -> list[str]:
    return [e["task"] for e in server.call("queues.get_by_id", queue=queue_id)["queue"]["entries"]]
