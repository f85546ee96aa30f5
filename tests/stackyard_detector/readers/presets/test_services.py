"""Presets of web servers, clouds and common formats on lines in the form of the makers' documents, named at each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackyard_detector.readers import Quarantine, read_sessions
from tests.stackyard_detector.readers.presets.trying import IN, OTHER, OUT, OUT6, read


@pytest.mark.parametrize("name", ["apache", "nginx"])
def test_access_logs(tmp_path: Path, name: str) -> None:
    """Apache HTTP Server, Log Files, Access Log; nginx, ngx_http_log_module, log_format combined."""
    at = "[08/Jan/2026:03:37:09 +0100]"
    lines = [
        f'{OUT} - frank {at} "GET /apache_pb.gif HTTP/1.0" 200 2326',
        f'{OUT} - - {at} "POST /wp-login.php HTTP/1.1" 404 162 "http://x/\\"y\\"" "Mozilla/4.08 [en] (Win98; I ;Nav)"',
        f'{OUT6} - - {at} "-" 408 0 "-" "-"',
        f'{OUT6} - - {at} "\\x16\\x03\\x01" 400 150 "-" "-"',
        f'www.example.org:443 {OTHER} - a b {at} "HEAD / HTTP/1.1" 301 0 "-" "curl/8"',
        f'www.example.org {OTHER} - - {at} "GET / HTTP/1.1" 200 0',
        f'{OTHER}, 10.0.0.1, 10.0.0.2 - - {at} "GET / HTTP/1.1" 201 0',
        f'{OTHER} - {OUT} {at} "GET / HTTP/1.1" 401 0',
    ]
    assert sorted(read(tmp_path, name, lines, guess=name == "apache")) == [
        (OUT, ["GET|200", "POST|404"]),
        (OUT6, ["|408", "|400"]),
        (OTHER, ["HEAD|301", "GET|200", "GET|201", "GET|401"]),
    ]


def test_cef(tmp_path: Path) -> None:
    """ArcSight, Implementing ArcSight Common Event Format, header and extension."""
    lines = [
        f"<134>Jan  8 03:37:09 fw1 CEF:0|Example|Gate|1.0|18|Web request|3|rt=1767843429000 src={OUT} dst={IN} "
        r"act=Connection reset by peer msg=two words \= here cs1Label=rule cs1=web in",
        f"CEF:0|Example|Gate|1.0|19|Login \\| portal|6|rt=Jan 08 2026 03:37:12 src={IN} dst={OUT} act=allowed "
        "outcome=failure",
        "CEF:0|Example|Gate|1.0|100|Started|1|rt=1767843433000 dvchost=gate-1",
        f"<134>2026-01-08T03:38:09Z fw1 CEF:0|Example|Gate|1.0|20|Without rt|3|src={OUT}",
    ]
    assert sorted(read(tmp_path, "cef", lines)) == [
        (
            OUT,
            [
                "18|Web request|Connection reset by peer|",
                "19|Login | portal|allowed|failure",
                "20|Without rt||",
            ],
        ),
        ("gate-1", ["100|Started||"]),
    ]


def test_leef(tmp_path: Path) -> None:
    """IBM QRadar LEEF guide, versions 1.0 (tabs) and 2.0 (a character of its own)."""
    lines = [
        f"LEEF:1.0|Example|XTM|12.5|3|src={OUT}\tdst={IN}\tcat=deny\tmsg=blocked port\tdevTime=Jan 08 2026 03:37:09",
        f"<13>Jan 18 11:07:53 host LEEF:2.0|Example|XTM|12.5|4|^|src={IN}^dst={OUT}^cat=let go^devTime=1767843430000",
        "LEEF:1.0|Example|XTM|12.5|9|cat=start\tdevTime=1767843431000",
    ]
    found = [(OUT, ["3|deny", "4|let go"]), ("XTM", ["9|start"])]
    assert sorted(read(tmp_path, "leef", lines)) == found
    timeless = f"LEEF:2.0|Example|XTM|12.5|5|^|src={OUT}^cat=deny"
    assert sorted(read(tmp_path, "leef", [*lines, timeless], quarantined=1)) == found


def test_aws_vpc_flow(tmp_path: Path) -> None:
    """Amazon VPC User Guide, Flow log records: default format, accepted, rejected and no data, with a header."""
    lines = [
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
        "log-status",
        f"2 123456789010 eni-0a1b {OUT} {IN} 40222 22 6 20 4249 1767843429 1767843489 REJECT OK",
        "2 123456789010 eni-0a1b - - - - - - - 1767843489 1767843549 - NODATA",
        f"2 123456789010 eni-0a1b {IN} {OUT} 443 40223 6 10 840 1767843549 1767843609 ACCEPT OK",
        f"2 123456789010 eni-0a1b {OUT6} 2001:db8:1::5 34892 22 6 54 8855 1767843550 1767843609 ACCEPT OK",
    ]
    assert sorted(read(tmp_path, "aws-vpc-flow", lines)) == [
        (OUT, ["REJECT|6|22", "ACCEPT|6|"]),
        (OUT6, ["ACCEPT|6|22"]),
    ]


def test_aws_cloudtrail(tmp_path: Path) -> None:
    """AWS CloudTrail User Guide, CloudTrail log file examples: one document with Records, or one record a line."""
    records = [
        {
            "eventVersion": "1.08",
            "userIdentity": {"type": "IAMUser", "userName": "one"},
            "eventTime": "2026-01-08T03:37:09Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "GetObject",
            "awsRegion": "us-east-1",
            "sourceIPAddress": OUT,
        },
        {
            "eventTime": "2026-01-08T03:37:10Z",
            "eventSource": "signin.amazonaws.com",
            "eventName": "ConsoleLogin",
            "responseElements": {"ConsoleLogin": "Failure"},
            "sourceIPAddress": OUT,
        },
        {
            "userIdentity": {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"},
            "eventTime": "2026-01-08T03:37:10Z",
            "eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRole",
            "errorCode": "AccessDenied",
            "sourceIPAddress": "ec2.amazonaws.com",
        },
    ]
    expected = [
        (OUT, ["s3.amazonaws.com|GetObject||", "signin.amazonaws.com|ConsoleLogin||Failure"]),
        ("ec2.amazonaws.com", ["sts.amazonaws.com|AssumeRole|AccessDenied|"]),
    ]
    assert read(tmp_path, "aws-cloudtrail", [json.dumps(record) for record in records]) == expected
    assert read(tmp_path, "aws-cloudtrail", [json.dumps({"Records": records})]) == expected
    assert (
        read(tmp_path, "aws-cloudtrail", json.dumps({"Records": records}, indent=1).splitlines()) == expected
    )


def test_ecs(tmp_path: Path) -> None:
    """Elastic Common Schema reference: objects, dotted names, and a document as it lies in an index."""
    first = {
        "@timestamp": "2026-01-08T03:37:09.000Z",
        "source": {"ip": OUT},
        "destination": {"ip": IN},
        "event": {"category": ["authentication"], "action": "login", "outcome": "failure"},
    }
    dotted = {
        "@timestamp": "2026-01-08T03:37:10.000Z",
        "source.ip": OUT,
        "event.category": "authentication",
        "event.action": "login",
        "event.outcome": "success",
    }
    host = {"@timestamp": "2026-01-08T03:37:11.000Z", "host": {"name": "web-1"}, "event": {"action": "start"}}
    found = dict(read(tmp_path, "ecs", [json.dumps(first), json.dumps(dotted), json.dumps(host)]))
    assert [event.split("|", 1)[1] for event in found[OUT]] == ["login|failure", "login|success"]
    assert found["web-1"] == ["|start|"]
    exported = [json.dumps({"_index": "x", "_source": source}) for source in (first, dotted, host)]
    assert dict(read(tmp_path, "ecs-export", exported)) == found


def test_syslog(tmp_path: Path) -> None:
    """RFC 5424, section 6.5, and RFC 3164, section 5.4."""
    lines = [
        "<34>1 2026-01-08T03:37:09.003Z host-1 su - ID47 - 'su root' failed for alice on /dev/pts/8",
        '<165>1 2026-01-08T03:37:10.003Z host-1 evntslog - ID47 [x@32473 iut="3"] An application event',
        "<34>Jan  8 03:37:11 host-2 cron[77]: job 5 finished",
        "Jan  8 03:37:12 host-2 cron[78]: job 6 finished",
    ]
    found = read(tmp_path, "syslog", lines)
    assert sorted({key for key, _ in found}) == ["host-1", "host-2"]
    events = [e for key, events in found for e in events if key == "host-2"]
    assert len(events) == 2
    assert set(events) == {events[0]}
    assert events[0].startswith("cron|")


def test_leef_without_any_time_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    """As the page of log formats says: the format in place of the preset."""
    path = tmp_path / "log"
    path.write_text(
        f"LEEF:2.0|Example|XTM|12.5|5|^|src={OUT}^cat=deny\nLEEF:1.0|Example|XTM|12.5|3|src={OUT}\n"
    )
    source = {"path": str(path), "format": "leef", "key_column": "src", "event_column": "EventID"}
    (session,) = read_sessions({"sources": [source]}, Quarantine(limit=0))
    assert (session.key, session.events) == (OUT, ["5", "3"])
