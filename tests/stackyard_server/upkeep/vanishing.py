"""Workers that vanish, a clock that moves when told to, and what a test asks about their tasks."""

from __future__ import annotations

from typing import Any

from stackyard_server.rules import fate
from stackyard_server.upkeep import watchdog

from ..running import Running

VANISHED = fate.reason(fate.INFRASTRUCTURE, fate.VANISHED)


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """What an agent with a session of its own sends."""

    def __init__(self, server: Running, id: str) -> None:
        self.server, self.id = server, id
        self.host = id.partition(":")[0]
        self.sign_in()
        self.ask("workers.register", worker=id)

    def sign_in(self) -> None:
        """A new session."""
        auth = (self.server.access_key, self.server.secret_key)
        answer = self.server.client.get(f"{self.server.api}/auth.login", auth=auth)
        self.token = answer.json()["data"]["token"]

    def ask(self, name: str, **data: Any) -> tuple[int, int]:
        """The code and subcode of a call."""
        headers = {"Authorization": f"Bearer {self.token}", "X-ClearML-Worker": self.host}
        answer = self.server.client.post(f"{self.server.api}/{name}", json=data, headers=headers)
        meta = answer.json()["meta"]
        return meta["result_code"], meta["result_subcode"]

    def pull(self, queue: str) -> None:
        assert self.ask("queues.get_next_task", queue=queue) == (200, 0)

    def log(self, task: str) -> tuple[int, int]:
        return self.ask("events.add", task=task, type="log", msg="still here", worker=self.id)

    def report(self, task: str) -> tuple[int, int]:
        return self.ask("workers.status_report", worker=self.id, timestamp=1, task=task)


OK, REFUSED = (200, 0), (400, 110)


def started_by(server: Running, worker: Worker) -> tuple[str, str]:
    """A task that a worker pulled and started, and its queue."""
    queue = server.call("queues.get_default")["id"]
    task: str = server.call("tasks.create", name="a task", type="training")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    take(server, worker, task, queue)
    return task, queue


def take(server: Running, worker: Worker, task: str, queue: str) -> None:
    worker.pull(queue)
    assert worker.ask("tasks.started", task=task, force=True) == OK
    assert worker.report(task) == OK


def status(server: Running, task: str) -> str:
    found: str = server.call("tasks.get_by_id", task=task)["task"]["status"]
    return found


def look(server: Running, time: Time, minutes: float) -> list[str]:
    """The watchdog's look after so much silence."""
    time.now += minutes * 60
    server.token = Worker(server, "somebody").token
    return [v.status for _, v in watchdog.check(server.server.services, listening_since=0)]


def found(server: Running, task: str) -> dict[str, Any]:
    document: dict[str, Any] = server.call("tasks.get_by_id", task=task)["task"]
    return document


def policy(server: Running, queue: str, **values: object) -> None:
    """Tell a queue what it asks for its tasks."""
    items = [{"key": key, "type": "str", "value": str(value)} for key, value in values.items()]
    server.call("queues.add_or_update_metadata", queue=queue, metadata=items)
