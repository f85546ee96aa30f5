"""Which settings each format of a source uses. Any other is refused: one that is ignored would mislead.

No reading here. Standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Mapping, Tuple

from stackyard_detector.readers.time_formats import has_year
from stackyard_task.channel import BadInput

_ALL = ("path", "format", "encoding", "label", "max_events", "max_sessions")
_TIME = ("time_column", "time_unit", "time_format", "year")
_LABEL = ("label_column", "benign_values", "labels_path")
_WINDOWS = ("session_minutes", "time_order", "lateness_minutes")
_ROWS = (
    *(*_ALL, *_TIME, *_LABEL, *_WINDOWS),
    *("key_column", "external_key", "nobody", "event_column", "action_map", "where"),
)
_TEMPLATES = ("message_pattern", "masks", "templates_path")

#: Format -> the settings that it uses.
USED: Dict[str, FrozenSet[str]] = {
    "sequences": frozenset((*_ALL, "event_separator")),
    "csv-sequences": frozenset(
        (
            *(*_ALL, *_TIME, *_LABEL, "key_column", "event_column", "event_separator", "delimiter"),
            *("columns", "attack_column"),
        )
    ),
    "lines": frozenset(
        (
            *(*_ROWS, *_TEMPLATES, "fields"),
            *("key_pattern", "event_pattern", "time_pattern", "label_pattern"),
        )
    ),
    "csv": frozenset((*_ROWS, "delimiter", "columns")),
    "jsonl": frozenset(_ROWS),
    "key-value": frozenset((*_ROWS, "fields")),
    "cef": frozenset((*_ROWS, "fields")),
    "leef": frozenset((*_ROWS, "fields")),
    "syslog": frozenset((*_ROWS, *_TEMPLATES, "fields", "inside")),
    "xml-lines": frozenset(_ROWS),
    "zeek": frozenset(_ROWS),
}
FORMATS = tuple(USED)
#: Formats whose rows have columns: one event a row.
ROW_FORMATS = ("csv", "jsonl", "key-value", "cef", "leef", "syslog", "xml-lines", "zeek")

#: What takes the place of a setting that a format does not use, where the format uses that.
_COUNTERPARTS: Mapping[str, Tuple[str, ...]] = {
    "key_pattern": ("key_column", "fields"),
    "event_pattern": ("event_column", "fields"),
    "message_pattern": ("event_column", "fields"),
    "time_pattern": ("time_column", "fields"),
    "label_pattern": ("label_column", "fields"),
    "external_key": ("key_column",),
    "session_minutes": ("max_events",),
    "delimiter": ("event_separator",),
    "label_column": ("label",),
    "labels_path": ("label",),
}
#: Why a format cannot use a setting, where its name does not say it.
_WHOLE_SESSIONS = "each of its lines is a whole session"
_REASONS: Mapping[str, Mapping[str, str]] = {
    "sequences": dict.fromkeys((*_WINDOWS, *_TIME, "key_column", "external_key"), _WHOLE_SESSIONS),
    "csv-sequences": dict.fromkeys(
        (*_WINDOWS, "external_key", "where"), "each of its rows is a whole session"
    ),
}


def refuse_unused(where: str, format: str, given: Mapping[str, Any]) -> None:
    """Refuse a setting that ``format`` does not use.

    Raises:
        BadInput: names the setting, the format, and what the format uses in its place.
    """
    used = USED[format]
    for key in given:
        if key in used:
            continue
        reason = _REASONS.get(format, {}).get(key)
        counterparts = [name for name in _COUNTERPARTS.get(key, ()) if name in used]
        raise BadInput(
            f"{where}: format {format!r} does not use {key}"
            + (f": {reason}" if reason else "")
            + (f"; it uses {' or '.join(counterparts)}" if counterparts else "")
        )


def refuse_without_effect(where: str, given: Mapping[str, Any]) -> None:
    """Refuse a setting that has no effect beside the other ones, or for lack of another one.

    Raises:
        BadInput: names both.
    """
    for one, other in _EITHER:
        if one in given and other in given:
            raise BadInput(f"{where}: has {one} and {other}, of which only one can be used; leave one out")
    for key, needed in _NEEDS.items():
        if key in given and not any(name in given for name in needed):
            raise BadInput(f"{where}: {key} needs {' or '.join(_usual(needed, given))}")
    if "lateness_minutes" in given and given.get("time_order") != "sorted":
        raise BadInput(f"{where}: lateness_minutes needs time_order 'sorted', with which rows can be late")
    if "year" in given and has_year(given.get("time_format", "%d")):
        raise BadInput(f"{where}: has a year, which the times of {given['time_format']!r} have themselves")


#: Pairs of settings that say the same: one would be ignored.
_EITHER = (
    ("key_column", "external_key"),
    ("key_column", "key_pattern"),
    ("external_key", "key_pattern"),
    ("event_column", "event_pattern"),
    ("time_column", "time_pattern"),
    ("label_column", "label_pattern"),
    ("label_column", "labels_path"),
    ("label_pattern", "labels_path"),
    ("label", "labels_path"),
    ("label", "label_pattern"),
    ("time_unit", "time_format"),
    ("time_unit", "year"),
    ("masks", "templates_path"),
)
_TIMES = ("time_column", "time_pattern")
#: Setting -> the settings of which it needs one.
_NEEDS: Mapping[str, Tuple[str, ...]] = {
    "time_unit": _TIMES,
    "time_format": _TIMES,
    "year": _TIMES,
    "session_minutes": _TIMES,
    "time_order": _TIMES,
    "benign_values": ("label_column", "label_pattern", "labels_path"),
}


def _usual(needed: Tuple[str, ...], given: Mapping[str, Any]) -> Tuple[str, ...]:
    """Those of ``needed`` that the format uses."""
    used = USED[given["format"]]
    if given["format"] == "lines" and "fields" not in given:  # columns of lines are made by fields
        used = used - {"time_column", "label_column"}
    return tuple(name for name in needed if name in used)
