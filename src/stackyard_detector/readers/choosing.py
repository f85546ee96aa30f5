"""Which of a log's named fields are the key, the event and the time: by their names and some of their values.

A guess; what is given is never guessed. Standard library only.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from stackyard_detector.readers.addresses import ExternalAddress
from stackyard_detector.readers.instants import instant_reader
from stackyard_task.channel import BadInput

#: Some rows: field -> text.
Rows = Sequence[Mapping[str, Optional[str]]]

#: Settings that say the same of a source: whoever gives one needs no guess of the others.
KEYS = ("key_column", "external_key", "key_pattern")
EVENTS = ("event_column", "event_pattern", "message_pattern")
TIMES = ("time_column", "time_pattern")

#: Names, without case, that fields have by what they hold; the first that is there is taken.
_TIME_NAMES = (
    *("@timestamp", "timestamp", "time", "ts", "eventtime", "event_time", "datetime", "date_time", "date"),
    *(
        "timecreated",
        "timegenerated",
        "__realtime_timestamp",
        "systemtime",
        "rt",
        "start",
        "starttime",
        "receive_time",
        "_time",
        "created",
        "created_at",
    ),
)
_SOURCE_NAMES = (
    *(
        "src_ip",
        "srcip",
        "source.ip",
        "id.orig_h",
        "src",
        "source_ip",
        "sourceipaddress",
        "client.ip",
        "client_ip",
    ),
    *("clientip", "srcaddr", "src_addr", "remote_addr", "remote_ip", "ip", "host.ip", "saddr", "ipaddress"),
)
_TARGET_NAMES = (
    *(
        "dest_ip",
        "dst_ip",
        "dstip",
        "destination.ip",
        "id.resp_h",
        "dst",
        "destination_ip",
        "server.ip",
        "dstaddr",
    ),
    *("dst_addr", "dest_addr", "daddr"),
)
_KEY_NAMES = (
    *(
        "session",
        "session_id",
        "sessionid",
        "user",
        "username",
        "user.name",
        "user_name",
        "account",
        "computer",
    ),
    *("host.name", "hostname", "agent.name", "host", "device", "device_id", "uid", "block", "id"),
)
_EVENT_NAMES = (
    *("eventid", "event_id", "event.code", "event.action", "eventname", "event_name", "event_type", "event"),
    *(
        "alert.signature",
        "signature",
        "rule.id",
        "rule",
        "action",
        "act",
        "operation",
        "method",
        "status",
        "type",
    ),
    *("message", "msg", "short", "category", "name"),
)


#: What says whether a row is malicious is no event.
_NO_EVENTS = ("label", "detailed-label", "class", "is_attack", "attack", "tunnel_parents", "history")


#: Names that say what they hold only where nothing stands before them: "rule.id" is no id of a session.
_VAGUE = frozenset(
    (
        *(
            "id",
            "uid",
            "ip",
            "name",
            "type",
            "status",
            "rule",
            "method",
            "category",
            "event",
            "block",
            "device",
        ),
        *(
            "message",
            "msg",
            "short",
            "start",
            "date",
            "created",
            "created_at",
            "rt",
            "host",
            "computer",
            "user",
        ),
    )
)
#: What products put behind a name: a zone, or the unit.
_BEHIND = re.compile(r"\s*[\[(][^\])]{0,20}[\])]$")
#: Looks like a day with a clock, of whatever form.
_CLOCK = re.compile(
    r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}|\d{1,2}\.? [A-Za-z]{3,9}\.? \d{4})"
    r".{1,5}\d{1,2}[:.]\d\d"
)
#: Rows that must hold a field: half of them, and of what happened nearly all.
_PRESENT, _ALWAYS = 0.5, 0.9


def chosen(rows: Rows, given: Mapping[str, Any]) -> Tuple[Dict[str, Any], str]:
    """Key, event and time among named fields, as far as they are not ``given``, and the words that say so.

    Raises:
        BadInput: nothing can be chosen; the sentence names the fields.
    """
    present = _present(rows, _PRESENT)
    found: Dict[str, Any] = {}
    why: List[str] = []
    if not _any_of(KEYS, given):
        found.update(_key(present, given, why))
    taken = {*_columns_of({**found, **given}, ("key_column", "time_column"))}
    external = found.get("external_key", given.get("external_key"))
    if isinstance(external, Mapping):
        taken.update(_columns_of(external, ("columns",)))
    if not _any_of(EVENTS, given):
        found["event_column"] = _event(_present(rows, _ALWAYS), present, taken, len(rows))
        why.append(f"an event is its {found['event_column']}")
    if not _any_of(TIMES, given):
        time = time_field(rows)
        unit = None if time is None else _unit(present[time])
        if time is not None and (unit is not None or "time_format" in given):
            found["time_column"] = time
            if "session_minutes" not in given:
                found["session_minutes"] = 30
            if unit and "time_unit" not in given and "time_format" not in given:
                found["time_unit"] = unit
            why.append(f"its time is {time}")
    return found, ", ".join(why) or "key and event are as you set them"


def time_field(rows: Rows) -> Optional[str]:
    """The field that most looks like the time of a row, also where no form of time that is known fits it."""
    present = _present(rows, _PRESENT)
    known = named(present, _TIME_NAMES, lambda values: _unit(values) is not None)
    return known or named(present, _TIME_NAMES, is_clock) or _first(present, is_clock)


def is_clock(values: Sequence[str]) -> bool:
    """Whether texts look like a day with a clock."""
    return sum(_CLOCK.match(value) is not None for value in values) >= 0.9 * len(values)


def named(
    present: Mapping[str, List[str]], names: Sequence[str], fits: Callable[[List[str]], bool]
) -> Optional[str]:
    """The first of ``names`` that a field has and whose values fit: as it is, inside a wrapper, as the last part.

    A wrapper is an object that holds most of the fields: "result." of a Splunk export, "_source." of a hit.
    """
    wrapper = _wrapper(list(present))
    as_they_are, inside, last = {}, {}, {}
    for field in reversed(list(present)):
        name = _BEHIND.sub("", field).lower()
        as_they_are[name] = field
        if wrapper and name.startswith(wrapper):
            inside[name[len(wrapper) :]] = field
        part = name.rpartition(".")[2]
        if part not in _VAGUE:
            last[part] = field
    for fields in (as_they_are, inside, last):
        for name in names:
            field = fields.get(name, "")
            if field and fits(present[field]):
                return field
    return None


def _wrapper(fields: Sequence[str]) -> str:
    """The longest beginning, up to a dot and in small letters, that more than half of the fields share."""
    counts: Dict[str, int] = {}
    for field in fields:
        parts = field.lower().split(".")[:-1]
        for end in range(1, len(parts) + 1):
            beginning = ".".join(parts[:end]) + "."
            counts[beginning] = counts.get(beginning, 0) + 1
    return max((b for b, n in counts.items() if n > 0.5 * len(fields)), key=len, default="")


def _present(rows: Rows, share: float) -> Dict[str, List[str]]:
    """Field -> its texts, of the fields that so great a share of the rows has."""
    common: Dict[str, List[str]] = {}
    for row in rows:
        for name, value in row.items():
            if value:
                common.setdefault(name, []).append(value)
    return {name: values for name, values in common.items() if len(values) >= share * len(rows)}


def _any_of(names: Sequence[str], given: Mapping[str, Any]) -> bool:
    return any(name in given for name in names)


def _columns_of(settings: Mapping[str, Any], names: Sequence[str]) -> List[str]:
    """Of settings that nobody has checked yet: what is no name of a column is left out."""
    found: List[str] = []
    for name in names:
        value = settings.get(name)
        values = value if isinstance(value, (list, tuple)) else [value]
        found += [column for column in values if isinstance(column, str)]
    return found


def _key(present: Dict[str, List[str]], given: Mapping[str, Any], why: List[str]) -> Dict[str, Any]:
    taken = _columns_of(given, ("event_column", "time_column"))
    free = {name: values for name, values in present.items() if name not in taken}
    source, target = (named(free, names, _is_address) for names in (_SOURCE_NAMES, _TARGET_NAMES))
    if source is None:
        source = _first(free, _is_address)
    if source is not None and target is not None and source != target:
        why.append(f"a session is the outside address of {source} and {target}")
        return {"external_key": {"columns": [source, target], "if_none": "first"}}
    key = source or named(free, _KEY_NAMES, _repeats)
    if key is None:
        names = ", ".join(list(present)[:20])
        raise BadInput(
            f"no field looks like a key (whose event a row is); set key_column; fields are: {names}"
        )
    why.append(f"a session is one {key}")
    return {"key_column": key}


def _event(always: Dict[str, List[str]], present: Dict[str, List[str]], taken: Any, rows: int) -> str:
    free = {name: values for name, values in always.items() if name not in taken}
    event = named(free, _EVENT_NAMES, lambda values: True)
    if event is None:
        kinds = {
            name: len(set(values))
            for name, values in free.items()
            if name.lower().rpartition(".")[2] not in _NO_EVENTS
            and not _is_address(values)
            and _unit(values) is None
            and not is_clock(values)
        }
        few = {
            name: n
            for name, n in kinds.items()
            if 1 < n <= max(2, min(50, rows // 2)) and not _counts(present[name])
        }
        event = max(few, key=lambda name: few[name], default=None)
    if event is None:
        names = ", ".join(list(present)[:20])
        raise BadInput(f"no field looks like an event (what happened); set event_column; fields are: {names}")
    return event


def _first(present: Mapping[str, List[str]], fits: Callable[[List[str]], bool]) -> Optional[str]:
    return next((name for name, values in present.items() if fits(values)), None)


def _is_address(values: Sequence[str]) -> bool:
    external = ExternalAddress()
    return sum(external.is_external(v) is not None for v in values) >= 0.5 * len(values)


def _counts(values: Sequence[str]) -> bool:
    """Whether most values are numbers: what is counted is hardly what happened."""
    return sum(re.fullmatch(r"-?\d+(?:\.\d+)?", v) is not None for v in values) >= 0.5 * len(values)


def _repeats(values: Sequence[str]) -> bool:
    return len(set(values)) < max(2, len(values))


def _unit(values: Sequence[str]) -> Optional[str]:
    """The unit in which values are times ("" for ISO 8601 or seconds); ``None``: they are none."""
    value = values[0]
    try:
        number = float(value)
    except ValueError:
        try:
            instant_reader()(value)
        except (ValueError, OverflowError):
            return None
        return ""
    for unit, scale in (("", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if 631152000 * scale <= number < 4102444800 * scale:
            return unit
    return None
