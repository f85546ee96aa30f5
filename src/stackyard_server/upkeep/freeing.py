"""The files of deleted tasks and models go, some time after the delete.

The delete itself notes what is free (triggers of the tables ``task`` and ``model``). Clients that asked for the
addresses remove the files themselves, and are not to meet "not found": so files are looked at in one pass and
removed in a later one. A file that a model still names stays; one uploaded since stays.
"""

from __future__ import annotations

import logging

from ..files import stored as stored_files
from ..files.rights import PUBLISHED
from ..store import Store, Transaction, files, models
from ..store.documents import MODEL, TASK
from ..store.files import StoredFile

log = logging.getLogger(__name__)

#: Entries looked at in one pass.
AT_ONCE = 500


class Freeing:
    """Looks at what was freed; one for the server's life.

    Args:
        store: The database.
        addresses: The file server's public addresses, present and former.
    """

    def __init__(self, store: Store, addresses: tuple[str, ...]) -> None:
        self.store, self.addresses = store, addresses
        self._seen: set[tuple[str, int]] = set()

    def step(self) -> int:
        """Forget the files of what an earlier pass saw; how many. Their contents may go from then on."""
        with self.store.reading() as tx:
            waiting = files.freed(tx, AT_ONCE)
        due, self._seen = waiting & self._seen, waiting
        if not due:
            return 0
        with self.store.writing() as tx:
            # an id and an address may both lead to a file
            gone = list(dict.fromkeys(file for what, at in due for file in self._files(tx, what, at)))
            files.forget(tx, gone)
            files.forget_freed(tx, due)
        if gone:
            log.info("%d files of deleted tasks and models go", len(gone))
        return len(gone)

    def _files(self, tx: Transaction, what: str, at: int) -> list[StoredFile]:
        """The files that may go with an id or an address."""
        if "://" not in what:
            if TASK.exists(tx, what) or MODEL.exists(tx, what):
                return []
            return [f for f in files.of_owner(tx, what) if not named_by_model(tx, f, self.addresses)]
        key = stored_files.key_of_url(what, self.addresses)
        file = files.find(tx, key) if key else None
        if file is None or file.created >= at or named_by_model(tx, file, self.addresses):
            return []
        if file.owner and TASK.field(tx, file.owner, "status") in PUBLISHED:
            return []
        return [file]


def named_by_model(tx: Transaction, file: StoredFile, addresses: tuple[str, ...]) -> bool:
    """Whether a model's URI names a file."""
    return any(
        models.is_named(tx, uri)
        for address in addresses
        for uri in stored_files.spellings(address, file.path)
    )
