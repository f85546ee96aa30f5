"""Presets for network sensors: Zeek and Suricata."""

from __future__ import annotations

from typing import Any, Dict, List

from stackyard_detector.readers.presets.preset import Preset

_PAIR = {"columns": ["id.orig_h", "id.resp_h"], "if_none": "first"}


def _zeek(log: str, key: Any, key_words: str, event: List[str], event_words: str, looks: str) -> Preset:
    """A preset for one log of Zeek, with tabs or as JSON."""
    named = {"external_key": key} if isinstance(key, dict) else {"key_column": key}
    settings: Dict[str, Any] = {
        "format": "zeek",
        **named,
        "event_column": event if len(event) > 1 else event[0],
        "time_column": "ts",
        "session_minutes": 30,
    }
    return Preset(
        f"zeek-{log}",
        f"Zeek, {log}.log",
        f"{key_words}; {event_words}",
        f"Book of Zeek, Log Files, {log}.log",
        settings,
        rf"^#path\t{log}$|{looks}",
    )


def _zeek_json(*fields: str) -> str:
    """A regular expression for a JSON line of Zeek with these fields."""
    return r'^[^{]{0,256}\{(?=.*"ts"\s*:)' + "".join(rf'(?=.*"{field}"\s*:)' for field in fields)


_OUTSIDE = "a session is an outside address, else the originator"

SENSORS = (
    _zeek(
        "notice",
        {"columns": ["src", "dst", "id.orig_h", "peer_descr"], "if_none": "first"},
        "a session is an outside address, else the source",
        ["note"],
        "an event is the kind of notice",
        _zeek_json("note", "msg"),
    ),
    _zeek(
        "dns",
        "id.orig_h",
        "a session is a client",
        ["qtype_name", "rcode_name"],
        "an event is the type asked for and the answer's code",
        _zeek_json(r"id\.orig_h", "(?:qtype_name|query|trans_id)", "proto"),
    ),
    _zeek(
        "ssl",
        _PAIR,
        _OUTSIDE,
        ["version", "cipher", "established"],
        "an event is the version, the cipher and whether it was established",
        _zeek_json(r"id\.orig_h", "established", "(?:cipher|version|resumed)"),
    ),
    _zeek(
        "http",
        _PAIR,
        _OUTSIDE,
        ["method", "status_code"],
        "an event is the method and the status",
        _zeek_json(r"id\.orig_h", "trans_depth", "(?:method|status_code|host)"),
    ),
    _zeek(
        "conn",
        _PAIR,
        _OUTSIDE,
        ["proto", "service", "conn_state"],
        "an event is the protocol, the service and how the connection ended",
        _zeek_json(r"id\.orig_h", "conn_state"),
    ),
    Preset(
        "suricata-eve",
        "Suricata, eve.json",
        "a session is an outside address, else the source; an event is what the record is and its signature, code or "
        "status; records without addresses (stats) are passed over",
        "Suricata User Guide, EVE, Eve JSON Format",
        {
            "format": "jsonl",
            # of any type; those that have no addresses are known by it, and nobody's
            "external_key": {"columns": ["src_ip", "dest_ip", "event_type"], "if_none": "first"},
            "nobody": ["-", "stats", "engine"],
            "event_column": [
                *("event_type", "alert.signature_id", "alert.signature", "anomaly.event", "dns.rcode"),
                *("http.http_method", "http.status", "tls.version", "flow.state"),
            ],
            "time_column": "timestamp",
            "session_minutes": 30,
        },
        r'^[^{]{0,256}\{(?=.*"event_type"\s*:)(?=.*"timestamp"\s*:)(?:.*"(?:flow_id|src_ip|stats)"\s*:)',
    ),
    Preset(
        "suricata-fast",
        "Suricata, fast.log",
        "a session is an outside address, else the source; an event is the signature's number and name",
        "Suricata User Guide, Quickstart guide, Alerting",
        {
            "format": "lines",
            "fields": (
                r"^(?P<at>\S+)\s+(?:\[\w+\] )?\[\*\*\] \[(?P<id>\d+:\d+):\d+\] (?P<name>.{1,1000}?) \[\*\*\] .*"
                r"\{[\w-]{1,24}\} (?P<src>[0-9A-Fa-f.:]{2,45}?)(?::\d{1,5})? -> "
                r"(?P<dst>[0-9A-Fa-f.:]{2,45}?)(?::\d{1,5})?\s*$"
            ),
            "external_key": {"columns": ["src", "dst"], "if_none": "first"},
            "event_column": ["id", "name"],
            "time_column": "at",
            "session_minutes": 30,
        },
        r"\[\*\*\] \[\d+:\d+:\d+\] .* \[\*\*\]",
    ),
)
