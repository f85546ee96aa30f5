"""What of a document is shown: ``only_fields``, and the objects that stand for references in ``get_all_ex``.

``Projection`` is compiled once from the names asked for; it tells which columns to read and turns documents into
ClearML's form. Finding documents is in ``store.query``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..protocol.error_table import error, field_error
from ..store import Transaction, meta, metrics
from ..store.condition import Keys
from ..store.documents import COLLECTIONS, Collection, Document
from .filters import bounded, keys_of, lookup_error, visible, wrong_type

#: From documents' ids to a field that is put together from other tables; ids that have none may be absent.
Virtual = Callable[[Transaction, list[str]], Mapping[str, Any]]

#: Fields that hold another document's id, and whose. None: the company, which is no document.
REFERENCES: dict[str, dict[str, str | None]] = {
    "task": {
        "company": None,
        "user": "user",
        "project": "project",
        "parent": "task",
        "execution.queue": "queue",
        "models.input.model": "model",
        "models.output.model": "model",
    },
    "model": {"company": None, "user": "user", "project": "project", "parent": "model", "task": "task"},
    "project": {"company": None, "user": "user", "parent": "project"},
    "queue": {"company": None, "user": "user", "entries.task": "task"},
    "user": {"company": None},
}
VIRTUAL: dict[str, Virtual] = {"unique_metrics": metrics.unique_metrics}
#: References of references of references...
MOST_DEPTH = 6
#: More names than these in only_fields are refused.
MOST_NAMES = 1000


def referenced(collection: Collection) -> dict[str, Collection | None]:
    """Where each reference of a collection leads."""
    return {
        path: COLLECTIONS[target] if target else None for path, target in REFERENCES[collection.name].items()
    }


class Projection:
    """Which fields of a collection's documents are shown, and how.

    Args:
        collection: Whose documents.
        only_fields: The request's names (dotted; "*" is everything, "-name" leaves one out); None: everything.
        joined: References become objects with the fields asked for.
        virtual: Further fields that are put together elsewhere, by name.

    Raises:
        ApiError: 400/12 not a list of names; 400/14 an unknown field.
    """

    def __init__(
        self,
        collection: Collection,
        only_fields: Any = None,
        *,
        joined: bool = False,
        virtual: Mapping[str, Virtual] | None = None,
        _depth: int = 0,
    ) -> None:
        self.collection = collection
        self.joined = joined
        self.virtual = {**VIRTUAL, **(virtual or {})}
        self.references = REFERENCES[collection.name]
        self.paths: dict[str, list[Keys]] = {}
        self.left_out: list[Keys] = []
        self._joins: dict[str, list[str]] = {}
        self.everything = not only_fields
        if isinstance(only_fields, str):
            only_fields = [only_fields]
        if only_fields is not None and not isinstance(only_fields, (list, tuple)):
            raise wrong_type("only_fields", only_fields, "list")
        names = only_fields or ()
        if len(names) > MOST_NAMES:
            raise field_error("only_fields", f": more than {MOST_NAMES} fields.")
        for name in names:
            if not isinstance(name, str):
                raise wrong_type("only_fields", name, "str")
            self._add(name)
        if not self.everything and not self.paths:
            self.everything = True
        self._share()
        self._targets = {
            path: Projection(
                COLLECTIONS[target], ["id", *self._joins.get(path, ())], joined=True, _depth=_depth + 1
            )
            for path, target in self.references.items()
            if target and self._joins.get(path) and _depth < MOST_DEPTH
        }
        if self._joins and _depth >= MOST_DEPTH:
            raise error("lookup", err="too many nested references")

    def _add(self, name: str) -> None:
        if name == "*":
            self.everything = True
            return
        left_out = name.startswith("-")
        keys = keys_of(bounded(name.removeprefix("-")))
        root = keys[0]
        if not visible(self.collection, root):
            raise lookup_error(root)
        for path in self.references:
            along = tuple(path.split("."))
            if len(keys) > len(along) and keys[: len(along)] == along:
                if not self.joined:
                    raise lookup_error(keys[len(along)])
                target = self.references[path]
                below = keys[len(along) :]
                if target is None and below not in (("id",), ("name",)):
                    raise lookup_error(below[0])
                self._joins.setdefault(path, []).append(name.split(".", len(along))[-1])
                keys = along
                break
        else:
            if len(keys) > 1 and self.collection.fields.get(root, "object") not in ("object", "texts"):
                raise lookup_error(keys[1])
        if left_out:
            self.left_out.append(keys)
        else:
            self.paths.setdefault(root, []).append(keys[1:])

    def _share(self) -> None:
        """A model that is both input and output shows in either place what was asked for in one."""
        places = [p for p in self.references if p.startswith("models.")]
        names = [n for p in places for n in self._joins.get(p, ())]
        if names:
            self._joins.update(dict.fromkeys(places, names))

    def shows(self, name: str) -> bool:
        """Whether a top-level field is shown."""
        return (self.everything or name in self.paths) and (name,) not in self.left_out

    @property
    def columns(self) -> list[str]:
        """The columns to read."""
        return [n for n in self.collection.fields if n not in self.collection.private and self.shows(n)]

    def documents(self, tx: Transaction, found: Iterable[Document]) -> list[Document]:
        """The documents (with at least ``columns`` and the id) in the form that is answered."""
        found = list(found)
        virtual = self._virtual(tx, [d["id"] for d in found])
        shown = [self._shown(document, virtual) for document in found]
        if self.joined:
            self._join(tx, shown)
        return shown

    def _virtual(self, tx: Transaction, ids: list[str]) -> dict[str, Mapping[str, Any]]:
        if not ids:
            return {}
        found = {}
        for name in self.collection.virtual:
            if name in self.virtual and self.shows(name):
                found[name] = self.virtual[name](tx, ids)
            elif name == "last_metrics" and self.shows(name):
                found[name] = metrics.last_metrics(tx, ids, self._series(), self._values())
        return found

    def _series(self) -> list[tuple[str, str]] | None:
        """The scalar series asked for; None: all of them."""
        paths = self.paths.get("last_metrics", [])
        if self.everything or not all(len(path) > 1 for path in paths):
            return None
        return [(path[0], path[1]) for path in paths]

    def _values(self) -> set[str] | None:
        """What of the scalar series is asked for; None: everything."""
        paths = self.paths.get("last_metrics", [])
        if self.everything or not all(len(path) > 2 for path in paths):
            return None
        return {path[2] for path in paths}

    def _shown(self, document: Document, virtual: Mapping[str, Mapping[str, Any]]) -> Document:
        id = document["id"]
        whole = self.collection.render(document)
        for name, values in virtual.items():
            value = values.get(id, {} if name == "last_metrics" else None)
            # an empty list of unique_metrics is shown by get_by_id only
            if value is not None and (value != [] or name != "unique_metrics"):
                whole[name] = value
        if self.everything:
            shown = whole
        else:
            shown = {
                name: pick(whole.get(name, {}), self.paths[name])
                for name in sorted(self.paths)
                if name in whole or self._nested(name)
            }
        for keys in self.left_out:
            drop(shown, keys)
        if self.joined:
            shown = {"id": id, **shown}
        return shown

    def _nested(self, name: str) -> bool:
        """Asked for in part only, of an object: what is not there is shown as an empty object."""
        return self.collection.fields.get(name, "object") == "object" and all(self.paths[name])

    def _join(self, tx: Transaction, shown: list[Document]) -> None:
        for path in self.references:
            keys = tuple(path.split("."))
            ids = list(dict.fromkeys(i for document in shown for i in held(document, keys)))
            if ids:
                objects = self._objects(tx, path, ids)
                for document in shown:
                    replace(document, keys, objects)

    def _objects(self, tx: Transaction, path: str, ids: list[str]) -> Mapping[str, Any]:
        projection = self._targets.get(path)
        if projection is not None:
            found = projection.collection.get_many(tx, ids, projection.columns)
            return {d["id"]: d for d in projection.documents(tx, found)}
        if self.references[path] is None and "name" in self._joins.get(path, ()):
            name = meta.company_name(tx)
            return {id: {"id": id, "name": name} for id in ids}
        return {}


def pick(value: Any, paths: list[Keys]) -> Any:
    """The parts of a value that lie on these paths; a list's items each. Names may hold dots."""
    if not all(paths):
        return value
    if isinstance(value, list):
        return [pick(item, paths) for item in value]
    if not isinstance(value, dict):
        return value
    below: dict[str, list[Keys]] = {}
    for path in paths:
        if path[0] in value:  # nearly always: hundreds of paths may be asked of hundreds of documents
            below.setdefault(path[0], []).append(path[1:])
            continue
        for length in range(2, len(path) + 1):
            key = ".".join(path[:length])
            if key in value:
                below.setdefault(key, []).append(path[length:])
                break
    return {key: pick(value[key], rest) for key, rest in below.items()}


def drop(value: Any, keys: Keys) -> None:
    """Leave out what lies at these names."""
    if isinstance(value, list):
        for item in value:
            drop(item, keys)
    elif isinstance(value, dict):
        if len(keys) == 1:
            value.pop(keys[0], None)
        elif keys[0] in value:
            drop(value[keys[0]], keys[1:])


def held(value: Any, keys: Keys) -> Iterator[str]:
    """The ids that stand at these names, in every item of lists on the way."""
    if isinstance(value, list):
        for item in value:
            yield from held(item, keys)
    elif keys:
        if isinstance(value, dict) and keys[0] in value:
            yield from held(value[keys[0]], keys[1:])
    elif isinstance(value, str):
        yield value


def replace(value: Any, keys: Keys, objects: Mapping[str, Any]) -> None:
    """Put the objects where their ids stand at these names; ``{"id": ...}`` where there is none."""
    if isinstance(value, list):
        for item in value:
            replace(item, keys, objects)
    elif isinstance(value, dict) and keys[0] in value:
        inner = value[keys[0]]
        if len(keys) > 1:
            replace(inner, keys[1:], objects)
        elif isinstance(inner, str):
            value[keys[0]] = objects.get(inner) or {"id": inner}
