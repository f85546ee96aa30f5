"""Documents: what a task, project, model, queue and user are in the database, and in ClearML's form.

Inside, a document is a dict of the columns that are set: instants in milliseconds, lists and embedded documents
as Python values, absent fields absent. ``render`` gives ClearML's form (instants as ISO 8601 text). Finding many
documents by ClearML's query language is in ``query``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from .. import moments
from . import Transaction
from .refusals import DocumentTooLarge

#: text: a string searched by pattern; choice: a string matched whole; date: an instant; number; flag: true or false;
#: texts: a list of strings; object: any JSON.
Kind = Literal["text", "choice", "date", "number", "flag", "texts", "object"]

Document = dict[str, Any]


def new_id() -> str:
    """32 hexadecimal digits, as every id of ClearML."""
    return secrets.token_hex(16)


def as_json(values: Iterable[Any]) -> str:
    """A list for ``json_each``."""
    return orjson.dumps(list(values)).decode()


def weight(row: tuple[Any, ...]) -> int:
    """The bytes of a row's texts."""
    return sum(len(value) for value in row if isinstance(value, (str, bytes)))


#: Where so much is written of a document, or more, it is looked at as a whole.
LOOKED_AT_BYTES = 64 * 1024
#: Lists that are kept in alphabetical order, whatever the order they came in.
SORTED = frozenset({"tags", "system_tags"})


@dataclass(frozen=True)
class Collection:
    """A kind of document: its table and its fields in the order in which they are shown."""

    name: str
    fields: Mapping[str, Kind]
    #: Columns that never leave through the API.
    private: frozenset[str] = frozenset()
    #: Fields that are put together elsewhere (from other tables).
    virtual: frozenset[str] = frozenset()
    dates: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dates", frozenset(k for k, v in self.fields.items() if v == "date"))

    def decoded(self, name: str, value: Any) -> Any:
        """A column's value as a Python value."""
        kind = self.fields[name]
        if kind in ("texts", "object"):
            return orjson.loads(value)
        return bool(value) if kind == "flag" else value

    def encoded(self, name: str, value: Any) -> Any:
        """A Python value as the column keeps it."""
        if isinstance(value, list) and name in SORTED:
            value = sorted(value, key=str)
        if value is not None and self.fields[name] in ("texts", "object"):
            return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
        return value

    def get(self, tx: Transaction, id: str, fields: Iterable[str] | None = None) -> Document | None:
        """The document of that id, or None; with ``fields``, only those columns."""
        found = self.get_many(tx, [id], fields)
        return found[0] if found else None

    def get_many(
        self, tx: Transaction, ids: Iterable[str], fields: Iterable[str] | None = None
    ) -> list[Document]:
        """The documents of these ids that exist, in the order of ``ids``."""
        wanted = list(dict.fromkeys(ids))
        names = (
            list(self.fields)
            if fields is None
            else [n for n in dict.fromkeys(["id", *fields]) if n in self.fields]
        )
        sql = f'SELECT {", ".join(names)} FROM "{self.name}" WHERE id IN (SELECT value FROM json_each(?))'
        rows = tx.weighed(sql, (as_json(wanted),), weight)
        by_id = {}
        for row in rows:
            document = self.read(names, row)
            by_id[document["id"]] = document
        return [by_id[i] for i in wanted if i in by_id]

    def exists(self, tx: Transaction, id: str) -> bool:
        """Whether there is a document of that id."""
        return tx.value(f'SELECT 1 FROM "{self.name}" WHERE id=?', (id,)) is not None

    def field(self, tx: Transaction, id: str, name: str) -> Any:
        """One field of the document of that id; None where there is none, of either."""
        value = tx.value(f'SELECT {name} FROM "{self.name}" WHERE id=?', (id,))
        return None if value is None else self.decoded(name, value)

    def id_of(self, tx: Transaction, name: str) -> str | None:
        """The id of the document of exactly that name."""
        id: str | None = tx.value(f'SELECT id FROM "{self.name}" WHERE name=?', (name,))
        return id

    def names(self, tx: Transaction, ids: Iterable[str] | None = None) -> dict[str, str | None]:
        """The names of these documents (of all where none are given), by id."""
        sql, bound = f'SELECT id, name FROM "{self.name}"', []
        if ids is not None:
            sql += " WHERE id IN (SELECT value FROM json_each(?))"
            bound.append(as_json(ids))
        return dict(tx.all(sql, bound))

    def count(self, tx: Transaction) -> int:
        """How many documents there are."""
        number: int = tx.value(f'SELECT count(*) FROM "{self.name}"')
        return number

    def read(self, names: list[str], row: tuple[Any, ...]) -> Document:
        """A row of these columns as a document; columns that are NULL are absent."""
        return {name: self.decoded(name, value) for name, value in zip(names, row) if value is not None}

    def insert(self, tx: Transaction, document: Mapping[str, Any]) -> None:
        """Add a document; fields it does not know are left out.

        Raises:
            DocumentTooLarge: It has more than one may have.
        """
        names = [n for n in document if n in self.fields]
        marks = ", ".join("?" * len(names))
        sql = f'INSERT INTO "{self.name}" ({", ".join(names)}) VALUES ({marks})'
        columns = {n: self.encoded(n, document[n]) for n in names}
        self._hold(tx, None, columns)
        tx.run(sql, list(columns.values()))

    def update(self, tx: Transaction, id: str, changes: Mapping[str, Any]) -> int:
        """Set these fields (None removes one); 1 if the document exists.

        Raises:
            DocumentTooLarge: It would have more than one may have.
        """
        if not changes:
            return 0
        sql = f'UPDATE "{self.name}" SET {", ".join(f"{n}=?" for n in changes)} WHERE id=?'
        columns = {n: self.encoded(n, v) for n, v in changes.items()}
        self._hold(tx, id, columns)
        return tx.run(sql, [*columns.values(), id])

    def _hold(self, tx: Transaction, id: str | None, columns: Mapping[str, Any]) -> None:
        """Hold a document to what one may have in all; one that has more already may lose some of it.

        Args:
            tx: The transaction.
            id: The document's; None of a new one.
            columns: What is to be written.

        Raises:
            DocumentTooLarge: It would have more.
        """
        largest, written = tx.largest, weight(tuple(columns.values()))
        if largest is None or written < LOOKED_AT_BYTES:
            return
        held: dict[str, Any] = {}
        if id is not None:
            row = tx.one(f'SELECT {", ".join(self.fields)} FROM "{self.name}" WHERE id=?', (id,))
            held = dict(zip(self.fields, row or ()))
            if written <= weight(tuple(held.get(name) for name in columns)):
                return
        texts = {name: value for name, value in {**held, **columns}.items() if isinstance(value, str)}
        whole = [value.encode() for name, value in texts.items() if self.fields[name] in ("texts", "object")]
        size = sum(map(len, whole)) + sum(
            len(value.encode())
            for name, value in texts.items()
            if self.fields[name] not in ("texts", "object")
        )
        if size > largest.most_bytes or largest.has_more(b",".join(whole), largest.most_values):
            raise DocumentTooLarge(largest.most_bytes, largest.most_values)

    def delete(self, tx: Transaction, ids: Iterable[str]) -> int:
        """The number of documents removed."""
        sql = f'DELETE FROM "{self.name}" WHERE id IN (SELECT value FROM json_each(?))'
        return tx.run(sql, (as_json(ids),))

    def render(self, document: Mapping[str, Any]) -> Document:
        """The document in ClearML's form."""
        return {
            name: moments.iso(value) if name in self.dates and isinstance(value, int) else value
            for name, value in document.items()
            if name not in self.private and value is not None
        }


USER = Collection(
    "user",
    {
        "id": "choice",
        "company": "choice",
        "name": "text",
        "family_name": "text",
        "given_name": "text",
        "created_in_version": "text",
        "created": "date",
        "login": "choice",
        "email": "choice",
        "role": "choice",
        "password": "choice",
        "preferences": "object",
        "disabled": "flag",
        "generation": "number",
    },
    private=frozenset({"login", "email", "password", "disabled", "preferences", "role", "generation"}),
)

PROJECT = Collection(
    "project",
    {
        "id": "choice",
        "company": "choice",
        "user": "choice",
        "name": "text",
        "basename": "text",
        "description": "text",
        "created": "date",
        "tags": "texts",
        "system_tags": "texts",
        "default_output_destination": "choice",
        "last_update": "date",
        "featured": "number",
        "parent": "choice",
        "path": "texts",
    },
    private=frozenset({"path"}),
)

TASK = Collection(
    "task",
    {
        "id": "choice",
        "company": "choice",
        "user": "choice",
        "name": "text",
        "type": "choice",
        "status": "choice",
        "status_reason": "choice",
        "status_message": "choice",
        "status_changed": "date",
        "comment": "text",
        "report": "text",
        "report_assets": "texts",
        "created": "date",
        "started": "date",
        "completed": "date",
        "published": "date",
        "active_duration": "number",
        "parent": "choice",
        "project": "choice",
        "output": "object",
        "execution": "object",
        "tags": "texts",
        "system_tags": "texts",
        "script": "object",
        "last_update": "date",
        "last_change": "date",
        "last_changed_by": "choice",
        "last_worker": "choice",
        "last_worker_report": "date",
        "last_iteration": "number",
        "metric_stats": "object",
        "hyperparams": "object",
        "configuration": "object",
        "runtime": "object",
        "models": "object",
        "container": "object",
        "enqueue_status": "choice",
    },
    private=frozenset({"enqueue_status"}),
    virtual=frozenset({"last_metrics", "unique_metrics"}),
)

MODEL = Collection(
    "model",
    {
        "id": "choice",
        "company": "choice",
        "user": "choice",
        "name": "text",
        "created": "date",
        "task": "choice",
        "project": "choice",
        "parent": "choice",
        "comment": "text",
        "tags": "texts",
        "system_tags": "texts",
        "uri": "choice",
        "framework": "choice",
        "design": "object",
        "labels": "object",
        "ready": "flag",
        "ui_cache": "object",
        "last_update": "date",
        "last_change": "date",
        "last_changed_by": "choice",
        "metadata": "object",
        "last_iteration": "number",
        "metric_stats": "object",
    },
    private=frozenset({"metric_stats"}),
    virtual=frozenset({"last_metrics"}),
)

QUEUE = Collection(
    "queue",
    {
        "id": "choice",
        "company": "choice",
        "user": "choice",
        "name": "text",
        "display_name": "choice",
        "created": "date",
        "tags": "texts",
        "system_tags": "texts",
        "last_update": "date",
        "metadata": "object",
    },
    private=frozenset({"user"}),
    virtual=frozenset({"entries"}),
)

COLLECTIONS = {c.name: c for c in (USER, PROJECT, TASK, MODEL, QUEUE)}
