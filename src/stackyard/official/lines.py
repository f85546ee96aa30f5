"""The lines of a bundle's files, each looked at before anybody uses it: a bundle is somebody's file.

A line is one JSON object that can be kept and shown again: not too deep, whole numbers of 64 bits, texts that are text.
What a line has of the fields that decide paths, or that are looked into, is of the kind they have in the API. The
messages name file, line and field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard.official.archives import open_regular

#: A document of the largest kind, written with escapes, and its series.
MOST_BYTES = 256 * 1024 * 1024
#: What a server takes of nesting.
MOST_DEPTH = 100
WIDEST = 2**63
#: What an id may be: it becomes the name of a file.
ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: The name of a file's content in a bundle, and what it is known by.
CONTENT, SHA256 = re.compile(r"[0-9]{1,20}"), re.compile(r"[0-9a-f]{64}")
#: Names of other documents: an id, or an object with one.
REFERENCES = ("user", "project", "parent", "task")
#: Fields of all kinds that are texts, and lists of texts.
TEXTS = (
    "name",
    "description",
    "comment",
    "type",
    "status",
    "status_reason",
    "status_message",
    "uri",
    "framework",
)
LISTS = ("tags", "system_tags")
OBJECTS = {
    "tasks": (
        "script",
        "hyperparams",
        "configuration",
        "container",
        "execution",
        "runtime",
        "output",
        "models",
    ),
    "models": ("design", "labels"),
}


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file, each with its place: file and line.

    Raises:
        BadInputError: The file is no regular one, or a line is no object that can be kept.
    """
    try:
        with open_regular(path) as file:
            number = 0
            while line := file.readline(MOST_BYTES + 1):
                number += 1
                place = f"{path}: line {number}"
                if len(line) > MOST_BYTES:
                    raise BadInputError(f"{place} has more than {MOST_BYTES} bytes")
                yield place, _object(place, line)
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read as JSON lines ({error})") from error


def _object(place: str, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))  # a server's events may hold NaN
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{place} cannot be read as JSON lines ({error})") from error
    except RecursionError as error:
        raise BadInputError(f"{place} cannot be read as JSON lines (nested too deeply)") from error
    except ValueError as error:  # Python's bound on a number's digits
        raise BadInputError(f"{place} cannot be read as JSON lines (a number has too many digits)") from error
    if not isinstance(value, dict):
        raise BadInputError(f"{place} cannot be read as JSON lines ({line[:60]!r} is no object)")
    for name, inner in value.items():
        if not _is_text(name):
            raise BadInputError(f"{place}: {name!r} is no text")
        if fault := _fault(inner):
            raise BadInputError(f"{place}: {name} {fault}")
    return value


def _fault(value: Any) -> str | None:
    """Why a value cannot be kept; level by level, for it may be deep."""
    level = [value]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for inner in level:
            if isinstance(inner, str):
                if not _is_text(inner):
                    return f"holds {inner[:60]!r}, which is no text"
            elif isinstance(inner, dict):
                below += inner
                below += inner.values()
            elif isinstance(inner, list):
                below += inner
            elif isinstance(inner, int) and not -WIDEST <= inner < WIDEST:
                return "holds a whole number of more than 64 bits"
        if not below:
            return None
        level = below
    return f"is nested deeper than {MOST_DEPTH} levels"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True


def check_document(place: str, kind: str, document: dict[str, Any]) -> None:
    """Look at the fields of a document that an import looks into.

    Raises:
        BadInputError: One is not of its kind.
    """
    id = document.get("id")
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise BadInputError(f"{place}: id is {_short(id)}; expected 1 to 64 letters, digits, - or _")
    if not document.get("name"):
        raise BadInputError(f"{place}: name is missing")
    for name in REFERENCES:
        value = document.get(name)
        if isinstance(value, dict):
            value = value.get("id")
        if value is not None and not isinstance(value, str):
            raise BadInputError(f"{place}: {name} is {_short(value)}; expected an id")
    for name in TEXTS:
        _expect(place, name, document.get(name), str, "text")
    for name in LISTS:
        for item in _expect(place, name, document.get(name), list, "a list of texts") or ():
            _expect(place, name, item, str, "a list of texts")
    for name in OBJECTS.get(kind, ()):
        _expect(place, name, document.get(name), dict, "an object")
    if kind == "tasks":
        _check_parts(place, document)


def _check_parts(place: str, task: dict[str, Any]) -> None:
    for side, entries in (task.get("models") or {}).items():
        for entry in _expect(place, f"models.{side}", entries, list, "a list of objects") or ():
            _expect(
                place, f"models.{side}", entry if entry is not None else "null", dict, "a list of objects"
            )
            _expect(place, f"models.{side}", _id_of(entry.get("model")), str, "models by their ids")
    artifacts = (task.get("execution") or {}).get("artifacts")
    for artifact in _expect(place, "execution.artifacts", artifacts, list, "a list of objects") or ():
        _expect(
            place,
            "execution.artifacts",
            artifact if artifact is not None else "null",
            dict,
            "a list of objects",
        )
    _expect(place, "output.destination", (task.get("output") or {}).get("destination"), str, "text")


def _id_of(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


def check_file(place: str, entry: dict[str, Any]) -> None:
    """Look at what is said of an uploaded file.

    Raises:
        BadInputError: A field is not of its kind; ``name`` decides what is read.
    """
    for name, form, expected in (
        ("name", CONTENT, "the digits of a file's name"),
        ("sha256", SHA256, "64 hexadecimal digits"),
        ("path", re.compile(r".+", re.DOTALL), "a path"),
    ):
        value = entry.get(name)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise BadInputError(f"{place}: {name} is {_short(value)}; expected {expected}")


def _expect(place: str, name: str, value: Any, kind: type, expected: str) -> Any:
    if value is not None and not isinstance(value, kind):
        raise BadInputError(f"{place}: {name} is {_short(value)}; expected {expected}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
