"""What of a record is left with a task, and where."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard_task import handing_in
from stackyard_task.records import Failure, StackPin
from stackyard_task.wishes import Choice


@pytest.mark.parametrize(
    ("project", "name", "folder"),
    [
        ("A/B", "one run", "A/B/one-run.t1"),
        (None, "one", "none/one.t1"),
        ("..", "../../etc/passwd", "etc/passwd.t1"),
        ("A", "..", "A.t1"),
        ("...", "/", "none.t1"),
        ("A", "n" * 5000, "A/" + "n" * 80 + ".t1"),
        ("A", "a\nb\0c", "A/a-b-c.t1"),
    ],
)
def test_a_tasks_folder_stays_below_the_servers_and_within_its_lengths(
    project: str | None, name: str, folder: str
) -> None:
    task = {"id": "t1", "name": name, "project": None if project is None else {"name": project}}
    assert handing_in.folder_of(task) == folder
    many = {"id": "t1", "name": "/".join("abc" for _ in range(5000)), "project": None}
    assert len(handing_in.folder_of(many)) < 100


class _Task:
    """A server with one task."""

    def __init__(self, **document: Any) -> None:
        self.document = document
        self.said: list[str] = []

    def call(self, method: str, **fields: Any) -> Any:
        if method == "tasks.failed":
            self.said.append(fields["status_reason"])
        return {"tasks": [self.document]}


@pytest.mark.parametrize(
    ("document", "is_said"),
    [
        ({"status": "in_progress", "started": "then"}, True),
        ({"status": "failed", "started": "then"}, True),
        ({"status": "completed", "started": "then"}, False),
        ({"status": "queued", "started": "then"}, False),
        ({"status": "in_progress", "started": "later"}, False),
    ],
    ids=["runs", "failed by its agent", "over", "queued again", "started anew"],
)
def test_a_run_fails_its_task_only_while_the_task_is_its_own(document: dict[str, Any], is_said: bool) -> None:
    server: Any = _Task(**document)
    assert handing_in.fail(server, "t1", Failure("code", "no"), "then") is is_said
    assert server.said == (["code: no"] if is_said else [])


@pytest.mark.parametrize(
    ("choice", "noted"),
    [
        (
            Choice(
                "python", StackPin("torch-9"), said=["stack torch-9: named by Run/stack", "numpy is another"]
            ),
            {
                "stackyard_stack": "torch-9",
                "stackyard_stack_why": "stack torch-9: named by Run/stack; numpy is another",
            },
        ),
        (
            Choice("python", said=["stack none: the default here"]),
            {"stackyard_stack_why": "stack none: the default here"},
        ),
        (Choice("python"), {}),
    ],
)
def test_which_stack_runs_a_task_is_noted_with_it(choice: Choice, noted: dict[str, str]) -> None:
    assert handing_in.stack_noted(choice) == noted
