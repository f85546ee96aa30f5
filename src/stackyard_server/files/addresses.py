"""The file server's public address, present and former: stored URLs stay valid when the host name changes.

ClearML's clients keep absolute URLs in documents and events. They are stored as they came; answers are rewritten
while they are encoded: where a former address stands, the present one is put. A server whose address never changed
has no former ones and nothing to do. The URI of a model can be asked for, so that one is moved in the table when
the address changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from ..settings import ServerSettings
from ..store import Transaction, meta, models

#: The key in ``store.meta``: a JSON list, oldest first.
META = "files_urls"
#: Former addresses that are kept.
KEPT = 32

Rewrite = Callable[[bytes], bytes]


def settle(tx: Transaction, present: str, settings: ServerSettings) -> tuple[str, ...]:
    """The former addresses, once the present one is noted.

    Args:
        tx: A writing transaction.
        present: The public address now, without a slash at its end.
        settings: May name former ones that this folder never saw.
    """
    noted: list[str] = orjson.loads(meta.get(tx, META) or "[]")
    named = [url.rstrip("/") for url in settings.former_files_urls]
    known = list(dict.fromkeys([*noted, *named, present]))
    known = [*[url for url in known if url != present][-KEPT:], present]
    if known != noted:
        meta.put(tx, META, orjson.dumps(known).decode())
    former = tuple(known[:-1])
    for url in former:
        models.move_addresses(tx, url, present)
    return former


def rewriter(present: str, former: tuple[str, ...]) -> Rewrite | None:
    """What puts the present address where a former one stands; None when there is none."""
    if not former:
        return None
    new = f"{present}/".encode()
    if len(former) == 1:
        old = f"{former[0]}/".encode()
        return lambda body: body.replace(old, new)
    longest_first = sorted(former, key=len, reverse=True)
    pattern = re.compile(b"(?:" + b"|".join(re.escape(url.encode()) for url in longest_first) + b")/")
    return lambda body: pattern.sub(lambda _: new, body)
