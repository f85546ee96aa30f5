"""TOML as data and back: a lab's queues are the checkout's ``agents/queues.toml`` and what an inventory changes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def from_toml(text: str) -> dict[str, Any]:
    """What a TOML document says.

    Raises:
        AnsibleFilterError: it is none; the message says where.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AnsibleFilterError(f"not a TOML document: {error}") from error


def to_toml(document: Mapping[str, Any]) -> str:
    """A TOML document of tables, texts, numbers, truth values and lists of these. A value of None is left out.

    Raises:
        AnsibleFilterError: something in it has no form in TOML.
    """
    if not isinstance(document, Mapping):
        raise AnsibleFilterError(f"expected a mapping, got {type(document).__name__}")
    return "\n".join(_table(document, ())).lstrip("\n") + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {
        key: value for key, value in table.items() if not isinstance(value, Mapping) and value is not None
    }
    lines = ["", f"[{'.'.join(map(_key, path))}]"] if path and (plain or not table) else []
    lines += [f"{_key(key)} = {_value(value, (*path, key))}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _table(value, (*path, str(key)))
    return lines


def _key(key: Any) -> str:
    text = str(key)
    return text if _BARE.fullmatch(text) else _text(text)


def _text(text: str) -> str:
    """A basic string: JSON's form, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any, path: tuple[Any, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each, path) for each in value) + "]"
    raise AnsibleFilterError(f"{'.'.join(map(str, path))}: {type(value).__name__} has no form in TOML")


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Any]:
        """Filter name -> function."""
        return {"from_toml": from_toml, "to_toml": to_toml}
