"""Parameters that long lists of tasks are sorted or filtered by: their values side by side, in order.

A parameter lies inside a task's document, and to find the least of 100,000 all documents would have to be opened. So
the first list that asks for one reads them all, and asks for it here; ``Keeper`` then takes in its values some tasks at
a time, and from then on lists read these. What is written to a task is taken in with it (triggers, ``schema``). Few are
kept at once; the one that was not asked for longest makes room.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from . import Reading, Store, Transaction

#: How many parameters are kept.
MOST = 16
#: Of fewer tasks than these all are opened each time: that is quick.
FROM_TASKS = 5_000
#: How many tasks are taken in by one transaction, and how many values go.
AT_ONCE = 500
#: For how long documents are opened at a time.
LOOK_SECONDS = 0.2
_HAS_TASKS = "SELECT count(*) FROM (SELECT 1 FROM task LIMIT ?)"
#: The characters that are kept of a text.
KEPT_CHARACTERS = 200
#: How many steps without work pass before a parameter makes room for another again.
REST_STEPS = 600


def number_of(value: str) -> str:
    """The SQL of the number that a value is or starts with; NULL where it does not."""
    starts = " OR ".join(f"{value} GLOB '{start}'" for start in ("[0-9]*", "[-+.][0-9]*", "-.[0-9]*"))
    return f"CASE WHEN typeof({value}) IN ('integer', 'real') OR {starts} THEN CAST({value} AS REAL) END"


def kept_of(value: str) -> str:
    """The SQL of what is kept of a value."""
    return f"CASE typeof({value}) WHEN 'text' THEN substr({value}, 1, {KEPT_CHARACTERS}) ELSE {value} END"


def find(tx: Transaction, path: str) -> int | None:
    """The number of a parameter whose values are all there; None where they are not. Notes that it was asked for."""
    tx.wanted.ask(path)
    number: int | None = tx.value("SELECT number FROM parameter WHERE path=? AND filled>=last", (path,))
    return number


class Keeper:
    """Takes in what is wanted, a step at a time; one for the server's life."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rest = 0
        #: How often lists had asked when a parameter last made room.
        self._heard = 0
        self._looking = threading.Lock()
        self._read = Reading()

    def look(self) -> Callable[[], None] | None:
        """What is to be done next, by the thread that writes; None: nothing. Documents are opened here, in any thread.

        Raises:
            ReadEnded: It was told to end.
        """
        with self._looking, self._store.reading(self._read) as tx:
            rows = tx.all("SELECT number, path, filled, last FROM parameter")
            for number, path, filled, last in rows:
                if filled < 0:
                    return partial(self._empty, number)
                if filled < last:
                    return partial(self._fill, number, *_values(tx, path, filled, last))
            kept = [path for _, path, _, _ in rows]
            wished = [path for path in self._store.wanted.latest_first() if path not in kept]
            self._rest = max(0, self._rest - 1)
            if not wished or tx.value(_HAS_TASKS, (FROM_TASKS,)) < FROM_TASKS:
                return None
        if len(kept) < MOST:
            return partial(self._begin, wished[0])
        # a parameter that made room comes back only if a list asks for it again
        if self._rest or not set(wished) & set(self._store.wanted.latest_first(self._heard)):
            return None
        self._rest, self._heard = REST_STEPS, self._store.wanted.count
        return partial(self._make_room, kept)

    def step(self) -> bool:
        """Look and do it; whether there was something to do."""
        work = self.look()
        if work is not None:
            work()
        return work is not None

    def end(self) -> None:
        """End a look that is under way, and wait for it."""
        self._read.end()
        while not self._looking.acquire(timeout=0.02):
            self._read.end()
        self._looking.release()

    def _begin(self, path: str) -> None:
        with self._store.writing() as tx:
            try:
                tx.value("SELECT json_extract('{}', ?)", (path,))
            except sqlite3.OperationalError:  # no path: in a trigger it would be in the way of every change
                self._store.wanted.forget(path)
                return
            tx.run(
                "INSERT INTO parameter(path, last) SELECT ?, coalesce(max(number), 0) FROM task WHERE true",
                (path,),
            )

    def _fill(self, number: int, values: list[tuple[int, float | None, Any]], filled: int) -> None:
        with self._store.writing("metrics") as tx:
            # what was written since the documents were opened has its row already
            tx.many(
                "INSERT OR IGNORE INTO parameter_value SELECT ?, number, ?, ? FROM task WHERE number=?",
                [(number, first, value, task) for task, first, value in values if value is not None],
            )
            tx.run("UPDATE parameter SET filled=? WHERE number=? AND filled>=0", (filled, number))

    def _make_room(self, kept: Sequence[str]) -> None:
        asked = self._store.wanted.latest_first()
        oldest = max(kept, key=lambda path: asked.index(path) if path in asked else len(asked))
        with self._store.writing() as tx:
            tx.run("UPDATE parameter SET filled=-1 WHERE path=?", (oldest,))

    def _empty(self, number: int) -> None:
        with self._store.writing("metrics") as tx:
            gone = tx.run(
                "DELETE FROM parameter_value WHERE parameter=? AND task IN "
                "(SELECT task FROM parameter_value WHERE parameter=? LIMIT ?)",
                (number, number, AT_ONCE),
            )
            if gone < AT_ONCE:
                tx.run("DELETE FROM parameter WHERE number=?", (number,))


def _values(
    tx: Transaction, path: str, filled: int, last: int
) -> tuple[list[tuple[int, float | None, Any]], int]:
    """(task, number, value) of the next tasks, and how far they reach; fewer where their documents are large."""
    until = time.monotonic() + LOOK_SECONDS
    sql = (
        f"SELECT task, {number_of('v')}, {kept_of('v')} FROM (SELECT number AS task, json_extract(hyperparams, ?) AS v "
        "FROM task WHERE number>? AND number<=? ORDER BY number LIMIT ?)"
    )
    found: list[tuple[int, float | None, Any]] = []
    for row in tx.connection.execute(sql, (path, filled, last, AT_ONCE)):
        found.append(row)
        if time.monotonic() > until:
            return found, row[0]
    return found, found[-1][0] if len(found) == AT_ONCE else last
