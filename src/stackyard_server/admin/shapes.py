"""The shape of another server's document, held to before it is written: what an endpoint may rely on later.

Each field has its kind (``store.documents``); what is inside of an object has the form in which requests give it
(``protocol.fields``), and the whole has no more than one document may have (``protocol.bounds``). Writes nothing.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from .. import moments
from ..protocol import bounds, fields
from ..protocol.error_table import ApiError
from ..rules import metadata
from ..store.documents import MODEL, QUEUE, TASK, USER, Collection
from ..store.events import LAST_INSTANT

ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: Names of other documents: an object where the answer joined them, an id inside.
REFERENCES = frozenset({"user", "project", "task", "parent", "company"})
#: Of a user: who may come in here, and as what, is said here alone; whoever comes with documents is a plain user.
OF_THIS_SERVER = frozenset({"login", "password", "role", "disabled", "generation", "preferences"})
#: Parts of a task in which null stands for absent, as in requests.
WITHOUT_NULLS = frozenset({"hyperparams", "configuration", "container", "execution", "models", "output"})
#: Objects and choices whose form requests know, by the endpoint that takes them.
FORMS = {
    TASK.name: (
        "tasks.edit",
        (
            "type",
            "status",
            "script",
            "hyperparams",
            "configuration",
            "container",
            "execution",
            "models",
            "runtime",
        ),
    ),
    MODEL.name: ("models.edit", ("design", "labels", "ui_cache")),
}
#: Of what a task put out, as ``tasks.set_output`` and its like keep it.
OUTPUT = {"object": {"destination": "string", "result": "string", "error": "string"}}
#: What an event may have.
EVENT_BYTES = bounds.REQUESTS["events"].bytes
#: The figures of a series that are whole numbers, and those that are any.
WHOLE = ("min_value_iteration", "max_value_iteration", "first_value_iteration", "count")
FIGURES = ("value", "min_value", "max_value", "first_value", "mean_value")


class DocumentError(ValueError):
    """A document cannot be taken over; the message names it, the field and what was expected."""


def check(collection: Collection, given: Any, most_bytes: int = bounds.STORED["bytes"]) -> None:
    """Look at a document in the API's form.

    Args:
        collection: Its kind.
        given: The document.
        most_bytes: What it may have.

    Raises:
        DocumentError: It is not in that form, or has more than one may have.
    """
    if not isinstance(given, Mapping):
        raise DocumentError(f"a {collection.name} is {_short(given)}; expected an object")
    id = given.get("id")
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise DocumentError(
            f"a {collection.name} has the id {_short(id)}; expected 1 to 64 letters, digits, - or _"
        )
    whose, size, values = f"{collection.name} {id}", 0, []
    for field, kind in collection.fields.items():
        value = given.get(field)
        if value is None or field == "company" or (collection is USER and field in OF_THIS_SERVER):
            continue
        text = _text(whose, field, value)
        size += len(value.encode()) if isinstance(value, str) else len(text)
        if kind in ("texts", "object"):
            values.append(text)
        expected = _mismatch(collection, field, kind, value)
        if expected:
            raise DocumentError(f"{whose}: {field} is {_short(value)}; expected {expected}")
    if size > most_bytes or bounds.has_more(b",".join(values), bounds.STORED["values"]):
        raise DocumentError(
            f"{whose} has more than {most_bytes} bytes or {bounds.STORED['values']} values, which no document may"
        )
    if collection is QUEUE and given.get("entries") is not None:
        _check_entries(whose, given["entries"])
    if collection in (TASK, MODEL) and given.get("last_metrics") is not None:
        _check_series(whose, given["last_metrics"])


def check_named(collection: Collection, given: Mapping[str, Any]) -> None:
    """Look whether a document has what a new one needs.

    Raises:
        DocumentError: It has no name.
    """
    if not given.get("name"):
        raise DocumentError(f"{collection.name} {given.get('id')} has no name")


def check_event(given: Any) -> None:
    """Look whether an event can be kept at all; what it has to have is looked at when it is taken in.

    Raises:
        DocumentError: It cannot.
    """
    if not isinstance(given, Mapping):
        raise DocumentError(f"an event is {_short(given)}; expected an object")
    whose = f"an event of task {_short(given.get('task'))}"
    if not isinstance(given.get("task"), str):
        raise DocumentError(f"{whose}: task is no text")
    if sum(len(_text(whose, str(field), value)) for field, value in given.items()) > EVENT_BYTES:
        raise DocumentError(f"{whose} has more than {EVENT_BYTES} bytes")


def id_of(value: Any) -> Any:
    """The id of a reference: an object where the answer joined it."""
    return value.get("id") if isinstance(value, Mapping) else value


def plain(field: str, value: Any) -> Any:
    """A part of a task without nulls, with the ids of models and queues that the answer joined."""
    value = _without_nulls(value)
    if field == "execution" and isinstance(value, Mapping):
        return {**value, **{name: id_of(value[name]) for name in ("queue", "model") if name in value}}
    if field == "models" and isinstance(value, Mapping):
        return {
            side: [_plain_model(entry) for entry in entries] if isinstance(entries, list) else entries
            for side, entries in value.items()
        }
    return value


def _plain_model(entry: Any) -> Any:
    return {**entry, "model": id_of(entry.get("model"))} if isinstance(entry, Mapping) else entry


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


def _text(whose: str, field: str, value: Any) -> bytes:
    """A value as JSON.

    Raises:
        DocumentError: It cannot be kept as such, or is too deep, or has too long names or lists.
    """
    try:
        text = orjson.dumps(value)
        bounds.check_shape(value, text, bounds.REQUESTS["document"])
    except (TypeError, RecursionError) as fault:
        raise DocumentError(f"{whose}: {field} cannot be kept ({fault})") from None
    except ApiError as fault:
        raise DocumentError(f"{whose}: {field} cannot be kept ({fault.message})") from None
    return text


def _mismatch(collection: Collection, field: str, kind: str, value: Any) -> str | None:
    """What is expected of a field; None where it is that."""
    if field in REFERENCES:
        return None if isinstance(id_of(value), str) else "an id"
    if kind == "date":
        return None if _is_instant(value) else "an ISO 8601 instant from 1970 to 9999"
    if kind in ("text", "choice") and not isinstance(value, str):
        return "text"
    if kind == "texts":
        is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return None if is_texts else "a list of texts"
    if kind in ("number", "flag"):
        return _unfit("integer" if kind == "number" else "boolean", value)
    if field == "metadata":
        try:
            metadata.read(list(value.values()) if isinstance(value, Mapping) else value)
        except (ApiError, TypeError):
            return "entries of key, type and value"
        return None
    endpoint, known = FORMS.get(collection.name, ("", ()))
    if field in known:
        form = fields.table()[endpoint]["fields"][field]
        return _unfit(form, plain(field, value) if collection is TASK and field in WITHOUT_NULLS else value)
    if kind == "object":
        return _unfit(OUTPUT if field == "output" else "object", value)
    return None


def _unfit(form: Any, value: Any) -> str | None:
    try:
        fields.fit(form, copy.deepcopy(value) if isinstance(value, (dict, list)) else value)
    except fields.Mismatch as fault:
        return f"what a request may give: {_short(str(fault), 200)}"
    return None


def _is_instant(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = moments.parse(value)
        except ValueError:
            return False
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LAST_INSTANT


def _check_entries(whose: str, entries: Any) -> None:
    if not isinstance(entries, list):
        raise DocumentError(f"{whose}: entries is {_short(entries)}; expected a list")
    for entry in entries:
        if (
            not isinstance(entry, Mapping)
            or not isinstance(id_of(entry.get("task")), str)
            or not _is_instant(entry.get("added"))
        ):
            raise DocumentError(
                f"{whose}: entries holds {_short(entry)}; expected a task and when it was added"
            )


def _check_series(whose: str, last_metrics: Any) -> None:
    fault = DocumentError(f"{whose}: last_metrics is not metric -> variant -> values")
    if not isinstance(last_metrics, Mapping):
        raise fault
    found = 0
    for metric, variants in last_metrics.items():
        if not isinstance(variants, Mapping):
            raise fault
        for variant, values in variants.items():
            found += 1
            if not isinstance(values, Mapping):
                raise fault
            _check_figures(f"{whose}: last_metrics.{metric}.{variant}", values)
    if found > bounds.STORED["series"]:
        raise DocumentError(f"{whose}: last_metrics has more than {bounds.STORED['series']} series")


def _check_figures(where: str, values: Mapping[str, Any]) -> None:
    for name in ("metric", "variant"):
        if not isinstance(values.get(name), str):
            raise DocumentError(f"{where} lacks its metric or variant name")
        _text(where, name, values[name])
    label = values.get("x_axis_label")
    if label is not None and not isinstance(label, str):
        raise DocumentError(f"{where}: x_axis_label is {_short(label)}; expected text")
    _text(where, "x_axis_label", label)
    for name in WHOLE:
        if values.get(name) is not None and _unfit("integer", values[name]):
            raise DocumentError(
                f"{where}: {name} is {_short(values[name])}; expected a whole number of 64 bits"
            )
    for name in FIGURES:
        value = values.get(name)
        if value is not None and not _is_figure(value):
            raise DocumentError(f"{where}: {name} is {_short(value)}; expected a number")


def _is_figure(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return not math.isinf(float(value))
    except OverflowError:
        return False


def _short(value: Any, most: int = 80) -> str:
    text = value if isinstance(value, str) and most > 80 else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
