"""The files that removed tasks and models leave: which of them an answer names, and which the server frees.

Clients delete every address they are told. So an answer names what the removed one put out, and nothing that another
task or model still needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from ..files import stored
from ..store import Transaction, files, models
from ..store.documents import MODEL, TASK, Document

#: Where the SDK says a model will be before its file is uploaded: no file.
PLACEHOLDER = "file:///uploading_file"


def of_task(document: Mapping[str, Any]) -> list[str]:
    """The files a task put out: those of its artifacts, in their order, but for what it only took as input."""
    held = (document.get("execution") or {}).get("artifacts") or []
    uris = (a.get("uri") for a in held if a.get("mode") != "input")
    return list(dict.fromkeys(uri for uri in uris if isinstance(uri, str) and uri))


def of_model(document: Mapping[str, Any]) -> list[str]:
    """The file of a model, if it has one."""
    uri = document.get("uri")
    return [uri] if uri and uri != PLACEHOLDER else []


def owner_of(url: str) -> str | None:
    """The task or model in whose folder of the file server an address lies; None for any other address."""
    try:
        key = stored.key_of(unquote(urlsplit(url).path))
    except ValueError:
        return None
    return stored.owner_of(key) if key else None


def unneeded(tx: Transaction, urls: Iterable[str], removed: Collection[str]) -> list[str]:
    """The addresses among these that nobody needs but what was removed.

    Args:
        tx: Where to look; the removed documents are gone from it, or are named.
        urls: The addresses, of any server.
        removed: The ids of what was removed or reset.
    """
    return [url for url in dict.fromkeys(urls) if not _is_needed(tx, url, removed)]


def _is_needed(tx: Transaction, url: str, removed: Collection[str]) -> bool:
    owner = owner_of(url)
    if owner is not None and owner not in removed and (TASK.exists(tx, owner) or MODEL.exists(tx, owner)):
        return True
    return models.is_named(tx, url)


def answered(
    tx: Transaction, removed: Collection[str], *, events: list[str], task: Document, models: Iterable[str]
) -> Document:
    """What an answer names of a task that was removed or reset, by kind."""
    named = {
        "event_urls": events,
        "artifact_urls": of_task(task),
        "model_urls": [uri for uri in models if uri and uri != PLACEHOLDER],
    }
    return {kind: unneeded(tx, urls, removed) for kind, urls in named.items()}


def free(tx: Transaction, id: str, urls: Iterable[str], now: int) -> None:
    """Note the files among these addresses that lie in the task's own folder; the others may be somebody else's."""
    files.free(tx, [url for url in urls if owner_of(url) == id], now)
