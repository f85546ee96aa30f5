"""Presets for network sensors: Zeek, Suricata. Each names the maker's document that shows the form."""

from __future__ import annotations

from stackyard_detector.readers.presets.preset import Preset

SENSORS = (
    Preset(
        "suricata-eve",
        "OISF Suricata, eve.json",
        "outside address, or the source where all are inside; signature of an alert, else what the record is",
        "Suricata user guide, EVE JSON format",
        {
            "format": "jsonl",
            "external_key": {"columns": ["src_ip", "dest_ip"], "if_none": "first"},
            "event_column": ["event_type", "alert.signature_id", "proto", "app_proto"],
            "time_column": "timestamp",
            "session_minutes": 30,
        },
        r'"event_type"\s*:.*"(?:src_ip|stats)"\s*:|"src_ip"\s*:.*"event_type"\s*:',
    ),
)
