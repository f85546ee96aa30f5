"""Presets of network sensors on lines in the form of the makers' documents, each named where it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.stackyard_detector.readers.presets.trying import IN, OTHER, OUT, read

#: Book of Zeek, Log Files: log -> fields, rows and the sessions that they are.
ZEEK: Dict[str, Any] = {
    "conn": (
        [
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "proto",
            "service",
            "duration",
            "conn_state",
        ],
        [
            [1767843429.1, "C1", IN, 49154, OUT, 443, "tcp", "ssl", 0.5, "SF"],
            [1767843430.1, "C2", OUT, 40000, IN, 23, "tcp", None, None, "S0"],
        ],
        [(OUT, ["tcp|ssl|SF", "tcp||S0"])],
    ),
    "dns": (
        [
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "proto",
            "query",
            "qtype_name",
            "rcode_name",
        ],
        [
            [1767843429.1, "C1", IN, 53211, "192.0.2.53", 53, "udp", "www.example.org", "A", "NOERROR"],
            [1767843430.2, "C2", IN, 53212, "192.0.2.53", 53, "udp", "nope.example.org", "A", None],
        ],
        [(IN, ["A|NOERROR", "A|"])],
    ),
    "ssl": (
        [
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "version",
            "cipher",
            "resumed",
            "established",
        ],
        [
            [
                1767843429.1,
                "C1",
                IN,
                59856,
                OUT,
                443,
                "TLSv12",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                False,
                True,
            ],
            [1767843430.1, "C2", IN, 59857, OUT, 443, None, None, False, False],
        ],
        [(OUT, ["TLSv12|TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256|true", "||false"])],
    ),
    "http": (
        [
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "trans_depth",
            "method",
            "host",
            "status_code",
        ],
        [
            [1767843429.1, "C1", IN, 46378, OUT, 80, 1, "GET", "www.example.org", 200],
            [1767843430.1, "C2", IN, 46379, OUT, 80, 1, "POST", "www.example.org", None],
        ],
        [(OUT, ["GET|200", "POST|"])],
    ),
    "notice": (
        ["ts", "uid", "id.orig_h", "id.resp_h", "note", "msg", "src", "dst", "actions"],
        [
            [
                1767843429.1,
                None,
                None,
                None,
                "Scan::Port_Scan",
                "scanned 15 ports",
                OUT,
                IN,
                "Notice::ACTION_LOG",
            ],
            [1767843430.1, "C1", IN, OTHER, "SSL::Invalid_Server_Cert", "x", IN, OTHER, "Notice::ACTION_LOG"],
        ],
        [(OUT, ["Scan::Port_Scan"]), (OTHER, ["SSL::Invalid_Server_Cert"])],
    ),
}


def _tsv(log: str, fields: List[str], rows: List[List[Any]]) -> List[str]:
    """A log as Zeek writes it with tabs: a header, unset fields as "-"."""

    def text(value: Any) -> str:
        return (
            "-"
            if value is None
            else {True: "T", False: "F"}[value]
            if isinstance(value, bool)
            else str(value)
        )

    return [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        f"#path\t{log}",
        "#open\t2026-01-08-03-37-09",
        "\t".join(["#fields", *fields]),
        "\t".join(["#types", *["bool" if isinstance(value, bool) else "string" for value in rows[0]]]),
        *("\t".join(map(text, row)) for row in rows),
        "#close\t2026-01-08-04-00-00",
    ]


@pytest.mark.parametrize("log", sorted(ZEEK))
def test_zeek_with_tabs(tmp_path: Path, log: str) -> None:
    """Book of Zeek, Log Files, the page of each log; Zeek Log Formats and Inspection for the header."""
    fields, rows, _ = ZEEK[log]
    assert read(tmp_path, f"zeek-{log}", _tsv(log, fields, rows)) == ZEEK[log][2]


@pytest.mark.parametrize("log", sorted(ZEEK))
def test_zeek_as_json(tmp_path: Path, log: str) -> None:
    """Book of Zeek, Log Files, the page of each log: JSON leaves unset fields out."""
    fields, rows, _ = ZEEK[log]
    lines = [
        json.dumps({f: v for f, v in zip(fields, row) if v is not None}, separators=(",", ":"))
        for row in rows
    ]
    assert read(tmp_path, f"zeek-{log}", lines) == ZEEK[log][2]


def test_suricata_eve(tmp_path: Path) -> None:
    """Suricata User Guide, Eve JSON Format: alert, dns, http, tls, flow, ssh, anomaly and stats in one file."""

    def row(kind: str, **more: Any) -> str:
        common = {
            "timestamp": "2026-01-08T03:37:09.534255+0000",
            "flow_id": 1677174447397293,
            "event_type": kind,
            "src_ip": IN,
            "src_port": 5555,
            "dest_ip": OUT,
            "dest_port": 80,
            "proto": "TCP",
        }
        return json.dumps({**common, **more})

    lines = [
        row(
            "alert",
            alert={
                "action": "allowed",
                "gid": 1,
                "signature_id": 2001219,
                "rev": 20,
                "signature": "ET SCAN x",
            },
        ),
        row("dns", dns={"type": "answer", "rcode": "NXDOMAIN", "rrname": "nope.example.org"}),
        row("http", http={"hostname": "www.example.org", "http_method": "GET", "status": 200}),
        row("tls", tls={"version": "TLS 1.3", "sni": "www.example.org"}),
        row("flow", flow={"state": "closed", "reason": "timeout"}),
        row("ssh", ssh={"client": {"proto_version": "2.0"}}),
        row("anomaly", anomaly={"type": "stream", "event": "stream.pkt_retransmission"}),
        json.dumps(
            {"timestamp": "2026-01-08T03:37:10.000000+0000", "event_type": "stats", "stats": {"uptime": 30}}
        ),
    ]
    assert read(tmp_path, "suricata-eve", lines) == [
        (
            OUT,
            [
                "alert|2001219|ET SCAN x||||||",
                "dns||||NXDOMAIN||||",
                "http|||||GET|200||",
                "tls|||||||TLS 1.3|",
                "flow||||||||closed",
                "ssh||||||||",
                "anomaly|||stream.pkt_retransmission|||||",
            ],
        )
    ]


def test_suricata_fast(tmp_path: Path) -> None:
    """Suricata User Guide, Quickstart guide, Alerting; the year is there where the user wants it."""
    more = "[**] [Classification: Attempted Information Leak] [Priority: 2]"
    lines = [
        f"01/08-03:37:09.100001  [**] [1:2001219:20] ET SCAN Potential SSH Scan {more} {{TCP}} {OUT}:40222 -> {IN}:22",
        f"01/08/2026-03:37:10.200002  [Drop] [**] [1:2010935:3] ET SCAN [x] MSSQL {more} {{TCP}} {IN}:1 -> {OUT}:1433",
        f"01/08-03:37:11.300003  [**] [1:2100366:8] GPL ICMP PING {more} {{ICMP}} {OUT}:8 -> {IN}:0",
        f"01/08-03:37:12.300003  [**] [1:2200075:2] SURICATA UDPv6 x {more} {{UDP}} 2001:db8::7:53 -> 2001:db8:1::5:53",
    ]
    found = [event for _, events in read(tmp_path, "suricata-fast", lines) for event in events]
    assert sorted(found) == [
        "1:2001219|ET SCAN Potential SSH Scan",
        "1:2010935|ET SCAN [x] MSSQL",
        "1:2100366|GPL ICMP PING",
        "1:2200075|SURICATA UDPv6 x",
    ]
    assert "2001:db8::7" in {key for key, _ in read(tmp_path, "suricata-fast", lines)}
