"""``organization``: what concerns the whole server: its tags, its numbers, and lists as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .. import listing
from ..calls import Call, Raw
from ..calls.dispatch import endpoint
from ..calls.kept import Kept
from ..listing.filters import keys_of
from ..projects import workloads
from ..protocol.bounds import ANSWER_BYTES
from ..protocol.error_table import error
from ..store import condition
from ..store import users as store_users
from ..store.condition import Condition, Group
from ..store.documents import COLLECTIONS, MODEL, PROJECT, TASK, Collection, new_id

#: The rows of one download, and for how long and how many of them are prepared at once.
MOST_ROWS = 50_000
PREPARED_LIFE_MS = 600_000
MOST_PREPARED = 200

REPORT = condition.has(TASK, ("type",), Group("", ["report"]))
#: What is counted: of which collection, and which of its documents.
COUNTED: dict[str, tuple[Collection, list[Condition]]] = {
    "projects": (PROJECT, []),
    "tasks": (TASK, [condition.none_of(REPORT)]),
    "models": (MODEL, []),
    "pipelines": (PROJECT, []),
    "datasets": (PROJECT, []),
    "reports": (TASK, [REPORT]),
    "pipeline_runs": (TASK, [condition.tagged("pipeline")]),
    "dataset_versions": (TASK, [condition.tagged("dataset")]),
}
#: The web app 2.5 means "-archived" here, and sends null: its minus stands before the quote.
RUNS = ("pipeline_runs", "dataset_versions")


@endpoint()
def get_tags(call: Call) -> dict[str, Any]:
    """The tags of all tasks and models; with ``include_system`` their system tags too."""
    names = ["tags", "system_tags"] if call.get("include_system") else ["tags"]
    wanted = call.get("filter", {})
    found: dict[str, set[str]] = {name: set() for name in names}
    for collection in (TASK, MODEL):
        for name in names:
            found[name] |= listing.texts_of(call, collection, name, wanted)
    return {name: sorted(values) for name, values in found.items()}


@endpoint()
def get_entities_count(call: Call) -> dict[str, Any]:
    """How many of each kind that is asked for its filters find. Left out: ``limit``."""
    users = call.get("active_users")
    answer = {}
    for name, (collection, also) in COUNTED.items():
        filters = call.get(name)
        if filters is None:
            continue
        data = {**{name: call.get(name) for name in ("search_hidden", "allow_public")}, **filters}
        if users and "user" not in data:
            data["user"] = users
        if name in RUNS and isinstance(tags := data.get("system_tags"), list):
            data["system_tags"] = ["-archived" if tag is None else tag for tag in tags]
        answer[name] = listing.count(call, collection, data, also)
    return answer


@endpoint(slow=False)
def get_user_companies(call: Call) -> dict[str, Any]:
    """The caller's company: there is one, and its administrators own it (where there is none, its first user)."""
    owners = store_users.owners(call.tx)
    return {
        "companies": [
            {
                "id": call.who.company,
                "name": call.who.company_name,
                "allocated": len(owners),
                "owners": [{"id": id, "name": name, "avatar": None} for id, name in owners],
            }
        ]
    }


@endpoint(access="none", absent="no client calls it, and what the official server answers was never seen")
def get_project_usages(call: Call) -> None:
    """Nothing."""


@endpoint()
def get_project_workloads(call: Call) -> dict[str, Any]:
    """How long tasks of these projects and below ran, day by day: by project, user and queue.

    The use of CPU and GPU is not measured over time, and so null.
    """
    return workloads.usage(call)


def downloads_of(call: Call) -> Kept[str, bytes]:
    """The server's prepared downloads: the user's request under an id, as JSON."""
    downloads: Kept[str, bytes] = call.services.memory.setdefault("downloads", Kept(MOST_PREPARED))
    return downloads


@endpoint(lists="entity_type")
def prepare_download_for_get_all(call: Call) -> dict[str, Any]:
    """An id under which ``download_for_get_all`` answers this list as CSV, for ten minutes."""
    if not call.data["field_mappings"]:
        raise error("validation", "field_mappings must not be empty", field="field_mappings")
    # what is wrong with the request is said now, not when the browser downloads
    next(listing.every(call, COLLECTIONS[call.data["entity_type"]], call.data, 1, _fields(call.data)), None)
    id, kept = new_id(), orjson.dumps({**call.data, "by": call.who.user})
    downloads_of(call).put(id, kept, call.who.user, len(kept), call.now + PREPARED_LIFE_MS, call.now)
    return {"prepare_id": id}


@endpoint()
def download_for_get_all(call: Call) -> Raw:
    """The prepared list as CSV: a column per field mapping, in their order."""
    id = call.data["prepare_id"]
    kept = downloads_of(call).get(id, call.now)
    data = None if kept is None else orjson.loads(kept)
    if data is None or data.pop("by") != call.who.user:
        raise error("validation", "unknown or expired download", prepare_id=id)
    entity = data["entity_type"]
    text = io.StringIO()
    writer = csv.writer(text)
    mappings = data["field_mappings"]
    writer.writerow([cell(m.get("name") or m["field"]) for m in mappings])
    columns = [(keys_of(m["field"]), _names(m.get("values"))) for m in mappings]
    fields = _fields(data)
    for document in listing.every(call, COLLECTIONS[entity], data, MOST_ROWS, fields):
        writer.writerow([cell(names.get(v := at(document, keys), v)) for keys, names in columns])
        if text.tell() > ANSWER_BYTES:
            raise error("answer_too_large", bytes=ANSWER_BYTES)
    headers = {"Content-Disposition": f'attachment; filename="{entity}s.csv"'}
    return Raw(text.getvalue().encode(), "text/csv; charset=utf-8", headers)


def _fields(data: Mapping[str, Any]) -> list[str]:
    return [m["field"] for m in data["field_mappings"]]


def _names(values: Sequence[Mapping[str, Any]] | None) -> dict[Any, str]:
    """What is written instead of a value."""
    return {v["key"]: v.get("value", "") for v in values or () if isinstance(v.get("key"), (str, int, float))}


def at(document: Any, keys: tuple[str, ...]) -> Any:
    """What stands at these names, as one value."""
    for start in range(len(keys)):
        if isinstance(document, list):
            return ", ".join(str(at(item, keys[start:])) for item in document)
        if not isinstance(document, dict):
            return None
        if (rest := ".".join(keys[start:])) in document:
            document = document[rest]
            break
        document = document.get(keys[start])
    if isinstance(document, dict):
        document = next((document[k] for k in ("value", "name", "id") if k in document), None)
    return ", ".join(map(str, document)) if isinstance(document, list) else document


def cell(value: Any) -> Any:
    """A value for a spreadsheet: text that one would run as a formula is made plain text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value
