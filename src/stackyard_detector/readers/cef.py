"""Common Event Format: a line -> its header and extension fields by name. Standard library only.

"CEF:0|vendor|product|version|signature|name|severity|" and then ``key=value`` pairs parted by blanks, whose values
hold blanks too, after any syslog header (ArcSight, *Implementing ArcSight Common Event Format*, version 26). In the
header ``\\|`` and ``\\\\`` are escaped, in values ``\\=``, ``\\\\``, ``\\n`` and ``\\r``.
"""

from __future__ import annotations

import re
from typing import Dict

from stackyard_detector.readers.syslog import header_time

#: The header's fields; the two names of the signature mean the same.
HEADER = (
    "CEFVersion",
    "DeviceVendor",
    "DeviceProduct",
    "DeviceVersion",
    "SignatureID",
    "Name",
    "Severity",
)
SIGNATURE_TOO = "DeviceEventClassID"
#: The column that has the first of TIMES that a line has, else the time of its syslog header.
EVENT_TIME = "EventTime"
TIMES = ("rt", "end", "start")

_BEGIN = re.compile(r"(?<![A-Za-z0-9_])CEF: ?(?=\d)")
_HEADER_FIELD = re.compile(r"([^|\\]*(?:\\.[^|\\]*)*)\|")
#: Blanks before the last one belong to the value before it.
_KEY = re.compile(r"(?:^|(?<= ))([\w.\-\[\]]+)=")
#: Other backslashes stay: many devices write Windows names and paths as they are.
_ESCAPED = re.compile(r"\\([\\=|nr])")
_MEANT = {"n": "\n", "r": "\r"}
#: The end of a key that gives another key a name: "cs1Label".
_LABEL = "Label"


def fields(text: str) -> Dict[str, str]:
    """The fields of a CEF line: those of the header, the extension's keys, and "cs1" also as "cs1Label" calls it.

    Raises:
        ValueError: no CEF header.
    """
    begin = _BEGIN.search(text)
    if begin is None:
        raise ValueError("has no CEF header (CEF:0|...)")
    found: Dict[str, str] = {}
    at = begin.end()
    for name in HEADER:
        match = _HEADER_FIELD.match(text, at)
        if match is None:
            if name == HEADER[-1]:  # no extension, and no bar that closes the header
                found[name] = _unescaped(text[at:])
                at = len(text)
                break
            raise ValueError(f"has a CEF header that ends before {name}")
        found[name] = _unescaped(match.group(1))
        at = match.end()
    found[SIGNATURE_TOO] = found["SignatureID"]
    extension = text[at:]
    keys = list(_KEY.finditer(extension))
    labels = []
    for index, key in enumerate(keys):
        end = keys[index + 1].start() - 1 if index + 1 < len(keys) else len(extension)
        name = key.group(1)
        found.setdefault(name, _unescaped(extension[key.end() : end]))
        if name.endswith(_LABEL):
            labels.append(name)
    for name in labels:
        value = found.get(name[: -len(_LABEL)])
        if value is not None and found[name]:
            found.setdefault(found[name], value)
    time = next((found[name] for name in TIMES if found.get(name)), None) or header_time(
        text[: begin.start()]
    )
    if time:
        found.setdefault(EVENT_TIME, time)
    return found


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda match: _MEANT.get(match.group(1), match.group(1)), text)
