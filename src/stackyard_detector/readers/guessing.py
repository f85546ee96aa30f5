"""Which format, and which preset, the first lines of a file look like, and why. A guess, said as one.

Standard library only.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from stackyard_detector.readers.addresses import ExternalAddress
from stackyard_detector.readers.files import LINE_BYTES
from stackyard_detector.readers.instants import instant_reader
from stackyard_detector.readers.json_documents import first_objects
from stackyard_detector.readers.json_shapes import HEAD_BYTES, Asked, holds_documents
from stackyard_detector.readers.presets import PRESETS, Preset, without_preset
from stackyard_task.channel import BadInput

#: How many lines are looked at, and how many letters of each.
SAMPLE_LINES = 200
_LETTERS = 8192
#: The share of lines that must look like it.
_SHARE = 0.6
#: Names of fields at most, of a JSON object with its objects.
_FIELDS = 300

_PAIR = re.compile(r'(?:^|[\s,;(])([A-Za-z_][\w.\-]*)=(?:"([^"]*)"|([^\s",;]+))')
_ADDRESS = r"\b((?:\d{1,3}\.){3}\d{1,3})\b"
_TIMES = (
    (r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)", ""),
    (r"^(?:<\d+>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)", "%b %d %H:%M:%S"),
    (r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]", "%d/%b/%Y:%H:%M:%S %z"),
)
#: Names, without case, that fields have by what they hold; the first that is there is taken.
_TIME_NAMES = (
    *("@timestamp", "timestamp", "time", "ts", "eventtime", "event_time", "datetime", "date_time", "date"),
    *(
        "timecreated",
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


@dataclass(frozen=True)
class Guess:
    """Settings for a file, without its path, and the sentence that says why."""

    settings: Dict[str, Any]
    why: str


def guessed(sample: Sequence[str]) -> Guess:
    """What lines look like.

    Args:
        sample: the first lines of a file, as text.

    Raises:
        BadInput: like nothing that the readers know.
    """
    lines = [line for line in sample if line.strip()]  # of a JSON document more than SAMPLE_LINES
    if not lines:
        raise BadInput("the first lines are blank: nothing can be guessed; say format and what it needs")
    letters = "".join(line[:_LETTERS] for line in lines[:50])
    if "\0" in letters or letters.count("\ufffd") > 0.05 * len(letters):
        raise BadInput(
            "is no text in UTF-8: say its encoding (such as utf-16 or cp1252), or convert what is binary; Windows "
            "event logs (EVTX) become lines with evtx_dump"
        )
    if lines[0].lstrip()[:1] in ("{", "["):
        is_piece = 4 * len(lines[0]) >= LINE_BYTES  # of a longer line, perhaps
        text = lines[0] if is_piece else "\n".join(lines)
        asked = asked_by_lines(text[:HEAD_BYTES])
        if holds_documents(text, is_piece, asked):
            lines = [json.dumps(value) for value in first_objects(text, SAMPLE_LINES, asked)] or lines
    by_preset = _preset(lines)
    if by_preset is not None:
        return by_preset
    for guess in (_json, _sequences, _csv, _key_value):
        found = guess(lines)
        if found is not None:
            return found
    return _lines(lines)


def asked_by_lines(text: str) -> Asked:
    """What is asked of a file that begins with ``text``, if its lines are taken for the records: nothing, if none is.

    A list of objects in a line is a field where the line has by itself what makes a row, else its records.
    """
    lines = [line for line in text.split("\n") if line.strip()][:SAMPLE_LINES]
    try:
        found = (_preset(lines) or _json(lines)) if lines else None
    except BadInput:
        return Asked()
    return Asked() if found is None else Asked.by_settings(without_preset(found.settings, ""))


def _preset(lines: Sequence[str]) -> Optional[Guess]:
    """The preset that most lines look like, the first of PRESETS among equals."""
    best, most = None, 0
    short = [line[:_LETTERS] for line in lines]
    rows = [line for line in short if not line.startswith("#")] or short
    for preset in PRESETS:
        if preset.looks:
            finds = re.compile(preset.looks).search
            # a header that says what the file is (#path dns) speaks for all rows below it
            told = any(finds(line) for line in short if line.startswith("#"))
            count = len(rows) if told else sum(finds(line) is not None for line in rows)
            if count > most:
                best, most = preset, count
    if best is None or most < _SHARE * len(rows):
        return None
    said = f"preset {best.name!r} ({best.product}): {most} of the first {len(rows)} lines look like it"
    return Guess({"preset": best.name}, said)


def _json(lines: Sequence[str]) -> Optional[Guess]:
    rows: List[Dict[str, Optional[str]]] = []
    some = lines[:50]
    for value in _objects(some):
        flat: Dict[str, Optional[str]] = {}
        _flatten(value, "", flat, 0)
        rows.append(flat)
    if not rows or len(rows) < _SHARE * len(some):
        return None
    chosen, why = _chosen(rows)
    return Guess({"format": "jsonl", **chosen}, f"format 'jsonl': the lines are JSON objects; {why}")


def _objects(lines: Sequence[str]) -> List[Dict[str, Any]]:
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _flatten(value: Dict[str, Any], before: str, into: Dict[str, Optional[str]], depth: int) -> None:
    for name, inner in value.items():
        if len(into) >= _FIELDS:
            return
        if isinstance(inner, dict) and depth < 3:
            _flatten(inner, f"{before}{name}.", into, depth + 1)
        elif isinstance(inner, str):
            into[before + name] = inner
        elif isinstance(inner, (int, float, bool)):
            into[before + name] = json.dumps(inner)


def _sequences(lines: Sequence[str]) -> Optional[Guess]:
    fits = [re.fullmatch(r"[A-Za-z]?\d+(?:\s+[A-Za-z]?\d+)+\s*", line) is not None for line in lines]
    if sum(fits) < 0.9 * len(lines):
        return None
    return Guess({"format": "sequences"}, "format 'sequences': each line is a list of numbered events")


def _csv(lines: Sequence[str]) -> Optional[Guess]:
    best: Optional[Tuple[str, List[List[str]]]] = None
    for delimiter in (",", ";", "\t", "|"):
        try:
            rows = list(csv.reader((line + "\n" for line in lines[:50]), delimiter=delimiter))
        except csv.Error:
            continue
        width = len(rows[0])
        same = sum(len(row) == width for row in rows)
        if (
            width >= 3
            and len(rows) >= 2
            and same >= 0.9 * len(rows)
            and (best is None or width > len(best[1][0]))
        ):
            best = delimiter, [row for row in rows if len(row) == width]
    if best is None:
        return None
    delimiter, rows = best
    header = [name.strip() for name in rows[0]]
    is_header = len(set(header)) == len(header) and all(
        name and not re.match(r"[\d-]*\.?\d+$|\d{4}-\d\d-\d\d|[\d.]+$", name) for name in header
    )
    given: Dict[str, Any] = (
        {"format": "csv"} if delimiter == "," else {"format": "csv", "delimiter": delimiter}
    )
    if not is_header:
        return None
    if header.count("events") == 1:
        return Guess(
            {**given, "format": "csv-sequences"}, "format 'csv-sequences': its header has a column 'events'"
        )
    for preset in PRESETS:
        if preset.settings["format"] in ("zeek", "jsonl") and set(_columns(preset)) <= set(header):
            said = f"preset {preset.name!r} ({preset.product}) as CSV: its columns are in the header"
            return Guess({"preset": preset.name, **given}, said)
    chosen, why = _chosen([dict(zip(header, row)) for row in rows[1:]])
    said = f"format 'csv': a header and {len(header)} columns separated by {delimiter!r}; {why}"
    return Guess({**given, **chosen}, said)


def _columns(preset: Preset) -> List[str]:
    """The columns that a preset names."""
    found: List[str] = []
    for key in ("key_column", "event_column", "time_column"):
        value = preset.settings.get(key, [])
        found += [value] if isinstance(value, str) else value
    return [
        *found,
        *preset.settings.get("external_key", {}).get("columns", ()),
        *preset.settings.get("where", ()),
    ]


def _key_value(lines: Sequence[str]) -> Optional[Guess]:
    rows: List[Dict[str, Optional[str]]] = []
    for line in lines:
        found = _PAIR.findall(line[:_LETTERS])
        if len(found) >= 3:
            rows.append({name: quoted or plain for name, quoted, plain in reversed(found)})
    if len(rows) < _SHARE * len(lines):
        return None
    chosen, why = _chosen(rows)
    said = f"format 'key-value': {len(rows)} of {len(lines)} lines hold pairs such as {next(iter(rows[0]))}=...; {why}"
    return Guess({"format": "key-value", **chosen}, said)


def _lines(lines: Sequence[str]) -> Guess:
    said = "format 'lines': neither JSON, CSV nor pairs of key and value; "
    given: Dict[str, Any] = {"format": "lines"}
    addressed = sum(re.search(_ADDRESS, line) is not None for line in lines)
    blocks = sum(re.search(r"blk_-?\d+", line) is not None for line in lines)
    host = r"^(?:<\d+>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ ([\w./-]+)"
    if blocks >= 0.3 * len(lines):
        given["key_pattern"] = r"(blk_-?\d+)"
        said += "a session is a block"
    elif addressed >= 0.3 * len(lines):
        given["key_pattern"] = _ADDRESS
        said += f"a session is an address, which {addressed} of {len(lines)} lines name"
    elif sum(re.search(host, line) is not None for line in lines) >= _SHARE * len(lines):
        given["key_pattern"] = host
        said += "a session is a program of the syslog header"
    else:
        raise BadInput(
            "nothing in the first lines looks like a key (an address, a block, a syslog program); say what makes "
            "a session: format 'lines' with key_pattern, or another format with key_column"
        )
    for pattern, time_format in _TIMES:
        if sum(re.search(pattern, line) is not None for line in lines) >= _SHARE * len(lines):
            given.update({"time_pattern": pattern, "session_minutes": 30})
            if time_format:
                given["time_format"] = time_format
            break
    return Guess(given, f"{said}; an event is a template of the message")


def _chosen(rows: Sequence[Dict[str, Optional[str]]]) -> Tuple[Dict[str, Any], str]:
    """Key, event and time among named fields, and the words that say so.

    Raises:
        BadInput: nothing can be chosen; the sentence names the fields.
    """
    common: Dict[str, List[str]] = {}
    for row in rows:
        for name, value in row.items():
            if value:
                common.setdefault(name, []).append(value)
    present = {name: values for name, values in common.items() if len(values) >= 0.5 * len(rows)}
    given: Dict[str, Any] = {}
    source, target = (_named(present, names, _is_address) for names in (_SOURCE_NAMES, _TARGET_NAMES))
    addresses = [name for name, values in present.items() if _is_address(values)]
    if source is None and addresses:
        source = addresses[0]
    if source is not None and target is not None:
        given["external_key"] = {"columns": [source, target], "if_none": "first"}
        why = [f"a session is the outside address of {source} and {target}"]
    else:
        key = source or _named(present, _KEY_NAMES, _repeats)
        if key is None:
            names = ", ".join(list(present)[:20])
            raise BadInput(
                f"no field looks like a key (whose event a row is); set key_column; fields are: {names}"
            )
        given["key_column"] = key
        why = [f"a session is one {key}"]
    taken = {source, target, given.get("key_column")}
    always = {name: values for name, values in present.items() if len(values) >= 0.9 * len(rows)}
    event = _named(always, [n for n in _EVENT_NAMES if n not in taken], lambda values: True)
    if event is None or event in taken:
        kinds = {n: len(set(v)) for n, v in always.items() if n not in taken and n.lower() not in _NO_EVENTS}
        few = {
            n: k
            for n, k in kinds.items()
            if 1 < k <= max(2, min(50, len(rows) // 2)) and not _counts(present[n])
        }
        event = max(few, key=lambda name: few[name], default=None)
    if event is None:
        names = ", ".join(list(present)[:20])
        raise BadInput(f"no field looks like an event (what happened); set event_column; fields are: {names}")
    given["event_column"] = event
    why.append(f"an event is its {event}")
    time = _named(present, _TIME_NAMES, lambda values: _unit(values) is not None)
    if time is not None:
        unit = _unit(present[time])
        given.update({"time_column": time, "session_minutes": 30})
        if unit:
            given["time_unit"] = unit
        why.append(f"its time is {time}")
    return given, ", ".join(why)


def _named(present: Dict[str, List[str]], names: Sequence[str], fits: Any) -> Optional[str]:
    by_lower = {name.lower(): name for name in reversed(list(present))}
    for name in names:
        found = by_lower.get(name)
        if found is not None and fits(present[found]):
            return found
    return None


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
