"""Raw lines without templates; those are in test_templates.py."""

from __future__ import annotations

import time

import pytest

from stackyard_detector.readers import cef, fit_templates, leef, syslog
from stackyard_detector.readers.capture import MATCHED_CHARACTERS

ASA = """\
Jan  8 03:37:09 192.0.2.1 %ASA-4-106023: Deny tcp src outside:198.51.100.7/40222 dst inside:10.0.0.5/22 by access-group "outside_in"
Jan  8 03:37:11 192.0.2.1 %ASA-6-302013: Built inbound TCP connection 1001 for outside:198.51.100.7/40223 (198.51.100.7/40223) to inside:10.0.0.5/443 (10.0.0.5/443)
Jan  8 03:37:19 192.0.2.1 %ASA-6-302014: Teardown TCP connection 1001 for outside:198.51.100.7/40223 to inside:10.0.0.5/443 duration 0:00:08 bytes 5120 TCP FINs
"""  # noqa: E501
FAST = """\
01/08-03:37:09.100001  [**] [1:2001219:20] ET SCAN Potential SSH Scan [**] [Classification: Attempted Information Leak] [Priority: 2] {TCP} 198.51.100.7:40222 -> 10.0.0.5:22
01/08-03:37:10.200002  [**] [1:2010935:3] ET SCAN Suspicious inbound to MSSQL port 1433 [**] [Classification: Potentially Bad Traffic] [Priority: 2] {TCP} 198.51.100.7:40223 -> 10.0.0.5:1433
01/08-03:37:11.300003  [**] [1:2010936:3] ET SCAN Suspicious inbound to Oracle SQL port 1521 [**] [Classification: Potentially Bad Traffic] [Priority: 2] {TCP} 10.0.0.5:40224 -> 198.51.100.7:1521
"""  # noqa: E501
FAST_FIELDS = (
    r"\[1:(?P<sid>\d+):\d+\] (?P<name>.*?) \[\*\*\] \[Classification: (?P<class>[^\]]*)\] "
    r"\[Priority: (?P<priority>\d)\] \{\w+\} (?P<src>[\d.]+):\d+ -> (?P<dst>[\d.]+)"
)


@pytest.mark.parametrize(
    ("pattern", "events"),
    [
        (r"%(ASA-\d-\d+)", ["ASA-4-106023", "ASA-6-302013", "ASA-6-302014"]),
        (r"%ASA-(\d)-\d+: (\w+)", ["4|Deny", "6|Built", "6|Teardown"]),
        ([r"(Deny) tcp", r"(Built) (inbound)|(Teardown)"], ["Deny", "Built|inbound", "Teardown"]),
    ],
)
def test_what_event_pattern_captures_is_the_event(write, read, pattern, events):
    source = {"format": "lines", "key_pattern": r"outside:([\d.]+)", "event_pattern": pattern}
    path = write("asa.log", ASA)
    (session,), quarantine = read(path, **source)
    assert (session.key, session.events, quarantine.count) == ("198.51.100.7", events, 0)
    assert fit_templates({"sources": [{"path": str(path), **source}]}) is None


def test_a_line_that_fits_no_event_pattern_is_corrupt(write, read):
    (session,), quarantine = read(
        write("a", ASA), format="lines", key_pattern=r"outside:([\d.]+)", event_pattern="(Built|Deny) "
    )
    assert session.events == ["Deny", "Built"]
    assert quarantine.first.endswith("line 3: does not fit event_pattern")


def test_with_named_groups_lines_have_all_that_rows_have(write, read):
    settings = {
        "format": "lines",
        "fields": FAST_FIELDS,
        "external_key": {"columns": ["src", "dst"]},
        "event_column": ["sid", "priority"],
    }
    path = write("fast.log", FAST)
    (session,), _ = read(path, **settings)
    assert session.key == "198.51.100.7"
    assert session.events == ["2001219|2", "2010935|2", "2010936|2"]
    (labelled,), _ = read(
        path,
        **{**settings, "event_column": "sid"},
        where={"class": "Potentially Bad Traffic"},
        action_map={"2010935": "MSSQL"},
        label_column="class",
        benign_values="Potentially Bad Traffic",
    )
    assert (labelled.events, labelled.label) == (["MSSQL", "2010936"], 0)


def test_keys_by_several_patterns_and_a_label_by_a_pattern(write, read):
    text = "user=a@x did 1 BAD\nhost=h did 2\nuser=a@x did 3\nnobody did 4\n"
    sessions, quarantine = read(
        write("a", text),
        format="lines",
        key_pattern=[r"user=(\w+)@(\w+)", r"host=(\w+)"],
        event_pattern=r"did (\d)",
        label_pattern="(BAD)",
    )
    assert [(s.key, s.events, s.label) for s in sessions] == [("a|x", ["1", "3"], 1), ("h", ["2"], 0)]
    assert quarantine.count == 0


def test_a_group_named_message_and_message_pattern_are_the_same_column(write, read):
    text = "h1 one\nh2 two\n"
    for how in (
        {"fields": r"(?P<host>\S+) (?P<message>.*)", "key_column": "host"},
        {"key_pattern": r"^(\S+)", "message_pattern": r" (.*)$"},
    ):
        sessions, _ = read(write("a", text), format="lines", event_column="message", **how)
        assert [(s.key, s.events) for s in sessions] == [("h1", ["one"]), ("h2", ["two"])]


def test_fields_are_columns_beside_the_pairs_of_a_line(write, read):
    text = (
        "2024-01-01T00:00:00Z fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=198.51.100.9 DST=10.0.0.1 PROTO=TCP DPT=22\n"
        "2024-01-01T01:00:00Z fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=198.51.100.9 DST=10.0.0.1 PROTO=TCP DPT=23\n"
        "2024-01-01T02:00:00Z fw kernel: [UFW ALLOW] IN=eth0 OUT= SRC=198.51.100.9 DST=10.0.0.1 PROTO=ICMP\n"
    )
    sessions, _ = read(
        write("ufw.log", text),
        format="key-value",
        fields=r"^(?P<time>\S+) .*\[UFW (?P<action>\w+)\]",
        external_key={"columns": ["SRC", "DST"]},
        event_column=["action", "PROTO"],
        time_column="time",
        session_minutes=30,
    )
    assert [s.events for s in sessions] == [["BLOCK|TCP"], ["BLOCK|TCP"], ["ALLOW|ICMP"]]
    assert [s.started_at for s in sessions] == [1704067200.0, 1704070800.0, 1704074400.0]


def test_a_file_of_labels_says_what_whole_sessions_are_in_every_format(write, read):
    labels = write("labels.csv", "ip,label\n198.51.100.9,attack\n198.51.100.8,normal\n")
    text = "src=198.51.100.9 e=1\nsrc=198.51.100.8 e=1\nsrc=198.51.100.7 e=1\n"
    sessions, _ = read(
        write("a", text), format="key-value", key_column="src", event_column="e", labels_path=str(labels)
    )
    assert [s.label for s in sessions] == [1, 0, None]


def test_a_long_line_is_not_matched_with_the_users_patterns(write, read):
    text = "k=1 e=2\n" + "k=1 e=3 " + "x" * MATCHED_CHARACTERS + "\n"
    path = write("a", text)
    for settings in (
        {"format": "lines", "key_pattern": r"k=(\d)", "event_pattern": r"e=(\d)"},
        {"format": "key-value", "key_column": "k", "event_column": "f", "fields": r"e=(?P<f>\d)"},
    ):
        (session,), quarantine = read(path, **settings)
        assert session.events == ["2"]
        assert quarantine.first.endswith(
            f"line 2: longer than {MATCHED_CHARACTERS} characters, too long to match patterns with"
        )


@pytest.mark.parametrize("parse", [cef.fields, leef.fields, syslog.fields])
@pytest.mark.parametrize(
    "piece", ["a=", "a=b ", "\\", "|", "CEF:0|", '[a b="', "[a ", 'b="\\', " ", "<1>1 - - - - "]
)
def test_no_line_takes_long(parse, piece):
    began = time.process_time()
    for begin in (
        "CEF:0|a|b|c|d|e|f|",
        "LEEF:2.0|a|b|c|d|^|",
        "<1>1 - - - - - ",
        "Jan  8 03:37:09 h a: ",
        "",
    ):
        try:
            parse(begin + piece * (50_000 // len(piece)))
        except ValueError:
            continue
    assert time.process_time() - began < 2.0
