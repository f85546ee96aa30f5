"""Presets for web servers, clouds, and formats that many products write (CEF, LEEF, ECS, syslog)."""

from __future__ import annotations

import dataclasses

from stackyard_detector.readers.presets.preset import ADDRESS, SERVICE, TIME, Preset

_OUTSIDE = "a session is an outside address, else the source"
_APACHE = Preset(
    "apache",
    "Apache HTTP Server, access log (common and combined)",
    "a session is a client's address for 30 minutes; an event is the method and the status",
    "Apache HTTP Server documentation, Log Files, Access Log",
    {
        "format": "lines",
        "fields": (
            # a virtual host before the client, with a port or before an address; of the addresses of X-Forwarded-For,
            # the first is the client's
            rf"^(?:[A-Za-z][\w.-]*:\d+ |(?!{ADDRESS} )[^\s,]+ (?={ADDRESS}[ ,]))?(?P<client>[^\s,]+)(?:, ?[^\s,]+)* "
            r"\S+ .*?\[(?P<at>\d\d/\w{3}/\d{4}:[\d:]+ [+-]\d{4})\] "
            r'"(?:(?P<method>[A-Z]{3,16}) )?(?:[^"\\]|\\.)*" (?P<status>\d{3}) '
        ),
        "key_column": "client",
        "event_column": ["method", "status"],
        "time_column": "at",
        "time_format": "%d/%b/%Y:%H:%M:%S %z",
        "session_minutes": 30,
    },
    r'^(?:[A-Za-z][\w.-]*:\d+ )?\S+ \S+ .*?\[\d\d/\w{3}/\d{4}:[\d:]+ [+-]\d{4}\] "(?:[^"\\]|\\.)*" \d{3} ',
)
_ECS = Preset(
    "ecs",
    "Elastic Common Schema, of any product",
    f"{_OUTSIDE}, else the host; an event is its category, action and outcome",
    "Elastic Common Schema reference, Event fields, Source fields",
    {
        "format": "jsonl",
        "external_key": {
            "columns": ["source.ip", "destination.ip", "client.ip", "host.name", "agent.name"],
            "if_none": "first",
        },
        "event_column": ["event.category", "event.action", "event.outcome"],
        "time_column": "@timestamp",
        "session_minutes": 30,
    },
    r'^(?!.*"_source"\s*:)(?=.*"@timestamp"\s*:)'
    r'(?:.*"event"\s*:\s*\{.*"(?:action|category|kind)"|.*"event\.(?:action|category|kind)")',
)

SERVICES = (
    Preset(
        "cef",
        "ArcSight Common Event Format, of any product",
        f"{_OUTSIDE}, else the device; an event is the signature's id and name, the action and its outcome",
        "ArcSight, Implementing ArcSight Common Event Format (CEF), version 26",
        {
            "format": "cef",
            "external_key": {
                "columns": ["src", "dst", "shost", "dhost", "dvchost", "dvc", "DeviceProduct"],
                "if_none": "first",
            },
            "event_column": ["SignatureID", "Name", "act", "outcome"],
            "time_column": "EventTime",
            "time_unit": "ms",
            "session_minutes": 30,
        },
        r"\bCEF: ?\d+\|",
    ),
    Preset(
        "leef",
        "IBM QRadar Log Event Extended Format, of any product",
        f"{_OUTSIDE}, else the product; an event is the event's id and category",
        "IBM QRadar Log Event Extended Format (LEEF) version 2 guide",
        {
            "format": "leef",
            "external_key": {"columns": ["src", "dst", "identHostName", "Product"], "if_none": "first"},
            "event_column": ["EventID", "cat"],
            "time_column": "EventTime",
            "time_unit": "ms",
            "session_minutes": 30,
        },
        r"\bLEEF: ?\d+(?:\.\d+)?\|",
    ),
    _APACHE,
    dataclasses.replace(
        _APACHE,
        name="nginx",
        product="nginx, access log (combined)",
        document="nginx documentation, Module ngx_http_log_module, log_format combined",
        looks="",
    ),
    Preset(
        "aws-vpc-flow",
        "Amazon VPC flow logs, version 2, default format",
        f"{_OUTSIDE}; an event is the action, the protocol and the service; records without data are passed over",
        "Amazon VPC User Guide, Flow log records, Available fields",
        {
            "format": "lines",
            "fields": [
                rf"^\d+ \S+ \S+ (?P<src>\S+) (?P<dst>\S+) \S+ (?:(?P<service>{SERVICE})|\S+) (?P<proto>\S+) \S+ \S+ "
                r"(?P<at>\d+) \d+ (?P<action>\S+) (?P<status>\S+)$",
                r"^(?P<status>version) account-id ",
            ],
            "where": {"status": "OK"},
            "external_key": {"columns": ["src", "dst"], "if_none": "first"},
            "event_column": ["action", "proto", "service"],
            "time_column": "at",
            "session_minutes": 30,
        },
        r"^(?:2 (?:\d{12}|unknown) (?:eni-|-)|version account-id interface-id )",
    ),
    Preset(
        "aws-cloudtrail",
        "AWS CloudTrail, log files",
        "a session is a source address (or a service of AWS) for 30 minutes; an event is the service, the call, its "
        "error and the outcome of a login",
        "AWS CloudTrail User Guide, CloudTrail log file examples",
        {
            "format": "jsonl",
            "key_column": "sourceIPAddress",
            "event_column": ["eventSource", "eventName", "errorCode", "responseElements.ConsoleLogin"],
            "time_column": "eventTime",
            "session_minutes": 30,
        },
        r'^(?=.*"eventSource"\s*:)(?=.*"eventName"\s*:).*"sourceIPAddress"\s*:',
    ),
    _ECS,
    Preset(
        "ecs-export",
        "Elastic Common Schema, documents as they lie in an index",
        _ECS.help,
        "Elasticsearch, Search API, hits.hits; Elastic Common Schema reference",
        {
            **_ECS.settings,
            "external_key": {
                "columns": [f"_source.{name}" for name in _ECS.settings["external_key"]["columns"]],
                "if_none": "first",
            },
            "event_column": [f"_source.{name}" for name in _ECS.settings["event_column"]],
            "time_column": "_source.@timestamp",
        },
        r'"_source"\s*:\s*\{.*"@timestamp"\s*:',
    ),
    Preset(
        "syslog",
        "Syslog (RFC 5424, RFC 3164) of any program",
        "a session is a host for 30 minutes; an event is the program and the template of its message",
        "RFC 5424, section 6; RFC 3164, section 4",
        {
            "format": "syslog",
            "key_column": "host",
            "event_column": ["app", "template"],
            "time_column": "timestamp",
            "session_minutes": 30,
        },
        rf"^(?:<\d{{1,3}}>)?(?:1 )?(?:{TIME})\s+\S+ (?:[\w./()-]+(?:\[\d+\])?: |[\w./-]+ \S+ \S+ )",
    ),
)
