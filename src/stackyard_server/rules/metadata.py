"""Metadata of models and queues as it is kept: entries of key, type and value, by key. Pure."""

from __future__ import annotations

from typing import Any

from ..protocol.error_table import field_error

NAMES = ("key", "type", "value")


def read(value: Any) -> dict[str, dict[str, str]]:
    """Metadata by key, from a list of entries or from an object of them.

    Raises:
        ApiError: 400/12.
    """
    if value is None:
        return {}
    if not isinstance(value, list | dict):
        raise field_error("metadata", f": ('value is wrong, expected type \"dict\"', {value!r}).")
    entries = value if isinstance(value, list) else [
        {"key": key, **entry} if isinstance(entry, dict) else entry for key, entry in value.items()
    ]  # fmt: skip
    kept = {}
    for entry in entries:
        if not isinstance(entry, dict) or any(
            not isinstance(v, str) for v in entry.values() if v is not None
        ):
            raise field_error("metadata", f": ('value is wrong, expected type \"str\"', {entry!r}).")
        if not entry.get("key"):
            raise field_error("metadata", ": error for field 'key': field is required!.")
        kept[entry["key"]] = {name: entry[name] for name in NAMES if entry.get(name) is not None}
    return kept
