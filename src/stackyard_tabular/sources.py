"""Sources of tables as scenario files write them: their keys, checked before anything is opened.

``{"sources": [{"path": ..., "format": "csv", "target": "quality"}, ...]}``; several sources are one table, in their
order, and must have the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from stackyard_tabular import presets
from stackyard_task.channel import BadInput

FORMATS = ("csv", "parquet", "idx")
TASKS = ("classification", "regression")
#: So many sources may be one table.
MOST_SOURCES = 256
#: So many columns may be named.
MOST_NAMES = 16384
#: Key -> the kinds of value it may have, what that is called, and the formats that use it.
_KEYS: Mapping[str, Tuple[Tuple[type, ...], str, Tuple[str, ...]]] = {
    "path": ((str,), "a text", FORMATS),
    "format": ((str,), "a text", FORMATS),
    "preset": ((str,), "a text", FORMATS),
    "task": ((str,), "a text", FORMATS),
    "target": ((str, int), "the name or the number of a column", ("csv", "parquet")),
    "drop": ((list,), "a list of texts", ("csv", "parquet")),
    "one_against_rest": ((str, int), "a value of the target", FORMATS),
    "delimiter": ((str,), "one character", ("csv",)),
    "encoding": ((str,), "a text", ("csv",)),
    "header": ((bool,), "true or false", ("csv",)),
    "columns": ((list,), "a list of texts", ("csv",)),
    "missing": ((list,), "a list of texts", ("csv",)),
    "labels_path": ((str,), "a text", ("idx",)),
}


@dataclass(frozen=True)
class Source:
    """One file, or images with their labels, and how it is read."""

    path: Path
    format: str
    #: Name of the target's column, or its number: from 1, or from -1 at the end.
    target: Union[str, int] = -1
    #: "classification", "regression", or "": what follows from the target.
    task: str = ""
    #: Columns that are no feature.
    drop: Tuple[str, ...] = ()
    #: The value that is one class, and all others the other.
    one_against_rest: Optional[str] = None
    delimiter: str = ","
    encoding: str = "utf-8"
    header: bool = True
    columns: Tuple[str, ...] = ()
    #: Texts that stand for a missing value, beside the empty one and the usual ones.
    missing: Tuple[str, ...] = ()
    labels_path: Optional[Path] = None

    @property
    def files(self) -> List[Path]:
        """The files that it is read from."""
        return [self.path] if self.labels_path is None else [self.path, self.labels_path]

    def settings(self) -> Dict[str, Any]:
        """All but where it lies, as JSON: what decides the table beside the files' content."""
        whole = {name: value for name, value in vars(self).items() if name not in ("path", "labels_path")}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in whole.items()}


def read(data: Mapping[str, Any]) -> List[Source]:
    """The sources of ``data``, checked.

    Raises:
        BadInput: a key is unknown, has a value that is not allowed, or has no effect beside the others.
    """
    given = data.get("sources") if isinstance(data, Mapping) else None
    if not isinstance(given, list) or not given or set(data) != {"sources"}:
        raise BadInput('data is no table with a list "sources" that holds at least one source')
    if len(given) > MOST_SOURCES:
        raise BadInput(f"data has {len(given)} sources, expected {MOST_SOURCES} at most")
    found = [_source(one, f"sources[{index}]") for index, one in enumerate(given)]
    first = found[0]
    for index, other in enumerate(found[1:], 1):
        for key in ("target", "task", "drop", "one_against_rest"):
            if getattr(other, key) != getattr(first, key):
                raise BadInput(
                    f"sources[{index}].{key} differs from that of sources[0], and both are one table"
                )
        if (other.format == "idx") != (first.format == "idx"):
            raise BadInput(
                f"sources[{index}] is {other.format!r} and sources[0] is {first.format!r}: no one table"
            )
    return found


def _source(given: Any, where: str) -> Source:
    if not isinstance(given, Mapping):
        raise BadInput(f"{where} is {given!r}, expected a table")
    named = presets.settings(given["preset"]) if given.get("preset") is not None else {}
    values = {**named, **{key: value for key, value in given.items() if key != "preset"}}
    kind = values.get("format")
    if kind not in FORMATS:
        raise BadInput(f"{where}.format is {kind!r}, expected one of {', '.join(FORMATS)}")
    for key, value in values.items():
        if key not in _KEYS:
            raise BadInput(f"{where} has an unknown key {key!r}; known are {', '.join(_KEYS)}")
        kinds, told, formats = _KEYS[key]
        if kind not in formats:
            raise BadInput(f"{where}.{key} has no effect with format {kind!r}")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BadInput(f"{where}.{key} is {value!r}, expected {told}")
        if isinstance(value, list) and not (
            len(value) <= MOST_NAMES and all(isinstance(one, str) for one in value)
        ):
            raise BadInput(f"{where}.{key} is no list of at most {MOST_NAMES} texts")
    if not values.get("path"):
        raise BadInput(f"{where} names no path")
    return _checked(values, kind, where)


def _checked(values: Mapping[str, Any], kind: str, where: str) -> Source:
    """A source of values that have the right kinds."""
    columns, header = values.get("columns") or [], values.get("header", True)
    if values.get("task", TASKS[0]) not in TASKS:
        raise BadInput(f"{where}.task is {values['task']!r}, expected one of {', '.join(TASKS)}")
    if len(values.get("delimiter", ",")) != 1:
        raise BadInput(f"{where}.delimiter is {values['delimiter']!r}, expected one character")
    if len(set(columns)) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise BadInput(f"{where}.columns names {twice!r} twice")
    if header and columns:
        raise BadInput(
            f"{where}.columns has no effect where the file has a header; header = false says it has none"
        )
    if values.get("target", -1) == 0 and not isinstance(values.get("target"), str):
        raise BadInput(f"{where}.target is 0, expected a number from 1 on, or from -1 at the end")
    if kind == "idx" and not values.get("labels_path"):
        raise BadInput(f"{where} has images and no labels_path")
    if kind == "idx" and values.get("task", TASKS[0]) != TASKS[0]:
        raise BadInput(f"{where}.task is {values['task']!r}, and labels of an idx file are classes")
    rest = values.get("one_against_rest")
    return Source(
        path=Path(values["path"]),
        format=kind,
        target="label" if kind == "idx" else values.get("target", -1),
        task="classification" if kind == "idx" else values.get("task", ""),
        drop=tuple(values.get("drop", ())),
        one_against_rest=None if rest is None else str(rest),
        delimiter=values.get("delimiter", ","),
        encoding=values.get("encoding", "utf-8"),
        header=header,
        columns=tuple(columns),
        missing=tuple(values.get("missing", ())),
        labels_path=Path(values["labels_path"]) if kind == "idx" else None,
    )
