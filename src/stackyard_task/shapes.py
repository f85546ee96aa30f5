"""JSON from outside as the shape that its reader expects, or one sentence that says what is wrong with it.

Files, artifacts and configuration objects come from other processes, machines and versions, and people edit them. Every
value is checked against the annotation of its field, down to the leaves: who holds a shape needs no doubt. Also the
other way: a shape written whole or not at all. Knows no shape itself. Standard library only.

What is refused besides a wrong type: a number that is not finite, text that is no Unicode (half of a surrogate pair),
``true`` where a number belongs, more than NESTING levels, a file of more than FILE_BYTES or too many values for its
bound, and what is no regular file: a FIFO would be waited for, a device never ends.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import errno
import functools
import json
import os
import stat
import sys
import tempfile
import types
import typing
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Tuple, Type, TypeVar

#: Greatest JSON file that is read. A record has some kilobytes; a timeline of 1200 points and 64 GPUs has 2.5 MB.
FILE_BYTES = 8 << 20
#: The same for a list, such as the files of a data set or the runs of a plan: 100,000 of them fit.
LIST_BYTES = 32 << 20
#: A file may hold one value for so many bytes of its bound: an empty object is two bytes to read and 300 to hold.
_BYTES_PER_VALUE = 16
#: Levels of lists and objects in a value whose shape is free.
NESTING = 64
#: A whole number of a shape has at most this many bits beside its sign.
_WHOLE_BITS = 63
_SEEN_LENGTH = 60

T = TypeVar("T")
Check = Callable[[Any], Any]


class RecordError(ValueError):
    """A value is not what its reader expects: the message names the file, the key and what was seen."""


class _Wrong(Exception):
    """A value that is refused; ``path`` grows from the leaf up."""

    def __init__(self, said: str, expected: str = "") -> None:
        super().__init__(said)
        self.said, self.expected = said, expected
        self.path: List[str] = []

    def sentence(self, where: str) -> str:
        """What is wrong, where."""
        key = "".join(reversed(self.path)).lstrip(".")
        expected = f", expected {self.expected}" if self.expected else ""
        return f"{where}: {key}{' ' if key else ''}{self.said}{expected}"


def parse(text: str, where: str) -> Any:
    """The plain values of a JSON text; to be checked by ``from_json``.

    Raises:
        RecordError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise RecordError(f"{where}: not JSON that can be read (nested too deeply)") from error
    except ValueError as error:
        # Python's bound on digits speaks to programmers
        why = "a number has too many digits" if "int_max_str_digits" in str(error) else str(error)
        raise RecordError(f"{where}: not JSON ({why})") from error


def opened(path: Path) -> BinaryIO:
    """A regular file, opened for reading. Nothing else is: opening a FIFO waits, and reading a device has no end.

    Raises:
        OSError: there is none, or it is something else.
    """
    descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_json(shape: Type[T], path: Path, most_bytes: Optional[int] = None) -> T:
    """A ``shape`` read from a JSON file.

    Args:
        shape: as ``from_json`` takes it.
        path: the file.
        most_bytes: the greatest file that is read; ``None``: FILE_BYTES.

    Raises:
        RecordError: the file is missing, no regular file, too large, not UTF-8 JSON, or not of that shape.
    """
    most = FILE_BYTES if most_bytes is None else most_bytes
    try:
        with opened(path) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise RecordError(f"{path}: cannot be read (more than {most} bytes)")
        if _values(content) > most // _BYTES_PER_VALUE:
            raise RecordError(f"{path}: cannot be read (more than {most // _BYTES_PER_VALUE} values)")
        text = content.decode("utf-8")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error
    return from_json(shape, parse(text, str(path)), str(path))


def fits(value: Any) -> bool:
    """Whether ``read_json`` reads the file that ``write_json`` makes of ``value``, as far as its size goes."""
    content = _written(value).encode("utf-8")
    return len(content) <= FILE_BYTES and _values(content) <= FILE_BYTES // _BYTES_PER_VALUE


def _values(content: bytes) -> int:
    """At least the values of a JSON text without the first: each comes after one of these; those in texts count too."""
    return sum(content.count(mark) for mark in (b",", b"[", b"{")) - 1


def from_json(shape: Type[T], value: Any, where: str = "record") -> T:
    """A ``shape`` built from its JSON form, every value in it checked.

    Args:
        shape: a dataclass, or a type such as ``Dict[str, float]``. A dataclass ignores keys that it does not have
            (written by a newer version) and takes its defaults for those that are missing.
        value: plain values, as ``parse`` gives them.
        where: the file or other place, for the message.

    Raises:
        RecordError: a value is not what its annotation says, a required key is missing, or an ``api_version`` is newer
            than the shape's own.
    """
    try:
        built: T = _check(typing.cast(Any, shape))(value)
    except _Wrong as wrong:
        if not wrong.path and dataclasses.is_dataclass(shape) and not isinstance(value, dict):
            raise RecordError(f"{where}: expected a JSON object, found {type(value).__name__}") from None
        raise RecordError(wrong.sentence(where)) from None
    return built


def to_json(value: Any) -> Dict[str, Any]:
    """The JSON form of a dataclass: a dict of plain values."""
    return dataclasses.asdict(value)


def write_json(value: Any, path: Path) -> None:
    """Write a dataclass (or plain JSON value) to ``path`` atomically: whole or not at all.

    Raises:
        OSError: the disk is full or the folder is not writable; no partial file is left.
    """
    text = _written(value)
    handle, name = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, str(path))
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:  # writing knows a descriptor only
            error.filename = str(path)
        if os.path.exists(name):
            os.unlink(name)
        raise


def _written(value: Any) -> str:
    plain = to_json(value) if dataclasses.is_dataclass(value) else value
    return json.dumps(plain, indent=1, allow_nan=False, default=str) + "\n"


# -- what an annotation asks for -------------------------------------------------------------------


@functools.cache
def _check(hint: Any) -> Check:
    """What turns a plain value into the type ``hint``, or raises _Wrong."""
    if hint in _LEAVES:
        return _LEAVES[hint]
    if dataclasses.is_dataclass(hint):
        return _Object(typing.cast(type, hint))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or origin is getattr(types, "UnionType", typing.Union):
        return _union(arguments)
    if origin in (list, collections.abc.Sequence):
        return _sequence(_check(arguments[0]), list)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return _sequence(_check(arguments[0]), tuple)
    if origin is tuple:
        return _fixed([_check(argument) for argument in arguments])
    if origin in (dict, collections.abc.Mapping):
        return _mapping(_check(arguments[1]))
    raise TypeError(f"no check is known for {hint!r}")  # an error of ours: the shape needs another annotation


class _Object:
    """The check of a dataclass. Its fields are looked up when first needed: a shape may hold shapes of its own kind."""

    def __init__(self, shape: type) -> None:
        self._shape = shape
        self._fields: Optional[List[Tuple[str, Check, bool]]] = None
        self._newest: Optional[int] = None

    def _resolve(self) -> List[Tuple[str, Check, bool]]:
        hints = typing.get_type_hints(self._shape)
        found = []
        for spec in dataclasses.fields(typing.cast(Any, self._shape)):
            needed = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
            found.append((spec.name, _check(hints[spec.name]), needed))
            if spec.name == "api_version":
                self._newest = typing.cast(int, spec.default)
        self._fields = found
        return found

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(f"is {_seen(value)}", "an object")
        fields = self._fields or self._resolve()
        version = value.get("api_version")
        if self._newest is not None and type(version) is int and version > self._newest:
            raise _Wrong(
                f"api_version {version!r} is newer than {self._newest}, the newest this version reads; "
                "update stackyard"
            )
        arguments = {}
        for name, check, needed in fields:
            if name in value:
                try:
                    arguments[name] = check(value[name])
                except _Wrong as wrong:
                    wrong.path.append(f".{name}")
                    raise
            elif needed:
                raise _Wrong(f"key {name!r} is missing")
        try:
            return self._shape(**arguments)
        except ValueError as error:  # the shape's own word on values that do not go together
            raise _Wrong(f"cannot be used: {error}") from error


def _union(options: Tuple[Any, ...]) -> Check:
    checks = [_check(option) for option in options if option is not type(None)]
    optional = len(checks) < len(options)

    def check(value: Any) -> Any:
        if value is None and optional:
            return None
        if len(checks) == 1:
            return checks[0](value)
        refusals = []
        for one in checks:
            try:
                return one(value)
            except _Wrong as wrong:
                refusals.append(wrong)
        raise _Wrong(f"is {_seen(value)}", " or ".join(wrong.expected for wrong in refusals))

    return check


def _sequence(inner: Check, kind: Callable[[List[Any]], Any]) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise _Wrong(f"is {_seen(value)}", "a list")
        found: List[Any] = []
        try:
            for item in value:
                found.append(inner(item))
        except _Wrong as wrong:
            wrong.path.append(f"[{len(found)}]")
            raise
        return found if kind is list else kind(found)

    return check


def _fixed(inner: List[Check]) -> Check:
    items = _sequence(lambda item: item, list)

    def check(value: Any) -> Any:
        if len(items(value)) != len(inner):
            raise _Wrong(f"is a list of {len(value)}", f"a list of {len(inner)}")
        checks = iter(inner)
        return _sequence(lambda item: next(checks)(item), tuple)(value)

    return check


def _mapping(inner: Check) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(f"is {_seen(value)}", "an object")
        found = {}
        for key, item in value.items():
            try:
                found[_text(key)] = inner(item)
            except _Wrong as wrong:
                wrong.path.append(f".{_shortened(str(key))}")
                raise
        return found

    return check


# -- leaves ----------------------------------------------------------------------------------------


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise _Wrong(f"is {_seen(value)}", "a text")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise _Wrong(f"is {_seen(value)}", "a text that can be written as UTF-8") from None
    return value


def _flag(value: Any) -> Any:
    if value is not True and value is not False:
        raise _Wrong(f"is {_seen(value)}", "true or false")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or value.bit_length() > _WHOLE_BITS:
        raise _Wrong(f"is {_seen(value)}", "a whole number")
    return value


def _number(value: Any) -> Any:
    """Finite: a whole number may be longer than any float is, and NaN compares with nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
        raise _Wrong(f"is {_seen(value)}", "a number")
    return value


def _finite(value: Any) -> bool:
    return -sys.float_info.max <= value <= sys.float_info.max


def _nothing(value: Any) -> None:
    if value is not None:
        raise _Wrong(f"is {_seen(value)}", "null")


def _plain(value: Any, level: int = 0) -> Any:
    """Any JSON value: who reads it looks at its type, but need not fear what no JSON holds."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return _number(value)
    if level >= NESTING:
        raise _Wrong("is nested too deeply", f"at most {NESTING} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            try:
                _text(key)
                _plain(item, level + 1)
            except _Wrong as wrong:
                wrong.path.append(f".{_shortened(str(key))}")
                raise
        return value
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            try:
                _plain(item, level + 1)
            except _Wrong as wrong:
                wrong.path.append(f"[{index}]")
                raise
        return value
    raise _Wrong(f"is {_seen(value)}", "a JSON value")


_LEAVES: Dict[Any, Check] = {
    Any: _plain,
    object: _plain,
    dict: _mapping(_plain),
    list: _sequence(_plain, list),
    str: _text,
    bool: _flag,
    int: _whole,
    float: _number,
    type(None): _nothing,
}


def _seen(value: Any) -> str:
    """A refused value as a message shows it: printable, and short."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 4 * _SEEN_LENGTH else "a number of too many digits"
    return _shortened(repr(value) if isinstance(value, (str, float)) else type(value).__name__)


def _shortened(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= _SEEN_LENGTH else text[: _SEEN_LENGTH - 3] + "..."


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
