"""A clock that jumps breaks neither order nor tokens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ..running import Running, running_server

DAY = 24 * 3600


class Jumping:
    """A clock that says what it is told, and moves on a little with every look."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


def queue_task(server: Running, queue: str, name: str) -> str:
    task: str = server.call("tasks.create", name=name, type="testing")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    return task


def test_a_queue_keeps_its_order_over_jumps_and_restarts(tmp_path: Path) -> None:
    clock, order = Jumping(), []
    with running_server(folder=tmp_path / "data", clock=clock) as server:
        queue = server.call("queues.create", name="work")["id"]
        for number, jump in enumerate([0, -3 * DAY, +7200, -DAY, +1, -3600, 0]):
            clock.offset += jump
            order.append(queue_task(server, queue, f"task {number}"))
    clock.offset -= 2 * DAY
    with running_server(folder=tmp_path / "data", clock=clock) as server:
        order.append(queue_task(server, queue, "after the restart"))
        shown = server.call("queues.get_by_id", queue=queue)["queue"]["entries"]
        assert [entry["task"] for entry in shown] == order
        pulled = [server.call("queues.get_next_task", queue=queue)["entry"]["task"] for _ in order]
        assert pulled == order


def test_console_lines_keep_their_order_when_the_server_clock_jumps() -> None:
    clock = Jumping()
    with running_server(clock=clock) as server:
        task = server.call("tasks.create", name="the task", type="testing")["id"]
        stamp = int(time.time() * 1000)
        for number, jump in enumerate([0, -DAY, +DAY + 7200, -3600, 0]):
            clock.offset += jump
            line = {
                "type": "log",
                "task": task,
                "msg": f"line {number}",
                "level": "info",
                "timestamp": stamp + number,
            }
            server.call_lines("events.add_batch", [line, {**line, "msg": f"line {number} again"}])
        events = server.call("events.get_task_log", task=task, order="asc", batch_size=100)["events"]
        expected = [text for n in range(5) for text in (f"line {n}", f"line {n} again")]
        assert [event["msg"] for event in events] == expected


@pytest.mark.promise("clock-jumps")
def test_tokens_survive_a_clock_set_back_and_end_with_one_set_forward() -> None:
    clock = Jumping()
    with running_server(clock=clock) as server:
        server.client.cookies.clear()

        def status(token: str) -> int:
            server.client.cookies.clear()
            header = {"Authorization": f"Bearer {token}"}
            api = server.client.get(f"{server.api}/projects.get_all", headers=header).status_code
            files = server.client.get(f"{server.files}/none", headers=header).status_code
            assert (api == 200) == (files == 404)
            return api

        def login() -> str:
            answer = server.client.get(
                f"{server.api}/auth.login", auth=(server.access_key, server.secret_key)
            )
            token: str = answer.json()["data"]["token"]
            return token

        first = login()
        ended = login()
        server.client.post(f"{server.api}/auth.logout", headers={"Authorization": f"Bearer {ended}"}, json={})
        assert (status(first), status(ended)) == (200, 401)
        clock.offset -= 2 * DAY
        assert (status(first), status(ended)) == (200, 401), "set back: valid stays valid, ended stays ended"
        second = login()
        assert status(second) == 200
        clock.offset += 2 * DAY + 3600
        assert status(first) == 200
        assert status(second) == 401, "it was for a day, two days ago"
        assert status(ended) == 401
        clock.offset += DAY
        assert status(first) == 401
        assert status(login()) == 200


def test_a_task_document_stays_readable_when_time_runs_backwards() -> None:
    clock = Jumping()
    with running_server(clock=clock) as server:
        task = server.call("tasks.create", name="the task", type="testing")["id"]
        server.call("tasks.started", task=task)
        clock.offset -= DAY
        server.call("tasks.completed", task=task)
        document = server.call("tasks.get_by_id", task=task)["task"]
        assert document["status"] == "completed"
        assert document.get("active_duration", 0) >= 0
        assert server.call("tasks.get_all", id=[task], status=["completed"])["tasks"][0]["id"] == task
