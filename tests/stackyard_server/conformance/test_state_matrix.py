"""The measured task state machine: each call on a task in each status, with and without force.

Lives here: the 336 cells of the recorded matrix, each on a new task that is led to its status through the API.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.stackyard_server.running import Running, running_server

from .recordings import RECORDINGS_VARIABLE, find_recordings, load_state_matrix
from .statuses import bring_to, create_task

FOLDER = find_recordings()
MATRIX = load_state_matrix(FOLDER) if FOLDER else {}
GONE = "<gone>"
MESSAGE_LENGTH = 90


def build_request(
    call: str, task: str, *, force: bool, queue: str, project: str
) -> tuple[str, dict[str, Any]]:
    """Endpoint and body of one call of the matrix."""
    endpoint, _, extra = call.partition("+")
    bodies: dict[str, dict[str, Any]] = {
        "tasks.enqueue": {"queue": queue},
        "tasks.edit": {"name": "edited name"},
        "tasks.update": {"name": "upd name"},
        "tasks.edit_hyper_params": {"hyperparams": [{"section": "General", "name": "a", "value": "1"}]},
        "tasks.edit_configuration": {"configuration": [{"name": "c", "value": "v"}]},
        "tasks.edit_runtime": {"runtime": {"a": "b"}},
        "tasks.set_requirements": {"requirements": {"pip": "numpy"}},
        "tasks.add_or_update_artifacts": {"artifacts": [{"key": "k", "type": "t", "uri": "u"}]},
        "tasks.add_or_update_model": {"name": "m", "type": "output", "model": "nope"},
        "events.add": {"type": "log", "msg": "x"},
    }
    body: dict[str, Any] = {"task": task, **bodies.get(endpoint, {})}
    if extra == "publish":
        body["publish"] = True
    if force:
        body["force"] = True
    if endpoint == "tasks.archive":
        body = {"tasks": [task]}
    if endpoint == "tasks.move":
        body = {"ids": [task], "project": project}
    return endpoint, body


def strip_ids(message: str) -> str:
    """A message as the matrix holds it: 90 characters, whose last may be the start of an id."""
    return re.sub(r"[0-9a-f]{20,32}", "<id>", message[:MESSAGE_LENGTH])


@pytest.fixture(scope="module")
def server() -> Any:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def places(server: Running) -> dict[str, str]:
    """A queue, the tasks' project and one to move to."""
    return {
        "queue": server.call("queues.create", name="matrix queue")["id"],
        "project": server.call("projects.create", name="matrix tasks")["id"],
        "other": server.call("projects.create", name="matrix other")["id"],
    }


def find_status(server: Running, task: str) -> str:
    found = server.call("tasks.get_all", id=[task], only_fields=["status"])["tasks"]
    return str(found[0]["status"]) if found else GONE


@pytest.mark.skipif(not MATRIX, reason=f"{RECORDINGS_VARIABLE} names no folder with the recordings")
def test_the_whole_matrix_is_here() -> None:
    assert len(MATRIX) == 336


@pytest.mark.parametrize(
    "cell", sorted(MATRIX) or [pytest.param("", marks=pytest.mark.skip(reason="no recordings"))]
)
def test_cell(server: Running, places: dict[str, str], cell: str) -> None:
    status, call, force = cell.split("|")
    code, subcode, message, resulting = MATRIX[cell]

    def ask(endpoint: str, data: dict[str, Any]) -> dict[str, Any]:
        return server.ask(endpoint, **data)

    task = create_task(ask, places["project"])
    bring_to(ask, task, status, places["queue"])
    endpoint, body = build_request(
        call, task, force=bool(force), queue=places["queue"], project=places["other"]
    )
    meta = server.ask(endpoint, **body)["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (code, subcode), meta["result_msg"]
    if code != 200:
        assert strip_ids(meta["result_msg"]) == strip_ids(message)
    assert find_status(server, task) == resulting
