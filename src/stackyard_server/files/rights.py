"""Who may replace or remove a stored file.

- What is published stays as it is for everyone: a file in the folder of a published task or model, or one that a
  published model's URI names.
- A file in the folder of a task or model (its id is in the path) may be replaced and removed by whoever may write:
  as the document itself. That holds too when the document is deleted.
- A file outside of such a folder: by whoever uploaded it, or an administrator.
- A whole folder: when its own path holds the id, or when each file below may be removed and the caller uploaded it.

Imports the store, ``stored_files`` and identity's roles.
"""

from __future__ import annotations

from ..identity import Identity
from ..store import Transaction, models
from ..store.documents import MODEL, TASK
from ..store.files import StoredFile
from .stored import key_of_url, owner_of, spellings

PUBLISHED = ("publishing", "published")


def published(tx: Transaction, file: StoredFile, addresses: tuple[str, ...] = ()) -> bool:
    """Whether a published task or model holds the file.

    Args:
        tx: Where to look.
        file: The file.
        addresses: The file server's public addresses, present and former, for models that name it by URI.
    """
    if file.owner:
        if TASK.field(tx, file.owner, "status") in PUBLISHED:
            return True
        if MODEL.field(tx, file.owner, "ready"):
            return True
        named = models.published_addresses(tx, file.owner)
        if any(key_of_url(url, addresses) == file.path for url in named):
            return True
    for address in addresses:
        for uri in spellings(address, file.path):
            if models.is_named(tx, uri, published=True):
                return True
    return False


def may_change(
    tx: Transaction, who: Identity, file: StoredFile, addresses: tuple[str, ...] = ()
) -> str | None:
    """Why the caller may not replace or remove a file; None when they may."""
    if published(tx, file, addresses):
        return "it belongs to a published task or model"
    if file.owner or file.user == who.user or who.role == "admin":
        return None
    return "another user uploaded it"


def may_remove_folder(
    tx: Transaction, who: Identity, key: str, files: list[StoredFile], addresses: tuple[str, ...] = ()
) -> str | None:
    """Why the caller may not remove a folder and all below; None when they may."""
    whole = who.role == "admin" or owner_of(f"{key}/") is not None
    for file in files:
        if not whole and file.user != who.user:
            return "it holds files of others"
        refused = may_change(tx, who, file, addresses)
        if refused:
            return refused
    return None
