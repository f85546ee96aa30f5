"""One source of sessions as the user described it: checked, with defaults filled in.

No reading here. Standard library only.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from stackyard_detector.readers.instants import TIME_UNITS
from stackyard_detector.readers.presets import without_preset
from stackyard_task.channel import BadInput

FORMATS = ("sequences", "csv-sequences", "lines", "csv", "jsonl", "key-value")
#: Values of a label column that mean benign, compared without case; everything else is malicious.
BENIGN_VALUES = ("", "-", "0", "0.0", "false", "benign", "normal", "none")
#: "any": events are brought into time order; "sorted": the file is in time order, windows close on the way;
#: "file": events keep the order of the file, whatever their times say.
TIME_ORDERS = ("any", "sorted", "file")


@dataclass(frozen=True)
class Source:
    """A file of sessions and how to read it; see ``docs/data.md`` for the meaning of each key."""

    path: Path
    format: str
    label: Optional[int] = None
    key_column: Tuple[str, ...] = ()
    time_column: Tuple[str, ...] = ()
    event_column: Tuple[str, ...] = ()
    label_column: Optional[str] = None
    benign_values: FrozenSet[str] = frozenset(BENIGN_VALUES)
    #: Column -> accepted values: other rows are not of interest (and not corrupt).
    where: Mapping[str, FrozenSet[str]] = field(default_factory=dict)
    external_columns: Tuple[str, ...] = ()
    internal_networks: Tuple[str, ...] = ()
    #: What to do with a row without external address: "skip", "first" or "quarantine".
    if_none_external: str = "skip"
    action_map: Mapping[str, str] = field(default_factory=dict)
    session_minutes: Optional[float] = None
    max_events: Optional[int] = None
    max_sessions: Optional[int] = None
    time_unit: str = "s"
    time_format: str = ""
    time_order: str = "any"
    lateness_minutes: float = 5.0
    event_separator: Optional[str] = None
    delimiter: str = ","
    key_pattern: str = ""
    time_pattern: str = ""
    message_pattern: str = ""
    labels_path: Optional[Path] = None
    templates_path: Optional[Path] = None
    #: The settings as given, for the checksum.
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)


#: What may stand in a source; "external_key" and "benign_values" take another form inside.
KEYS = tuple(
    sorted(
        {f.name for f in dataclasses.fields(Source)}
        - {"given", "external_columns", "internal_networks", "if_none_external"}
        | {"external_key", "preset"}
    )
)


def checked_sources(data: Mapping[str, Any]) -> List[Source]:
    """The sources of ``data`` = {"sources": [...]}, checked before anything is read.

    Raises:
        BadInput: an unknown key or a value that is not allowed, naming source, key, value and what is.
    """
    sources = data.get("sources") if isinstance(data, Mapping) else None
    if not isinstance(sources, list) or not sources:
        raise BadInput('data has no sources; expected a non-empty list "sources"')
    return [_checked(source, f"sources[{index}]") for index, source in enumerate(sources)]


def _checked(given: Any, where: str) -> Source:
    if not isinstance(given, Mapping):
        raise BadInput(f"{where} is {given!r}, expected a table with path and format")
    given = without_preset(given, where)
    for key in given:
        if key not in KEYS:
            raise BadInput(f"{where} has no key {key!r}; allowed: {', '.join(KEYS)}")
    for key in ("path", "format"):
        if not isinstance(given.get(key), str) or not given[key]:
            raise BadInput(f"{where}: {key} is {given.get(key)!r}, expected a text")
    values: Dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    _one_of(where, "format", values["format"], FORMATS)
    values["path"] = Path(values["path"])
    for key in ("labels_path", "templates_path"):
        if key in values:
            values[key] = Path(_text(where, key, values[key]))
    for key in ("key_column", "time_column", "event_column"):
        if key in values:
            values[key] = _texts(where, key, values[key])
    if "benign_values" in values:
        values["benign_values"] = frozenset(
            t.lower() for t in _texts(where, "benign_values", values["benign_values"])
        )
    for key in ("label_column", "time_format", "event_separator", "delimiter"):
        if key in values:
            _text(where, key, values[key])
    if len(values.get("delimiter", ",")) != 1:
        raise BadInput(f"{where}: delimiter is {values['delimiter']!r}, expected one character")
    if values.get("label") not in (None, 0, 1) or isinstance(values.get("label"), bool):
        raise BadInput(f"{where}: label is {values['label']!r}, expected 0 (benign) or 1 (malicious)")
    for key in ("session_minutes", "max_events", "max_sessions", "lateness_minutes"):
        if key in values:
            values[key] = _positive(where, key, values[key], whole=key.startswith("max_"))
    _one_of(where, "time_unit", values.get("time_unit", "s"), tuple(TIME_UNITS))
    _one_of(where, "time_order", values.get("time_order", "any"), TIME_ORDERS)
    for key in ("key_pattern", "time_pattern", "message_pattern"):
        if key in values:
            _pattern(where, key, values[key])
    values["action_map"] = _action_map(where, values.get("action_map", {}))
    values["where"] = _accepted(where, values.get("where", {}))
    if "external_key" in values:
        values.update(_external_key(where, values.pop("external_key")))
    source = Source(**values, given=dict(given))
    _complete(where, source)
    return source


def _complete(where: str, source: Source) -> None:
    """What each format cannot do without."""
    if source.format in ("csv", "jsonl", "key-value"):
        if not source.key_column and not source.external_columns:
            raise BadInput(
                f"{where}: format {source.format!r} needs key_column or external_key (what makes a session)"
            )
        if not source.event_column:
            raise BadInput(f"{where}: format {source.format!r} needs event_column (what happened)")
    if source.format == "lines" and not source.key_pattern:
        raise BadInput(
            f"{where}: format 'lines' needs key_pattern, e.g. '(blk_-?[0-9]+)' (what makes a session)"
        )
    timed = source.time_column or source.time_pattern
    if source.format in ("csv", "jsonl", "key-value", "lines") and source.session_minutes and not timed:
        name = "time_pattern" if source.format == "lines" else "time_column"
        raise BadInput(f"{where}: session_minutes needs {name}")
    if source.time_order == "sorted" and not source.session_minutes:
        raise BadInput(
            f"{where}: time_order 'sorted' needs session_minutes (a session per key ends with the file)"
        )


def _one_of(where: str, key: str, value: Any, allowed: Tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"{where}: {key} is {value!r}, expected one of {', '.join(allowed)}")


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(f"{where}: {key} is {value!r}, expected a text")
    return value


def _texts(where: str, key: str, value: Any) -> Tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(t, str) for t in texts):
        raise BadInput(f"{where}: {key} is {value!r}, expected a text or a list of texts")
    return tuple(texts)


def _positive(where: str, key: str, value: Any, whole: bool) -> Any:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    if not fits or (whole and not float(value).is_integer()):
        raise BadInput(f"{where}: {key} is {value!r}, expected a {'whole ' if whole else ''}number above 0")
    return int(value) if whole else float(value)


def _pattern(where: str, key: str, value: Any) -> None:
    try:
        groups = re.compile(_text(where, key, value)).groups
    except re.error as error:
        raise BadInput(f"{where}: {key} is {value!r}, which is no regular expression ({error})") from error
    if groups != 1:
        raise BadInput(f"{where}: {key} is {value!r} with {groups} groups, expected exactly one (...)")


def _action_map(where: str, value: Any) -> Dict[str, str]:
    fits = isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in value.items()
    )
    if not fits:
        raise BadInput(
            f"{where}: action_map is {value!r}, expected a table like {{deny = 'Deny', allow = 'Allow'}}"
        )
    return {k.lower(): v for k, v in value.items()}


def _accepted(where: str, value: Any) -> Dict[str, FrozenSet[str]]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{where}: where is {value!r}, expected a table like {{event_type = 'alert'}}")
    return {column: frozenset(_texts(where, f"where.{column}", v)) for column, v in value.items()}


def _external_key(where: str, value: Any) -> Dict[str, Any]:
    if (
        not isinstance(value, Mapping)
        or not set(value) <= {"columns", "internal", "if_none"}
        or "columns" not in value
    ):
        raise BadInput(
            f"{where}: external_key is {value!r}, expected a table of columns and, "
            "if wanted, internal and if_none"
        )
    if_none = value.get("if_none", "skip")
    _one_of(where, "external_key.if_none", if_none, ("skip", "first", "quarantine"))
    return {
        "external_columns": _texts(where, "external_key.columns", value["columns"]),
        "internal_networks": _texts(where, "external_key.internal", value["internal"])
        if value.get("internal")
        else (),
        "if_none_external": if_none,
    }
