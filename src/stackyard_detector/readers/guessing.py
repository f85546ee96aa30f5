"""Which format, and which preset, the first lines of a file look like, and why. A guess, said as one.

Standard library only.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from stackyard_detector.readers.choosing import EVENTS, KEYS, TIMES, Rows, chosen, is_clock, time_field
from stackyard_detector.readers.files import LINE_BYTES
from stackyard_detector.readers.json_documents import first_objects
from stackyard_detector.readers.json_shapes import HEAD_BYTES, Asked, holds_documents
from stackyard_detector.readers.presets import PRESETS, Preset, without_preset
from stackyard_task.channel import BadInput

#: How many lines are looked at, and how many letters of each.
SAMPLE_LINES = 200
LETTERS = 8192
#: The share of lines that must look like it.
_SHARE = 0.6
#: Names of fields at most, of a JSON object with its objects.
_FIELDS = 300

#: No settings.
_NOTHING: Mapping[str, Any] = {}
_PAIR = re.compile(r'(?:^|[\s,;(])([A-Za-z_][\w.\-]*)=(?:"([^"]*)"|([^\s",;]+))')
_ADDRESS = r"\b((?:\d{1,3}\.){3}\d{1,3})\b"
_TIMES = (
    (r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)", ""),
    (r"^(?:<\d+>)?([A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d)", "%b %d %H:%M:%S"),
    (r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]", "%d/%b/%Y:%H:%M:%S %z"),
)


@dataclass(frozen=True)
class Guess:
    """Settings for a file, without its path, and the sentence that says why."""

    settings: Dict[str, Any]
    why: str


def guessed(
    sample: Sequence[str],
    given: Optional[Mapping[str, Any]] = None,
    reads: Callable[[Mapping[str, Any]], bool] = lambda settings: True,
) -> Guess:
    """What lines look like.

    Args:
        sample: the first lines of a file, as text.
        given: settings that stand: what they say is not guessed, nor told as a guess.
        reads: whether settings of a preset make something of the lines; a preset that reads nothing is no guess.

    Raises:
        BadInput: like nothing that the readers know.
    """
    given = {} if given is None else given
    lines = [line for line in sample if line.strip()]  # of a JSON document more than SAMPLE_LINES
    if not lines:
        raise BadInput("the first lines are blank: nothing can be guessed; say format and what it needs")
    letters = "".join(line[:LETTERS] for line in lines[:50])
    if "\0" in letters or letters.count("\ufffd") > 0.05 * len(letters):
        raise BadInput(
            "is no text in UTF-8: say its encoding (such as utf-16 or cp1252), or convert what is binary; Windows "
            "event logs (EVTX) become lines with evtx_dump"
        )
    if lines[0].lstrip()[:1] in ("{", "["):
        is_piece = 4 * len(lines[0]) >= LINE_BYTES  # of a longer line, perhaps
        text = lines[0] if is_piece else "\n".join(lines)
        asked = asked_by_lines(text[:HEAD_BYTES], given)
        if holds_documents(text, is_piece, asked):
            lines = [json.dumps(value) for value in first_objects(text, SAMPLE_LINES, asked)] or lines
    for by_preset in _presets(lines):
        if reads(by_preset.settings):
            return by_preset
    for guess in (_json, _sequences, _csv, _key_value):
        found = guess(lines, given)
        if found is not None and (not found.settings.get("preset") or reads(found.settings)):
            return found
    return _lines(lines, given)


def asked_by_lines(text: str, given: Mapping[str, Any] = _NOTHING) -> Asked:
    """What is asked of a file that begins with ``text``, if its lines are taken for the records: nothing, if none is.

    A list of objects in a line is a field where the line has by itself what makes a row, else its records.
    """
    lines = [line for line in text.split("\n") if line.strip()][:SAMPLE_LINES]
    try:
        found = (_preset(lines) or _json(lines, given)) if lines else None
    except BadInput:
        return Asked()
    return Asked() if found is None else Asked.by_settings(without_preset({**found.settings, **given}, ""))


def _preset(lines: Sequence[str]) -> Optional[Guess]:
    """The preset that most lines look like, the first of PRESETS among equals."""
    return next(_presets(lines), None)


def _presets(lines: Sequence[str]) -> Iterator[Guess]:
    """The presets that most lines look like, the likest first, in the order of PRESETS among equals."""
    short = [line[:LETTERS] for line in lines]
    rows = [line for line in short if not line.startswith("#")] or short
    like: List[Tuple[int, Preset]] = []
    for preset in PRESETS:
        if preset.looks:
            finds = re.compile(preset.looks).search
            # a header that says what the file is (#path dns) speaks for all rows below it
            told = any(finds(line) for line in short if line.startswith("#"))
            count = len(rows) if told else sum(finds(line) is not None for line in rows)
            if count and count >= _SHARE * len(rows):
                like.append((count, preset))
    for count, preset in sorted(like, key=lambda each: -each[0]):
        said = (
            f"preset {preset.name!r} ({preset.product}): {count} of the first {len(rows)} lines look like it"
        )
        yield Guess({"preset": preset.name}, said)


def unused_time(sample: Sequence[str], format: str, delimiter: str = ",") -> Optional[str]:
    """What of lines in this format looks like a time, in a few words; ``None``: nothing does."""
    lines = [line for line in sample if line.strip()]
    rows = rows_of(lines, format, delimiter)
    field = time_field(rows) if rows else None
    if field is not None:
        return field
    if format in ("lines", "key-value", "syslog"):
        short = [line[:LETTERS] for line in lines]
        for pattern, _ in _TIMES:
            if short and sum(re.search(pattern, line) is not None for line in short) >= _SHARE * len(short):
                return (
                    "the beginning of a line" if is_clock([short[0].lstrip("[")]) else "a part of each line"
                )
    return None


def rows_of(lines: Sequence[str], format: str, delimiter: str = ",") -> Rows:
    """The rows of the first lines of a file by the names of their fields; none of a format without names."""
    if format == "jsonl":
        return _json_rows(lines)
    if format in ("csv", "csv-sequences"):
        table = list(csv.reader((line + "\n" for line in lines[:50]), delimiter=delimiter))
        return [dict(zip((name.strip() for name in table[0]), row)) for row in table[1:]]
    return _pairs(lines) if format == "key-value" else []


def _json_rows(lines: Sequence[str]) -> List[Dict[str, Optional[str]]]:
    rows: List[Dict[str, Optional[str]]] = []
    for value in _objects(lines[:50]):
        flat: Dict[str, Optional[str]] = {}
        _flatten(value, "", flat, 0)
        rows.append(flat)
    return rows


def _json(lines: Sequence[str], given: Mapping[str, Any] = _NOTHING) -> Optional[Guess]:
    rows = _json_rows(lines)
    if not rows or len(rows) < _SHARE * len(lines[:50]):
        return None
    found, why = chosen(rows, given)
    return Guess({"format": "jsonl", **found}, f"format 'jsonl': the lines are JSON objects; {why}")


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


def _sequences(lines: Sequence[str], given: Mapping[str, Any] = _NOTHING) -> Optional[Guess]:
    fits = [re.fullmatch(r"[A-Za-z]?\d+(?:\s+[A-Za-z]?\d+)+\s*", line) is not None for line in lines]
    if sum(fits) < 0.9 * len(lines):
        return None
    return Guess({"format": "sequences"}, "format 'sequences': each line is a list of numbered events")


def _csv(lines: Sequence[str], given: Mapping[str, Any] = _NOTHING) -> Optional[Guess]:
    best: Optional[Tuple[str, List[List[str]]]] = None
    for delimiter in (given["delimiter"],) if _is_letter(given.get("delimiter")) else (",", ";", "\t", "|"):
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
        name and not _PAIR.search(name) and not re.match(r"[\d-]*\.?\d+$|\d{4}-\d\d-\d\d|[\d.]+$", name)
        for name in header
    )
    as_csv: Dict[str, Any] = (
        {"format": "csv"} if delimiter == "," else {"format": "csv", "delimiter": delimiter}
    )
    if not is_header:
        return None
    if header.count("events") == 1:
        return Guess(
            {**as_csv, "format": "csv-sequences"}, "format 'csv-sequences': its header has a column 'events'"
        )
    for preset in PRESETS:
        if preset.settings["format"] in ("zeek", "jsonl") and set(_columns(preset)) <= set(header):
            said = f"preset {preset.name!r} ({preset.product}) as CSV: its columns are in the header"
            return Guess({"preset": preset.name, **as_csv}, said)
    found, why = chosen([dict(zip(header, row)) for row in rows[1:]], given)
    said = f"format 'csv': a header and {len(header)} columns separated by {delimiter!r}; {why}"
    return Guess({**as_csv, **found}, said)


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


def _is_letter(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1


def _pairs(lines: Sequence[str]) -> List[Dict[str, Optional[str]]]:
    """The pairs of the lines that hold at least three."""
    rows: List[Dict[str, Optional[str]]] = []
    for line in lines:
        found = _PAIR.findall(line[:LETTERS])
        if len(found) >= 3:
            rows.append({name: quoted or plain for name, quoted, plain in reversed(found)})
    return rows


def _key_value(lines: Sequence[str], given: Mapping[str, Any] = _NOTHING) -> Optional[Guess]:
    rows = _pairs(lines)
    if len(rows) < _SHARE * len(lines):
        return None
    found, why = chosen(rows, given)
    said = f"format 'key-value': {len(rows)} of {len(lines)} lines hold pairs such as {next(iter(rows[0]))}=...; {why}"
    return Guess({"format": "key-value", **found}, said)


def _lines(lines: Sequence[str], given: Mapping[str, Any] = _NOTHING) -> Guess:
    said = "format 'lines': neither JSON, CSV nor pairs of key and value"
    found: Dict[str, Any] = {"format": "lines"}
    if not any(name in given for name in KEYS):
        found["key_pattern"], why = _key_of_lines(lines)
        said += f"; {why}"
    if not any(name in given for name in TIMES):
        for pattern, time_format in _TIMES:
            if sum(re.search(pattern, line) is not None for line in lines) >= _SHARE * len(lines):
                found["time_pattern"] = pattern
                if "session_minutes" not in given:
                    found["session_minutes"] = 30
                if time_format and "time_format" not in given:
                    found["time_format"] = time_format
                break
    if not any(name in given for name in EVENTS):
        said += "; an event is a template of the message"
    return Guess(found, said)


def _key_of_lines(lines: Sequence[str]) -> Tuple[str, str]:
    """A pattern that finds the key, and the words that say so."""
    addressed = sum(re.search(_ADDRESS, line) is not None for line in lines)
    blocks = sum(re.search(r"blk_-?\d+", line) is not None for line in lines)
    host = r"^(?:<\d+>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ ([\w./-]+)"
    if blocks >= 0.3 * len(lines):
        return r"(blk_-?\d+)", "a session is a block"
    if addressed >= 0.3 * len(lines):
        return _ADDRESS, f"a session is an address, which {addressed} of {len(lines)} lines name"
    if sum(re.search(host, line) is not None for line in lines) >= _SHARE * len(lines):
        return host, "a session is a program of the syslog header"
    raise BadInput(
        "nothing in the first lines looks like a key (an address, a block, a syslog program); say what makes "
        "a session: format 'lines' with key_pattern, or another format with key_column"
    )
