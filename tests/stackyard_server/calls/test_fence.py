"""The fence as endpoints declare it: no write to a task goes round it unnoticed."""

from __future__ import annotations

from stackyard_server import endpoints
from stackyard_server.protocol import fields

#: Writes that name a task and are not fenced: what they write to is another document (``tasks.clone``), or each line
#: of a batch names its own.
OPEN = {"tasks.clone", "tasks.update_batch"}
#: The services whose calls a task's run makes; queues, projects and reports are people's.
SERVICES = {"tasks", "events", "workers"}


def test_every_write_to_a_named_task_says_how_it_is_fenced() -> None:
    facts = fields.table()
    missing = {
        entry.name
        for entries in endpoints.load().values()
        for entry in entries
        if entry.access in ("state", "metrics")
        and entry.name.partition(".")[0] in SERVICES
        and "task" in facts.get(entry.name, {"fields": ()})["fields"]
        and entry.fenced is None
    }
    assert missing == OPEN


def test_calls_that_only_a_run_makes() -> None:
    """Not among them: edit, stop and stopped, which controllers send as well."""
    of_a_run = {e.name for entries in endpoints.load().values() for e in entries if e.fenced == "run"}
    assert of_a_run == {
        *("events.add", "events.add_batch", "workers.status_report", "tasks.add_or_update_artifacts"),
        *("tasks.add_or_update_model", "tasks.completed", "tasks.failed", "tasks.ping"),
        *("tasks.set_requirements", "tasks.started"),
    }
