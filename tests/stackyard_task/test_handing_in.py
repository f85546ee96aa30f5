"""What of a record is left with a task, and where."""

from __future__ import annotations

import pytest

from stackyard_task import handing_in


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
