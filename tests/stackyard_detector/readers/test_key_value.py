from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.key_value import pairs
from stackyard_task.channel import BadInput

LINES = """\
<134>fw day=2024-01-01 time=00:00:01 srcip=198.51.100.7 dstip=10.0.0.5 action="accept" service=TLS msg="b=c d"
<134>fw1 day=2024-01-01 time=00:00:02 srcip=10.0.0.5 dstip=198.51.100.7 action=deny service=SSH
<134>fw1 day=2024-01-01 time=00:00:03 srcip=10.0.0.5 dstip=10.0.0.6 action=deny service=SSH
a line without any pair
<134>fw1 day=2024-01-01 time=00:00:04 srcip=203.0.113.1 dstip=10.0.0.5 action=blocked-inline service=SMB
"""
SETTINGS = {
    "format": "key-value",
    "external_key": {"columns": ["srcip", "dstip"]},
    "time_column": ["day", "time"],
    "event_column": ["action", "service"],
    "action_map": {"accept": "Allow", "deny": "Deny", "blocked-inline": "Inline"},
}


def test_actions_are_mapped_and_sessions_are_per_external_address(write, read):
    sessions, quarantine = read(write("fw.log", LINES), **SETTINGS)
    assert [(s.key, s.events, s.started_at) for s in sessions] == [
        ("198.51.100.7", ["Allow|TLS", "Deny|SSH"], 1704067201.0),
        ("203.0.113.1", ["Inline|SMB"], 1704067204.0),
    ]
    assert quarantine.count == 1
    assert "line 4: has no key=value pair" in quarantine.first


def test_own_public_networks_are_internal(write, read):
    key = {"columns": ["srcip", "dstip"], "internal": ["198.51.100.0/24"]}
    sessions, _ = read(write("fw.log", LINES), **{**SETTINGS, "external_key": key})
    assert [s.key for s in sessions] == ["203.0.113.1"]


def test_quoted_values_may_hold_spaces_and_equal_signs(write, read):
    sessions, _ = read(
        write("fw.log", LINES),
        format="key-value",
        key_column="srcip",
        event_column="msg",
        where={"service": "TLS"},
    )
    assert sessions[0].events == ["b=c d"]


def test_a_file_of_another_kind_holds_no_session(write, read):
    with pytest.raises(
        BadInput, match=r"holds no session \(1 line is corrupt, the first: .* has no key=value pair"
    ):
        read(write("fw.log", "plain prose\n"), **SETTINGS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1 a=2", {"a": "1"}),
        ("OUT= IN=eth0", {"OUT": "", "IN": "eth0"}),
        ("a=1, b=x, c=2", {"a": "1", "b": "x", "c": "2"}),
        ("a=1,b=x;c=2;", {"a": "1", "b": "x", "c": "2"}),
        ("flags=SYN,ACK n=1", {"flags": "SYN,ACK", "n": "1"}),
        ('a="two, words" b="" c=1', {"a": "two, words", "b": "", "c": "1"}),
        (r'a="say \"hi\" \\ there" b=1', {"a": 'say "hi" \\ there', "b": "1"}),
        ('a="cut off', {"a": "cut off"}),
        ("name='two words' b=1", {"name": "two words", "b": "1"}),
        ("name=don't b=x' c=(y)", {"name": "don't", "b": "x", "c": "(y)"}),
        ("(src=8.8.8.8) [dst=1.1.1.1]", {"src": "8.8.8.8"}),
        ("[src=8.8.8.8 dst=1.1.1.1]", {"src": "8.8.8.8", "dst": "1.1.1.1"}),
        ("h kernel: [fw4_0]product=Firewall; src=8.8.8.8;", {"product": "Firewall", "src": "8.8.8.8"}),
        ("DROP:IN=eth0 OUT=", {"IN": "eth0", "OUT": ""}),
        ("url=http://a/?src=9.9.9.9&x=1 src=8.8.8.8", {"url": "http://a/?src=9.9.9.9&x=1", "src": "8.8.8.8"}),
        ("GET /?src=9.9.9.9 src=8.8.8.8", {"src": "8.8.8.8"}),
        (
            '<1>1 2024-01-08T03:37:09Z gw CheckPoint 7 - [action:"Accept"; src:"8.8.8.8"; rule:"a; b"; ]',
            {"action": "Accept", "src": "8.8.8.8", "rule": "a; b"},
        ),
    ],
)
def test_pairs_as_devices_write_them(line, expected):
    assert pairs(line) == expected


def test_an_external_key_can_be_nobodys_too(write, read):
    text = "src=198.51.100.7 dst=10.0.0.1 e=a\nsrc=10.0.0.1 dst=198.51.100.8 e=b\nsrc=- dst=- e=c\n"
    for if_none in ("skip", "first", "quarantine"):
        sessions, quarantine = read(
            write("a", text),
            format="key-value",
            event_column="e",
            external_key={"columns": ["src", "dst"], "if_none": if_none},
            nobody=["198.51.100.7", "-"],
        )
        assert [(s.key, s.events) for s in sessions] == [("198.51.100.8", ["b"])]
        assert quarantine.count == 0


def test_of_netfilter_the_outer_packet_counts(write, read):
    text = (
        "Jan  8 03:37:09 gw kernel: [12.3] DENY: IN=eth0 OUT= SRC=198.51.100.71 DST=192.0.2.83 PROTO=ICMP "
        "TYPE=3 CODE=3 [SRC=192.0.2.83 DST=198.51.100.191 PROTO=UDP SPT=21458 DPT=62936 LEN=40 ]\n"
    )
    (session,), _ = read(write("a", text), format="key-value", key_column="SRC", event_column=["PROTO", "IN"])
    assert (session.key, session.events) == ("198.51.100.71", ["ICMP|eth0"])
    assert "SPT" not in pairs(text)


def test_pairs_within_single_quotes_are_found_and_fields_reach_what_is_no_pair(write, read):
    text = (
        'type=USER_LOGIN msg=audit(1704685029.243:24287): pid=1 uid=0 msg=\'op=login acct="root" '
        'exe="/usr/sbin/sshd" hostname=? addr=198.51.100.4 terminal=ssh res=failed\'\n'
    )
    (session,), _ = read(
        write("audit.log", text),
        format="key-value",
        fields=r"audit\((?P<time>[\d.]+):",
        key_column="addr",
        time_column="time",
        event_column=["type", "op", "acct", "res"],
    )
    assert session.events == ["USER_LOGIN|login|root|failed"]
    assert session.started_at == 1704685029.243


PLAIN = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="\"'\\,;()[]{}<>=:"),
    max_size=8,
)
QUOTED = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12)


@given(
    values=st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,7}", fullmatch=True),
        st.tuples(st.booleans(), QUOTED, PLAIN),
        min_size=1,
    ),
    parted=st.sampled_from([" ", ", ", "; ", ",", ";"]),
    again=st.booleans(),
)
def test_what_is_written_is_what_is_read(values, parted, again):
    written, expected = [], {}
    for key, (quoted, text, plain) in values.items():
        if quoted:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            written.append(f'{key}="{escaped}"')
        else:
            written.append(f"{key}={plain}")
        expected[key] = text if quoted else plain
    if again:
        written.extend(f"{key}=later" for key in values)
    assert pairs("Jan  8 03:37:09 gw: " + parted.join(written)) == expected


@pytest.mark.parametrize(
    "piece", ["a=", 'a="', "a='", "a=[b=", " [a=1 ", "a=1,a,", "a:", 'a:"\\', "a=x' ", "[a=["]
)
def test_no_line_takes_long(piece):
    pairs(piece * (200_000 // len(piece)))  # far under a second; what grows with the square takes minutes
