"""Fields of a request that nobody here knows: refused where the call takes something away, else noted once.

A client of a later API may narrow what is deleted by a field that this server has never heard of. To ignore such a
field is to delete more than was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from ..protocol import fields
from ..protocol.error_table import error
from ..store.documents import COLLECTIONS
from . import Call
from .endpoint import Endpoint

log = logging.getLogger(__name__)

#: What an operator may say about unknown fields of destructive calls (``settings.unknown_fields``).
REFUSE, LOG = "refuse", "log"
#: So many names are remembered as noted; more are not noted any more.
MOST_NOTED = 1000
#: A name is shown up to this length, and so many of one request.
LONGEST_SHOWN, MOST_SHOWN = 100, 20


def check(entry: Endpoint, call: Call) -> None:
    """Refuse or note the fields of a call that are unknown.

    Raises:
        ApiError: 400/13 the call is destructive.
    """
    names = of(entry, call.data, call.lines) if call.unknown is None else call.unknown
    if not names:
        return
    shown = [name[:LONGEST_SHOWN] for name in names[:MOST_SHOWN]]
    settings = call.services.settings
    if entry.destructive and (settings is None or settings.unknown_fields == REFUSE):
        why = "unknown to this server, and the call takes something away: nothing was done"
        raise error("fields_not_allowed", why, fields=shown)
    note(entry.name, shown, call.services.memory.setdefault("unknown fields", set()))


def of(entry: Endpoint, data: dict[str, Any], lines: Iterable[dict[str, Any]] = ()) -> list[str]:
    """The unknown fields of a request; of a batch, those of all its lines."""
    deep = entry.destructive
    if fields.takes_any(entry.name):
        return []
    if entry.batch:
        return list(dict.fromkeys(name for line in lines for name in fields.unknown(entry.name, line, deep)))
    found = fields.unknown(entry.name, data, deep)
    if found and entry.lists is not None:
        # a collection, or the request's field that names one: of any type, and refused later where it is none
        collection = COLLECTIONS.get(entry.lists) or COLLECTIONS.get(str(data.get(entry.lists)))
        if collection is None:
            return found
        shown = {*collection.fields, *collection.virtual} - collection.private
        found = [name for name in found if name.partition(".")[0] not in shown]
    return found


def note(endpoint: str, names: Iterable[str], noted: set[tuple[str, str]]) -> None:
    """Name these fields in the log, unless they were named before."""
    new = [name for name in names if (endpoint, name) not in noted]
    if new and len(noted) < MOST_NOTED:
        noted.update((endpoint, name) for name in new)
        log.warning(
            "%s: fields that this server does not know are ignored: %s", endpoint, ", ".join(map(repr, new))
        )
