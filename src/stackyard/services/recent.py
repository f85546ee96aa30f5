"""Tasks of this machine's workers that ended lately: found newest first, each kept until nothing is left to do for it.

A look asks for a bounded number of pages of few fields. A task that was found stays known when newer ones have pushed
it out of the pages. Whoever waits longest is next, so that some for which nothing can be done yet keep no others
waiting.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass

from stackyard.clearml.client import Client
from stackyard.services.watch import Task, task_of

#: Tasks that ended longer ago are left as they are.
RECENT_SECONDS = 900.0
#: So many tasks of all workers are asked for in one look (500 is the most that an official server gives at once).
PAGE, MOST_PAGES = 500, 4
#: So many are remembered.
MOST_KNOWN = 10_000
#: For so long after its end a task is looked at each time; later ever more seldom.
_EAGER_SECONDS = 10.0
_FIELDS = ("id", "status", "status_message", "status_reason", "status_changed", "started", "last_worker")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass
class _Known:
    #: Status, and when it changed, as the server writes them.
    said: tuple[object, object]
    task: Task
    #: When it is looked at next, in the caller's monotonic seconds; ``None``: nothing is left to do.
    due: float | None


class Recent:
    """What is known of such tasks.

    Args:
        statuses: in which a task has ended.
    """

    def __init__(self, statuses: Collection[str]) -> None:
        self._statuses = sorted(statuses)
        self._known: dict[str, _Known] = {}

    def look(self, client: Client, workers: Collection[str], now: float, at: float) -> None:
        """Ask for what has ended since.

        Args:
            client: the server.
            workers: ids of this machine's workers.
            now: epoch seconds.
            at: monotonic seconds.

        Raises:
            ServerError: the server refuses.
            UnreachableError: it does not answer.
        """
        since = now - RECENT_SECONDS
        text = datetime.datetime.fromtimestamp(since, datetime.UTC).isoformat(timespec="seconds")
        for page in range(MOST_PAGES):
            found = client.call(
                "tasks.get_all",
                status=self._statuses,
                last_worker=sorted(workers),
                status_changed=[f">={text.replace('+00:00', '')}"],
                only_fields=list(_FIELDS),
                order_by=["-status_changed"],
                page=page,
                page_size=PAGE,
                search_hidden=True,
            )["tasks"]
            for entry in found:
                id, said = str(entry["id"]), (entry.get("status"), entry.get("status_changed"))
                known = self._known.get(id)
                if known is not None and known.said == said:
                    continue
                task = task_of(entry)
                if task.worker in workers and _ID.fullmatch(id):
                    self._known[id] = _Known(said, task, at)
            if len(found) < PAGE:
                break
        newest = sorted(self._known.items(), key=lambda item: item[1].task.changed or 0.0, reverse=True)
        self._known = {id: known for id, known in newest[:MOST_KNOWN] if (known.task.changed or 0.0) >= since}

    def due(self, at: float) -> list[Task]:
        """The tasks that are to be looked at now: first those that wait longest, of these the newest.

        Args:
            at: monotonic seconds.
        """
        waiting = [
            (known.due, -(known.task.changed or 0.0), id)
            for id, known in self._known.items()
            if known.due is not None and known.due <= at
        ]
        return [self._known[id].task for _, _, id in sorted(waiting)]

    def later(self, task: Task, now: float, at: float) -> None:
        """Have a task looked at again: soon while it has just ended, then when as much time again has gone by.

        Args:
            task: one of ``due``.
            now: epoch seconds.
            at: monotonic seconds.
        """
        age = now - (task.changed or now)
        self._known[task.id].due = at + (age if age >= _EAGER_SECONDS else 0.0)

    def settle(self, task: Task) -> None:
        """Have a task looked at no more, until its status changes."""
        self._known[task.id].due = None
