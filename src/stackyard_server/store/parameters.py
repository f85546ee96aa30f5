"""Parameters that long lists of tasks are sorted or filtered by: their values side by side, in order.

A parameter lies inside a task's document, and to find the least of 100,000 all documents would have to be opened. So
the first list that asks for one reads them all, and asks for it here; ``Keeper`` then takes in its values some tasks at
a time, and from then on lists read these. What is written to a task is taken in with it (triggers, ``schema``). Few are
kept at once; the one that was not asked for longest makes room.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import Store, Transaction

#: How many parameters are kept, and how many more of those that were asked for are remembered.
MOST, MOST_WANTED = 16, 64
#: Of fewer tasks than these all are opened each time: that is quick.
FROM_TASKS = 5_000
#: How many tasks are taken in by one transaction, and how many values go.
AT_ONCE = 500
#: The characters that are kept of a text: those that agree in them are in the order of their tasks.
KEPT_CHARACTERS = 200
#: How many steps without work pass before a parameter makes room for another again.
REST_STEPS = 600
#: No path is longer.
LONGEST_PATH = 1_000


def number_of(value: str) -> str:
    """The SQL of the number that a value is or starts with; NULL where it does not."""
    starts = " OR ".join(f"{value} GLOB '{start}'" for start in ("[0-9]*", "[-+.][0-9]*", "-.[0-9]*"))
    return f"CASE WHEN typeof({value}) IN ('integer', 'real') OR {starts} THEN CAST({value} AS REAL) END"


def kept_of(value: str) -> str:
    """The SQL of what is kept of a value."""
    return f"CASE typeof({value}) WHEN 'text' THEN substr({value}, 1, {KEPT_CHARACTERS}) ELSE {value} END"


class Wanted:
    """The parameters that were asked for lately, by their paths; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[str, int] = {}
        #: How often lists asked so far.
        self.count = 0

    def ask(self, path: str) -> None:
        """Note that a list asked for one."""
        if len(path) > LONGEST_PATH:
            return
        with self._lock:
            self.count += 1
            self._paths.pop(path, None)
            self._paths[path] = self.count
            if len(self._paths) > MOST_WANTED:
                del self._paths[next(iter(self._paths))]

    def latest_first(self, since: int = 0) -> list[str]:
        """The paths of those that were asked for since so many questions."""
        with self._lock:
            return [path for path, number in reversed(self._paths.items()) if number > since]

    def forget(self, path: str) -> None:
        """One that cannot be kept."""
        with self._lock:
            self._paths.pop(path, None)


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

    def step(self) -> bool:
        """Whether there was something to do."""
        with self._store.reading() as tx:
            rows = tx.all("SELECT number, path, filled, last FROM parameter")
            kept = {path: number for number, path, _, _ in rows}
            wished = [path for path in self._store.wanted.latest_first() if path not in kept]
            if wished:
                tasks = tx.value("SELECT count(*) FROM (SELECT 1 FROM task LIMIT ?)", (FROM_TASKS,))
                wished = wished if tasks >= FROM_TASKS else []
        for number, _, filled, last in rows:
            if filled < 0:
                self._empty(number)
                return True
            if filled < last:
                self._fill(number, filled, last)
                return True
        self._rest = max(0, self._rest - 1)
        if not wished:
            return False
        if len(kept) < MOST:
            self._begin(wished[0])
            return True
        # a parameter that made room comes back only if a list asks for it again
        if self._rest or not set(wished) & set(self._store.wanted.latest_first(self._heard)):
            return False
        self._rest, self._heard = REST_STEPS, self._store.wanted.count
        self._make_room(list(kept))
        return True

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

    def _fill(self, number: int, filled: int, last: int) -> None:
        with self._store.writing("metrics") as tx:
            tasks = "SELECT number AS task, hyperparams FROM task WHERE number>? AND number<=? ORDER BY number LIMIT ?"
            reached = tx.value(f"SELECT max(task) FROM ({tasks})", (filled, last, AT_ONCE))
            to = last if reached is None else reached
            tx.run(
                f"INSERT OR REPLACE INTO parameter_value SELECT ?, task, {number_of('v')}, {kept_of('v')} FROM "
                "(SELECT t.number AS task, json_extract(t.hyperparams, p.path) AS v FROM parameter p, task t "
                "WHERE p.number=? AND t.number>? AND t.number<=?) WHERE v IS NOT NULL",
                (number, number, filled, to),
            )
            tx.run("UPDATE parameter SET filled=? WHERE number=?", (to, number))

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
