"""The readers on the public data sets; skipped where these are not here."""

from __future__ import annotations

import csv
import lzma
from collections import Counter

import pytest

ALERTS = {
    "format": "csv",
    "key_column": "ip",
    "time_column": "time",
    "event_column": "short",
    "label_column": "event_label",
    "session_minutes": 30,
    "max_events": 1000,
}


@pytest.mark.parametrize("scenario", ["russellmitchell", "santos"])
def test_ait_alerts_per_ip_and_30_minutes_agree_with_the_derived_sessions(real_data, read, scenario):
    with real_data("ait_ads/sessions_30min/alert_types.csv").open(encoding="utf-8") as stream:
        types = {row["id"]: row["short"] for row in csv.DictReader(stream)}
    with lzma.open(
        real_data(f"ait_ads/sessions_30min/{scenario}_sessions.csv.xz"), "rt", encoding="utf-8"
    ) as stream:
        derived = list(csv.DictReader(stream))
    path = real_data(f"ait_ads/{scenario}_alerts.csv.xz")
    sessions, quarantine = read(path, time_order="file", **ALERTS)
    ours = {(s.key, int(s.started_at // 1800) * 1800): (s.events, s.label) for s in sessions}
    theirs = {
        (row["ip"], int(row["window_start"])): ([types[e] for e in row["events"].split()], int(row["label"]))
        for row in derived
    }
    assert ours == theirs
    assert quarantine.count == 0
    # The file lists one sensor after the other; in the order of time only the order differs.
    in_time, _ = read(path, **{**ALERTS, "max_events": None})
    assert [(s.key, s.label) for s in in_time] == [(s.key, s.label) for s in sessions]


def test_hdfs_sequences(real_data, read):
    train, _ = read(real_data("hdfs_logdeep/hdfs_train.gz"), format="sequences", label=0)
    assert (len(train), len({e for s in train for e in s.events})) == (4855, 14)
    normal, _ = read(
        real_data("hdfs_logdeep/hdfs_test_normal_sampleA_11151.csv.gz"),
        format="csv-sequences",
        key_column="block_id",
    )
    assert len(normal) == 11_151
    assert normal[0].key.startswith("blk_")


def test_raw_hdfs_lines(real_data, read):
    sessions, quarantine = read(
        real_data("logai_samples/HDFS_20000.log.gz"),
        format="lines",
        key_pattern=r"(blk_-?\d+)",
        time_pattern=r"^(\d{6} \d{6})",
        time_format="%y%m%d %H%M%S",
        message_pattern=r"^\d{6} \d{6} \d+ \w+ (.*)$",
    )
    assert quarantine.results() == {"quarantined_lines": 0, "lines_read": 20_000}
    names = {e for s in sessions for e in s.events}
    assert 5 <= len(names) <= 30
    assert "<unmatched>" not in names


def test_suricata_alerts_by_external_address(real_data, read):
    sessions, quarantine = read(
        real_data("suricata_eve_alerts/first-org-conf-2015_alerts-only.json.gz"),
        format="jsonl",
        external_key={"columns": ["src_ip", "dest_ip"]},
        time_column="timestamp",
        event_column="alert.signature",
        label=1,
    )
    assert quarantine.count == 0
    assert len(sessions) == 57
    assert not [s.key for s in sessions if s.key.startswith(("10.", "192.168."))]


def test_zeek_connections_of_iot_23_by_external_address_or_by_host(real_data, read):
    path = real_data("iot23_zeek_labeled/CTU-Malware-Capture-8-1-labeled.csv.xz")
    settings = {
        "format": "csv",
        "time_column": "ts",
        "event_column": ["proto", "service", "conn_state"],
        "label_column": "label",
    }
    outside, _ = read(path, external_key={"columns": ["id.orig_h", "id.resp_h"]}, **settings)
    assert {s.label for s in outside} == {0, 1}
    hosts, _ = read(path, key_column="id.orig_h", session_minutes=10, **settings)
    assert sum(len(s.events) for s in hosts) == 10_403


def test_zeek_json_streams_of_apt29(real_data, read):
    """All its addresses are internal: the first address is the key instead of the external one."""
    path = real_data("otrf_apt29_zeek/apt29_day1_combined_zeek.log.xz")
    settings = {
        "format": "jsonl",
        "where": {"@stream": "conn"},
        "time_column": "ts",
        "event_column": ["proto", "conn_state"],
    }
    columns = ["id_orig_h", "id_resp_h"]
    sessions, quarantine = read(
        path, external_key={"columns": columns, "if_none": "first"}, session_minutes=10, **settings
    )
    assert (sum(len(s.events) for s in sessions), quarantine.count) == (613, 0)


def test_firewall_actions_are_mapped(real_data, read):
    """The UCI set has neither addresses nor times: it shows the mapping, not behaviour of anybody."""
    sessions, quarantine = read(
        real_data("firewall_uci542/log2.csv.xz"),
        format="csv",
        key_column="Destination Port",
        event_column="Action",
        action_map={"allow": "Allow", "deny": "Deny", "drop": "Drop", "reset-both": "Reset"},
    )
    counts = Counter(e for s in sessions for e in s.events)
    assert counts == {"Allow": 37_640, "Deny": 14_984, "Drop": 12_846, "Reset": 54}
    assert quarantine.count == 0
