"""Large calls in several transactions: the same answers, and others are served in between."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stackyard_server.calls import pieces

from ..running import Running, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def scalar(task: str, number: int) -> dict[str, object]:
    return {"type": "training_stats_scalar", "task": task, "metric": "m", "variant": "v", "iter": number,
            "value": number, "timestamp": number}  # fmt: skip


def test_a_large_batch_is_taken_in_whole(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGE_BYTES", 100_000)
    task = server.call("tasks.create", name="batch", type="training")["id"]
    lines = [scalar(task, number) for number in range(4000)]
    lines[2000:2000] = [{"type": "log", "task": task, "msg": f"{n}", "timestamp": n} for n in range(100)]
    lines[100] = {"type": "nothing", "task": task}
    assert len(json.dumps(lines)) > 3 * pieces.BYTES
    told = server.call_lines("events.add_batch", lines)
    assert told == {"added": 4099, "errors": 1, "errors_info": {"Invalid event type nothing": 1}}
    assert server.call("events.get_task_log", task=task)["total"] == 100
    again = server.call_lines("events.add_batch", lines)
    assert again["added"] == 4099
    assert server.call("events.get_task_log", task=task)["total"] == 100, "a repeated batch adds no lines"


def test_a_large_batch_with_a_line_that_is_none_stores_nothing(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "LARGE_BYTES", 100_000)
    task = server.call("tasks.create", name="malformed", type="training")["id"]
    text = "\n".join(json.dumps(scalar(task, number)) for number in range(4000)) + "\n{]"
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json-lines"}
    answer = server.client.post(f"{server.api}/events.add_batch", content=text, headers=headers)
    assert answer.status_code == 400
    assert server.call("events.get_scalar_metrics_and_variants", task=task) == {"metrics": {}}


def test_many_ids_are_answered_in_their_order(server: Running) -> None:
    made = [server.call("tasks.create", name=f"task {n}", type="training")["id"] for n in range(30)]
    unknown = [f"{n:032x}" for n in range(30)]
    wanted = [id for pair in zip(made, unknown, strict=True) for id in (*pair, pair[0])]
    told = server.call("tasks.delete_many", ids=wanted, force=True)
    assert [one["id"] for one in told["succeeded"]] == made
    assert [one["id"] for one in told["failed"]] == unknown
    assert told["failed"][0]["error"]["codes"] == [400, 101]
    assert server.call("tasks.get_all", id=made)["tasks"] == []
