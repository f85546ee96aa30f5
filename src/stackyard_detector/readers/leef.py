"""Log Event Extended Format 1.0 and 2.0: a line -> its header and attributes by name. Standard library only.

"LEEF:1.0|vendor|product|version|event|" and then ``key=value`` parted by tabs; in 2.0 a further field of the header
names another character that parts them, as itself or by its number ("x5E", "0x5E"). Nothing is escaped (IBM,
*QRadar Log Event Extended Format guide*). Some products part them by bars without saying so: where no tab does, a bar
before a key does.
"""

from __future__ import annotations

import re
from typing import Dict, Optional

from stackyard_detector.readers.syslog import header_time

HEADER = ("LEEFVersion", "Vendor", "Product", "Version", "EventID")
#: The column that has devTime, else the time of the syslog header.
EVENT_TIME = "EventTime"

_BEGIN = re.compile(r"(?<![A-Za-z0-9_])LEEF: ?(?=\d)")
_NUMBER = re.compile(r"(?:0?[xX]|\\[xXu])([0-9A-Fa-f]{1,4})")
_TAB = "\t"
#: A tab as rsyslog writes it unless it is told otherwise, before a key.
_ESCAPED_TAB = re.compile(r"#011(?=[\w.\-]+=)")
_BAR = re.compile(r"\|(?=[\w.\-]+=)")


def fields(text: str) -> Dict[str, str]:
    """The fields of a LEEF line: those of the header and the attributes; the first of a repeated key counts.

    Raises:
        ValueError: no LEEF header, or no attributes after it.
    """
    begin = _BEGIN.search(text)
    if begin is None:
        raise ValueError("has no LEEF header (LEEF:1.0|...)")
    parts = text[begin.end() :].split("|", len(HEADER))
    if len(parts) <= len(HEADER):
        raise ValueError(f"has a LEEF header of {len(parts)} fields, expected {len(HEADER)}")
    found = dict(zip(HEADER, parts))
    attributes, delimiter = parts[-1], _TAB
    if not found["LEEFVersion"].startswith("1"):
        named, bar, rest = attributes.partition("|")
        parting = _delimiter(named) if bar else None
        if parting is not None:  # else the field was left out, and the bar belongs to a value
            attributes, delimiter = rest, parting
    if delimiter == _TAB and _TAB not in attributes:
        attributes = _ESCAPED_TAB.sub(_TAB, attributes)
        if _TAB not in attributes:
            attributes = _BAR.sub(_TAB, attributes)
    for attribute in attributes.split(delimiter):
        name, sign, value = attribute.partition("=")
        name = name.strip()
        if sign and name:
            found.setdefault(name, value)
    time = found.get("devTime") or header_time(text[: begin.start()])
    if time:
        found.setdefault(EVENT_TIME, time)
    return found


def _delimiter(text: str) -> Optional[str]:
    """The character that ``text`` names; ``None``: none."""
    if len(text) == 1:
        return text
    if not text:
        return _TAB
    match = _NUMBER.fullmatch(text)
    return chr(int(match.group(1), 16)) if match is not None else None
