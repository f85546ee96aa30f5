"""The lists every service answers: ``get_all``, ``get_all_ex``, ``get_by_id_ex``. The noun their endpoints share.

From a call's fields to a page of documents in ClearML's form: which documents (``filters`` reads what is asked for,
``store.query`` finds it), which part of the list (pages, or a scroll), what of each (``projection``). Statistics and
other additions are their services' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..calls import Call
from ..calls.kept import Kept
from ..protocol.error_table import error
from ..store.condition import Condition
from ..store.documents import Collection, Document, new_id
from ..store.query import Query
from .filters import asked, keys_of, wrong_type
from .projection import Projection, Virtual, pick, referenced

#: No answer holds more documents.
MOST = 500
#: How long a scroll is remembered after its last use, milliseconds, and how many at once.
SCROLL_LIFE_MS = 600_000
MOST_SCROLLS = 2000


class Places(Kept[str, tuple[str, int]]):
    """How far readers of lists have come, and whose each scroll is."""

    def __init__(self) -> None:
        super().__init__(MOST_SCROLLS)

    def position(self, id: str | None, user: str, now: int) -> int | None:
        """Where that scroll of that user stands; None when it is not known (any more)."""
        owner, position = self.get(id or "", now) or (None, 0)
        return position if owner == user else None

    def move(self, id: str, user: str, position: int, now: int) -> None:
        """Remember where a scroll stands now."""
        self.put(id, (user, position), user, 0, now + SCROLL_LIFE_MS, now)


def places_of(call: Call) -> Places:
    """How far the readers of this server's lists have come."""
    found: Places = call.services.memory.setdefault("places", Places())
    return found


def get_all(
    call: Call,
    collection: Collection,
    *,
    also: Sequence[Condition] = (),
    virtual: Mapping[str, Virtual] | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The data of ``<service>.get_all``: ``{"tasks": [...]}``.

    Args:
        call: The request.
        collection: What is listed.
        also: What must hold besides.
        virtual: Fields that are put together elsewhere, by name (a queue's entries).
        data: The fields to go by instead of the call's.

    Raises:
        ApiError: 400/12 paging or values of a wrong type; 400/14 unknown fields.
        BadPattern: A text is asked for by a pattern that is none.
    """
    return _list(call, collection, False, also, virtual, data)


def get_all_ex(
    call: Call,
    collection: Collection,
    *,
    also: Sequence[Condition] = (),
    virtual: Mapping[str, Virtual] | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The data of ``<service>.get_all_ex``: as ``get_all``, with references as objects, ids always, and scrolls.

    Raises:
        ApiError: As ``get_all``.
    """
    return _list(call, collection, True, also, virtual, data)


def get_by_id_ex(
    call: Call, collection: Collection, *, virtual: Mapping[str, Virtual] | None = None
) -> dict[str, Any]:
    """The data of ``<service>.get_by_id_ex``: the documents of these ids, hidden or not.

    Raises:
        ApiError: As ``get_all``.
    """
    ids = call.get("id")
    ids = ids if isinstance(ids, list) else [ids]
    projection = Projection(collection, call.get("only_fields"), joined=True, virtual=virtual)
    found = collection.get_many(call.tx, [i for i in ids if isinstance(i, str)], projection.columns)
    return {f"{collection.name}s": projection.documents(call.tx, found)}


def every(
    call: Call, collection: Collection, data: Mapping[str, Any], most: int, only_fields: Sequence[str]
) -> Iterator[Document]:
    """All that ``get_all_ex`` finds, page by page, up to ``most`` documents.

    Raises:
        ApiError: As ``get_all``.
    """
    projection = Projection(collection, only_fields, joined=True)
    wanted = asked(collection, data, referenced(collection))
    numbers = wanted.numbers(call.tx, most)
    for start in range(0, len(numbers), MOST):
        page = numbers[start : start + MOST]
        yield from projection.documents(call.tx, wanted.fetch(call.tx, page, projection.columns))
        if call.tx.reading is not None:  # that page was passed on
            call.tx.reading.give_back()


def count(
    call: Call,
    collection: Collection,
    data: Mapping[str, Any],
    also: Sequence[Condition] = (),
) -> int:
    """How many documents a request's filters find.

    Raises:
        ApiError: As ``get_all``.
    """
    return asked(collection, {**data, "order_by": None}, {}, also).count(call.tx)


def texts_of(call: Call, collection: Collection, name: str, data: Mapping[str, Any]) -> set[str]:
    """Every text that a list field (tags) of the documents found holds, hidden ones included."""
    wanted = asked(collection, {**data, "search_hidden": True, "order_by": None}, {})
    return wanted.texts(call.tx, name)


def rendered(
    call: Call,
    collection: Collection,
    document: Document,
    only_fields: Any = None,
    *,
    joined: bool = False,
    virtual: Mapping[str, Virtual] | None = None,
) -> Document:
    """One stored document in ClearML's form, with what is put together elsewhere.

    Args:
        call: The request.
        collection: Whose document it is.
        document: As ``Collection.get`` gives it.
        only_fields: The names asked for; None: everything.
        joined: References as objects.
        virtual: Fields that are put together elsewhere, by name.

    Raises:
        ApiError: 400/14.
    """
    projection = Projection(collection, only_fields, joined=joined, virtual=virtual)
    return projection.documents(call.tx, [document])[0]


def projected(document: Document, only_fields: Any) -> Document:
    """The named parts (dotted paths) of a document that is in ClearML's form already; all of it where none is named."""
    names = [n for n in only_fields or () if isinstance(n, str)]
    if not names or "*" in names:
        return document
    found: Document = pick(document, [keys_of(n) for n in names])
    return found


def _list(
    call: Call,
    collection: Collection,
    joined: bool,
    also: Sequence[Condition],
    virtual: Mapping[str, Virtual] | None,
    data: Mapping[str, Any] | None,
) -> dict[str, Any]:
    data = call.data if data is None else data
    projection = Projection(collection, data.get("only_fields"), joined=joined, virtual=virtual)
    references = referenced(collection) if joined else {}
    wanted = asked(collection, data, references, also)
    name = f"{collection.name}s"
    if "scroll_id" in data and data.get("size") is not None:
        return _scrolled(call, wanted, projection, data, name)
    limit, offset = _page(data)
    return {name: _read(call, wanted, projection, limit, offset)}


def _read(call: Call, wanted: Query, projection: Projection, limit: int, offset: int) -> list[Document]:
    numbers = wanted.numbers(call.tx, limit, offset)
    return (
        projection.documents(call.tx, wanted.fetch(call.tx, numbers, projection.columns)) if numbers else []
    )


def _scrolled(
    call: Call, wanted: Query, projection: Projection, data: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The next part of a list; with ``refresh_scroll`` all that was read of it so far, again."""
    size = min(_whole(data, "size", 1, MOST), MOST)
    places = places_of(call)
    id = data.get("scroll_id")
    if id is not None and not isinstance(id, str):
        raise wrong_type("scroll_id", id, "str")
    position = places.position(id, call.who.user, call.now)
    if id is None or position is None:
        id, position = new_id(), 0
    limit = size
    if data.get("refresh_scroll"):
        limit, position = min(max(size, position), MOST), 0
    documents = _read(call, wanted, projection, limit, position)
    places.move(id, call.who.user, position + len(documents), call.now)
    return {name: documents, "scroll_id": id}


def _page(data: Mapping[str, Any]) -> tuple[int, int]:
    size = min(_whole(data, "page_size", 1, MOST), MOST)
    return size, _whole(data, "page", 0, 0) * size


def _whole(data: Mapping[str, Any], name: str, least: int, default: int) -> int:
    """A whole number of the request.

    Raises:
        ApiError: 400/12.
    """
    value = data.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, value, "int")
    if value < least:
        raise error("validation", f"{name} must be >={least}", field=name)
    return min(value, 2**40)
