"""TOML that people write, each value checked where it is taken: a mistake is one sentence.

The sentence names the file, the key with its tables, what stands there and what is expected, and the nearest name where
one is near. Every TOML file of our side is read through here, so the same mistake reads the same everywhere. Knows no
file's content. May import errors and the seam's reading of files.
"""

from __future__ import annotations

import codecs
import datetime
import difflib
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard_task.records import opened

#: Levels of lists and tables in a value of free shape: a task's file carries 64, some of them its own.
NESTING = 56
#: A file is read whole.
MOST_BYTES = 256 << 10
#: Levels of tables and lists in a whole document, and bits of a whole number: as many as a float can be asked to hold.
MOST_LEVELS, MOST_BITS = 100, 1023
#: Of each part of a sentence: a refused value may be as long as its file.
_MOST_SAID = 400
#: Which GPUs a run sees; every deployment sets it, over all else.
GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"
#: Joined with the code's folder in a run.
PATH_VARIABLE = "PYTHONPATH"
#: What the harness tells its own processes; and what decides which code a run's Python executes.
_OURS_BEGIN = "STACKYARD_"
_OURS = {"PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
#: A key with more dots than a document may have levels: time and memory to read one grow with their square.
_LONG_KEY = re.compile(
    rf"""(?<![\w"'.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MOST_LEVELS}}}"""
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Bounds of numbers above 0: seconds, cores, factors.
LEAST, MOST = 1e-30, 1e15
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]i?)?B\s*")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def parse(text: str, file: str) -> dict[str, Any]:
    """The document that ``text`` is.

    Raises:
        BadInputError: it is not TOML.
    """
    if _LONG_KEY.search(text):
        raise BadInputError(f"{file}: not TOML that can be read: a key has more than {MOST_LEVELS} parts")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"{file}: not TOML: {error}; mend that place") from error
    except RecursionError as error:
        raise BadInputError(f"{file}: not TOML that can be read: nested too deeply") from error
    except ValueError as error:  # Python's bound on a number's digits
        raise BadInputError(f"{file}: not TOML that can be read: a number has too many digits") from error
    _check_bounds(document, file)
    return document


def read(path: Path) -> dict[str, Any]:
    """The document in a file.

    Raises:
        BadInputError: there is none that can be read, it is too long, not UTF-8, or not TOML.
    """
    return parse(text_of(path), str(path))


def text_of(path: Path, name: str = "", most_bytes: int = MOST_BYTES, *, marked: bool = False) -> str:
    """The text of a file that people write.

    Args:
        path: the file.
        name: what to give instead where it cannot be read, in words; empty: no such hint.
        most_bytes: what is longer is refused.
        marked: UTF-16 is read too where its first bytes say so, as PowerShell's ``>`` writes it.

    Raises:
        BadInputError: there is none that can be read, it is no regular file, too long, or not UTF-8.
    """
    try:
        with opened(path) as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise BadInputError(f"{path}: is longer than {most_bytes >> 10} KiB")
        utf_16 = marked and content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path}: not a UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        hint = f"; {name}" if name else ""
        raise BadInputError(f"{path}: cannot be read ({error.strerror}){hint}") from error


def _check_bounds(document: dict[str, Any], file: str) -> None:
    """Refuse what can be written in TOML and then neither shown nor carried: endless numbers, endless nesting.

    Raises:
        BadInputError: it holds one.
    """
    left: list[tuple[Any, int]] = [(document, 1)]
    while left:
        value, level = left.pop()
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise BadInputError(f"{file}: not TOML that can be read: a number has too many digits")
        if isinstance(value, dict | list):
            if level > MOST_LEVELS:
                raise BadInputError(f"{file}: not TOML that can be read: nested too deeply")
            left += [(inner, level + 1) for inner in (value.values() if isinstance(value, dict) else value)]


def _said(text: str) -> str:
    """A part of a sentence, short and without what a terminal would act on."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: _MOST_SAID + 1])
    return shown if len(shown) <= _MOST_SAID else shown[: _MOST_SAID - 4] + " ..."


class Fields:
    """A parsed document, and ways to take checked values out of it; ``where`` is the table's dotted name."""

    def __init__(self, file: str, document: dict[str, Any]) -> None:
        self.file = file
        self.document = document

    def bad(self, key: str, seen: str, allowed: str) -> BadInputError:
        """The refusal of a value."""
        return BadInputError(f"{self.file}: {_said(key)} {_said(seen)}, expected {_said(allowed)}")

    def one_of(self, seen: Any, allowed: Iterable[str], what: str = "one of") -> str:
        """What is allowed, in words, with the nearest name where one is near."""
        names = list(allowed)
        near = difflib.get_close_matches(str(seen), names, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        if not names:
            return "none: the file defines none" if what != "one of" else "nothing: there is none"
        return f"{what} {', '.join(names)}" + hint

    def keys(self, table: Mapping[str, Any], where: str, allowed: Collection[str], what: str = "key") -> None:
        """Refuse a table with a key that is not allowed."""
        for key in table:
            if key not in allowed:
                raise self.bad(_full(where, key), f"is an unknown {what}", self.one_of(key, allowed))

    def table(self, key: str) -> dict[str, Any]:
        """A table of the document; empty where absent."""
        value = self.document.get(key, {})
        if not isinstance(value, dict):
            raise self.bad(key, f"is {value!r}", f"a table [{key}]")
        return value

    def tables(self, key: str) -> dict[str, dict[str, Any]]:
        """A table of named tables, names checked."""
        found = self.table(key)
        for name, inner in found.items():
            self.name(name, f"{key}.{name}")
            if not isinstance(inner, dict):
                raise self.bad(f"{key}.{name}", f"is {inner!r}", f"a table [{key}.{name}]")
        return found

    def inner(self, table: Mapping[str, Any], where: str, key: str) -> dict[str, Any]:
        """A table inside a table; empty where absent."""
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.bad(_full(where, key), f"is {value!r}", "a table")
        return value

    def name(self, value: str, key: str) -> str:
        """A name that may stand in a folder's name."""
        if not _NAME.fullmatch(value):
            raise self.bad(key, f"is {value!r}", "a name of ASCII letters, digits and . _ + - (60 at most)")
        return value

    def tables_in(self, key: str) -> list[dict[str, Any]]:
        """A list of tables [[key]]."""
        value = self.document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.bad(key, f"is {value!r}", f"tables [[{key}]]")
        return value

    def text(
        self,
        table: Mapping[str, Any],
        where: str,
        key: str,
        default: str | None = None,
        like: str = "",
        expected: str = "a text",
    ) -> str:
        """A text that is not empty, and matches the pattern ``like`` where one is given."""
        full = _full(where, key)
        if key not in table and default is not None:
            return default
        if key not in table:
            raise self.bad(full, "is missing", expected)
        value = table[key]
        if not isinstance(value, str) or not value.strip() or (like and not re.fullmatch(like, value)):
            raise self.bad(full, f"is {value!r}", expected)
        return value

    def texts(
        self,
        table: Mapping[str, Any],
        where: str,
        key: str,
        like: str = "",
        expected: str = "a list of texts",
    ) -> tuple[str, ...] | None:
        """A list of texts that each match the pattern ``like``, where one is given; ``None`` where absent."""
        value = table.get(key)
        if value is None:
            return None
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not texts or (like and not all(re.fullmatch(like, item) for item in value)):
            raise self.bad(_full(where, key), f"is {value!r}", expected)
        return tuple(value)

    def whole(
        self,
        table: Mapping[str, Any],
        where: str,
        key: str,
        default: int,
        low: int | None = None,
        high: int | None = None,
    ) -> int:
        """A whole number within bounds, and of 64 bits at most, as TOML has it."""
        value = table.get(key, default)
        fits = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64
        if not fits or (low is not None and value < low) or (high is not None and value > high):
            bounds = "" if low is None else f" from {low}" + ("" if high is None else f" to {high}")
            raise self.bad(_full(where, key), f"is {value!r}", f"a whole number{bounds}")
        return value

    def flag(self, table: Mapping[str, Any], where: str, key: str, default: bool) -> bool:
        """True or false."""
        value = table.get(key, default)
        if not isinstance(value, bool):
            raise self.bad(_full(where, key), f"is {value!r}", "true or false")
        return value

    def share(self, table: Mapping[str, Any], where: str, key: str, default: float) -> float:
        """A number from 0 to 1."""
        value = table.get(key, default)
        if not _is_number(value) or not 0 <= value <= 1:
            raise self.bad(_full(where, key), f"is {value!r}", "a number from 0 to 1")
        return float(value)

    def positive(self, table: Mapping[str, Any], where: str, key: str, default: float | None) -> float | None:
        """A number above 0, of a size that something measured can have."""
        if key not in table:
            return default
        value = table[key]
        if not _is_number(value) or not 0 < value <= sys.float_info.max:
            raise self.bad(_full(where, key), f"is {value!r}", "a number above 0")
        if not LEAST <= value <= MOST:
            raise self.bad(_full(where, key), f"is {value!r}", f"a number from {LEAST:g} to {MOST:g}")
        return float(value)

    def size(self, value: Any, key: str) -> int:
        """Bytes of "2 GB", "512 MiB" or a plain number of bytes; GB = 10^9, GiB = 2^30."""
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        found = 0.0
        if match:
            unit = match.group(2) or ""
            found = (
                float(match.group(1)) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.rstrip("i")]
            )
        elif isinstance(value, int) and not isinstance(value, bool):
            found = value
        if not 0 < found < 2**63:
            raise self.bad(key, f"is {value!r}", 'a size above 0 such as "2 GB" or "512 MiB"')
        return int(found)

    def free(self, value: Any, key: str, level: int = 0) -> None:
        """Refuse what JSON does not hold in a value whose shape is free: a task carries it as JSON."""
        if level > NESTING:
            raise self.bad(key, "is nested too deeply", f"at most {NESTING} levels")
        if isinstance(value, Mapping):
            for name, item in value.items():
                self.free(item, _full(key, name), level + 1)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                self.free(item, f"{key}[{index}]", level + 1)
        elif isinstance(value, (datetime.date, datetime.time)):
            raise self.bad(key, f"is {_moment(value)}", f'a text such as "{value.isoformat()}"')
        elif _is_number(value) and not (abs(value) <= sys.float_info.max):
            seen = f"{value}" if isinstance(value, float) else "a number of too many digits"
            raise self.bad(key, f"is {seen}", "a finite number")

    def environment(
        self, table: Mapping[str, Any], where: str, decimals: bool = True, relative: bool = False
    ) -> dict[str, str]:
        """Variables of a run, their values as text; numbers with a fraction only where ``decimals`` says so.

        Those that the harness decides itself are refused: which GPUs a run sees, and which code it executes. Folders
        of ``PYTHONPATH`` are absolute, but where ``relative`` says that the working folder is the user's own.
        """
        found: dict[str, str] = {}
        for key, value in table.items():
            if not _VARIABLE.fullmatch(key):
                raise self.bad(f"{where}.{key}", "is not a variable's name", "letters, digits and _")
            if isinstance(value, bool) or not isinstance(
                value, (str, int, float) if decimals else (str, int)
            ):
                number = "number" if decimals else "whole number"
                raise self.bad(f"{where}.{key}", f"is {value!r}", f"a text or {number}")
            if "\0" in str(value):
                raise self.bad(f"{where}.{key}", f"is {value!r}", "a text without the character NUL")
            if key == GPUS_VARIABLE:
                said = "nothing: `gpus` of [hardware.NAME] says how many GPUs a run sees"
                raise self.bad(f"{where}.{key}", f"is {value!r}", said)
            if key.startswith(_OURS_BEGIN) or key in _OURS:
                raise self.bad(f"{where}.{key}", f"is {value!r}", "nothing: the harness sets it for each run")
            found[key] = str(value)
        for entry in () if relative else found.get(PATH_VARIABLE, "").split(":"):
            if entry and not entry.startswith("/"):
                said = "absolute folders: a run has a working folder of its own"
                raise self.bad(f"{where}.{PATH_VARIABLE}", f"holds {entry!r}", said)
        return found


def _full(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _moment(value: datetime.date | datetime.time) -> str:
    if isinstance(value, datetime.datetime):
        return "a date with a time"
    return "a date" if isinstance(value, datetime.date) else "a time"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
