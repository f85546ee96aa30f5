"""Alarms in the forms that other systems read: CEF lines and documents of the Elastic Common Schema.

CEF: "Implementing ArcSight Common Event Format" (version 26): a header of seven fields between bars, then key=value
pairs whose values may hold blanks; its field names are those of the extension dictionary. ECS: the field reference of
version 8.11. Pure functions of an alarm as ``alarms.build`` makes it. Standard library only.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

ECS_VERSION = "8.11.0"
VENDOR, PRODUCT, VERSION = "Stackyard", "detector", "1"
#: What a rule or a dashboard can ask for; it never changes.
SIGNATURE = "unexpected-sequence"
NAME = "Unexpected sequence of events"

#: A line of CEF has at most this many bytes: what every receiver of RFC 5424 should take.
MOST_LINE_BYTES = 2048
#: Bytes of a value, escaped, so that a line stays below that. The dictionary allows 40 characters for externalId,
#: 1023 for msg and 4000 for the custom texts.
_BYTES = {"msg": 420, "cs1": 200, "cs2": 220, "cs3": 300, "cs4": 120, "cs5": 64, "cs6": 64}

#: What no value of CEF holds: it would end a line somewhere, or show as nothing.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]")


def cef(alarm: Mapping[str, Any]) -> str:
    """One line of CEF, without its end: no syslog header, which whatever sends it puts before."""
    header = f"CEF:0|{VENDOR}|{PRODUCT}|{VERSION}|{SIGNATURE}|{NAME}|{alarm['severity']}|"
    pairs: List[Tuple[str, Any]] = [
        ("rt", _milliseconds(alarm["end_seconds"])),
        ("start", _milliseconds(alarm["start_seconds"])),
        ("end", _milliseconds(alarm["end_seconds"])),
        ("externalId", alarm["id"][:40]),
        ("cat", "anomaly"),
    ]
    address = address_of(alarm["key"])
    if address is not None:
        # The dictionary knows IPv4 only as src; c6a2 is its source IPv6 address.
        pairs += (
            [("src", address)] if ":" not in address else _labelled("c6a2", "Source IPv6 Address", address)
        )
    pairs += _labelled("cs1", "key", alarm["key"])
    told = _telling(alarm)
    if told is not None:
        pairs += _labelled("cs2", "unexpectedEvent", _said(told))
        pairs += _labelled("cs3", "expectedEvents", _expected(told))
        pairs += _labelled("cn1", "position", told["position"])
        pairs += _labelled("cn2", "rank", told["rank"])
    pairs += _labelled("cn3", "events", alarm["events"])
    pairs += _labelled("cs4", "parts", ", ".join(alarm["parts"]) or _nearest(alarm))
    pairs += _labelled("cs5", "model", alarm["model"]["sha256"])
    pairs += _labelled("cs6", "data", alarm["data"]["sha256"])
    pairs += _labelled("cfp1", "score", alarm["score"])
    pairs += _labelled("cfp2", "threshold", alarm["threshold"])
    pairs.append(("msg", message(alarm)))
    told_pairs = [
        f"{key}={_value(value, _BYTES.get(key, 60))}" for key, value in pairs if value not in (None, "")
    ]
    return header + " ".join(told_pairs)


def ecs(alarm: Mapping[str, Any]) -> Dict[str, Any]:
    """One document of the Elastic Common Schema; the whole alarm stands in ``stackyard.alarm``."""
    start, end = alarm["start_seconds"], alarm["end_seconds"]
    document: Dict[str, Any] = {
        "@timestamp": alarm["end"] or alarm["start"] or alarm["created_at"],
        "ecs": {"version": ECS_VERSION},
        "message": message(alarm),
        "tags": ["stackyard"],
        "labels": {"session_key": alarm["key"]},
        "event": _told(
            {
                "kind": "alert",
                "category": ["intrusion_detection"],
                "type": ["info"],
                "action": SIGNATURE,
                "module": "stackyard",
                "dataset": "stackyard.alarms",
                "provider": "stackyard_detector",
                "id": alarm["id"],
                "created": alarm["created_at"],
                "start": alarm["start"],
                "end": alarm["end"],
                "duration": None if start is None or end is None else round((end - start) * 1e9),
                "severity": alarm["severity"],
                "risk_score": alarm["score"],
                "risk_score_norm": 10.0 * alarm["severity"],
                "reason": reason(alarm),
            }
        ),
        "rule": _told(
            {
                "id": SIGNATURE,
                "name": NAME,
                "category": "anomaly",
                "description": "The order, the counts or the length of a session is not like those of training.",
                "ruleset": alarm["decided_by"],
                "version": alarm["model"]["sha256"],
            }
        ),
        "observer": {"vendor": VENDOR, "product": PRODUCT, "type": "ids", "version": VERSION},
        "stackyard": {"alarm": dict(alarm)},
    }
    address = address_of(alarm["key"])
    if address is not None:
        document["source"] = {"ip": address}
        document["related"] = {"ip": [address]}
    return document


def message(alarm: Mapping[str, Any]) -> str:
    """The alarm in a sentence or two."""
    return f"{alarm['key']}: {reason(alarm)}"


def reason(alarm: Mapping[str, Any]) -> str:
    """Why there is an alarm: which event came, how improbable it was, what was expected."""
    count = f"{alarm['events']} event{'' if alarm['events'] == 1 else 's'}"
    parts = (", ".join(alarm["parts"]) or _nearest(alarm) or alarm["decided_by"]).replace("_", " ")
    first, told = alarm["first_alarm"], _telling(alarm)
    if told is None:
        return f"{count} unlike those of training ({parts})"
    words = f"at position {told['position']} of {count} came {_said(told)}"
    if not told["known"]:
        words += ", which training did not have"
    elif told["rank"] is not None:
        words += f", rank {told['rank']} by probability"
    if first is not None and first["position"] != told["position"]:
        # the alarm grew over many events, or counts or length made it
        words = (
            f"{count} unlike those of training ({parts}), certain at position {first['position']}; {words}"
        )
    elif not alarm["parts"] and alarm["nearest"] is not None:
        words += f" ({parts})"
    expected = _expected(told)
    return f"{words}; expected: {expected}" if expected else words


def address_of(key: str) -> Optional[str]:
    """The IP address that a key is, in its usual spelling; ``None``: it is something else."""
    try:
        return str(ipaddress.ip_address(key.strip().strip("[]").split("%", 1)[0]))
    except ValueError:
        return None


def _telling(alarm: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """The event to look at first."""
    return next((event for event in alarm["unexpected"] if event["position"] == alarm["look_at"]), None)


def _nearest(alarm: Mapping[str, Any]) -> str:
    """Where no part alarms alone: which one came nearest to it, in a few words."""
    near = alarm["nearest"]
    if near is None:
        return ""
    numbers = [near["score"], near["threshold"]]
    told = "" if None in numbers else f", {numbers[0]:.4g}, alarms above {numbers[1]:.4g}"
    return f"no part alone, nearest {near['part']}{told}"


def _said(event: Mapping[str, Any]) -> str:
    return event["name"] if event["text"] is None else f"{event['name']} ({event['text']})"


def _expected(told: Mapping[str, Any]) -> str:
    return ", ".join(f"{_said(one)} {100 * (one['probability'] or 0):.3g} %" for one in told["expected"])


def _labelled(key: str, label: str, value: Any) -> List[Tuple[str, Any]]:
    """A custom field and the label that says what it holds; nothing where there is no value."""
    return [] if value in (None, "") else [(f"{key}Label", label), (key, value)]


def _milliseconds(seconds: Optional[float]) -> Optional[int]:
    return None if seconds is None else round(1000 * seconds)


def _value(value: Any, most_bytes: int) -> str:
    """A value of an extension: backslash, equals sign and ends of lines escaped, cut between characters.

    Other control characters become blanks, and blanks around a value go: a reader cannot tell them from those
    between two pairs.
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    text = CONTROL.sub(" ", str(value).replace("\r\n", "\n").replace("\t", " ")).strip()
    escaped = text.translate(_ESCAPED)
    if len(escaped) <= most_bytes and len(escaped.encode("utf-8", "replace")) <= most_bytes:
        return escaped
    kept, size = [], 0
    for character in text[:most_bytes]:
        escaped = character.translate(_ESCAPED)
        size += len(escaped.encode("utf-8", "replace"))
        if size > most_bytes:
            break
        kept.append(escaped)
    return "".join(kept).rstrip(" ")


_ESCAPED = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})


def _told(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """The fields that have a value: a schema has no word for "not known"."""
    return {name: value for name, value in fields.items() if value is not None}
