from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.syslog import FACILITIES, SEVERITIES, fields
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

CHARACTERS = st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])
HOSTILE = st.lists(
    st.sampled_from(["a", ": ", "[1]", "]", '"', "\\", '[x y="1"]', "-", " ", "<1>", "=", "é", "CEF:0|"]),
    max_size=6,
).map("".join)
MESSAGES = st.text(CHARACTERS, max_size=30) | HOSTILE
#: Printable ASCII without blanks, and what names of structured data leave out too.
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
NAMES = WORDS.map(lambda word: "".join(c for c in word if c not in '="].')).filter(bool)


def nil(word):
    return "-" if word is None else word


@given(
    priority=st.integers(0, 191),
    header=st.tuples(*[st.none() | WORDS.filter(lambda w: w != "-")] * 4),
    data=st.dictionaries(NAMES, st.dictionaries(NAMES, MESSAGES, max_size=3), max_size=3),
    message=MESSAGES,
)
def test_what_is_written_by_rfc_5424_is_what_is_read(priority, header, data, message):
    elements = ""
    for name, pairs in data.items():
        inside = "".join(
            f' {key}="' + value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]") + '"'
            for key, value in pairs.items()
        )
        elements += f"[{name}{inside}]"
    host, app, pid, msgid = header
    line = f"<{priority}>1 2024-01-08T03:37:09.1Z {nil(host)} {nil(app)} {nil(pid)} {nil(msgid)} {elements or '-'}"
    found = fields(f"{line} {message}" if message else line)
    expected = {
        "priority": str(priority),
        "facility": FACILITIES[priority // 8],
        "severity": SEVERITIES[priority % 8],
        "timestamp": "2024-01-08T03:37:09.1Z",
        "message": message,
        **{k: v for k, v in zip(("host", "app", "pid", "msgid"), header) if v is not None},
        **{f"sd.{name}.{key}": value for name, pairs in data.items() for key, value in pairs.items()},
    }
    assert found == expected


@given(
    time=st.sampled_from(
        ["Jan  8 03:37:09", "Jan 18 03:37:09", "2024-01-08T03:37:09+01:00", "Jan  8 2024 03:37:09"]
    ),
    priority=st.none() | st.integers(0, 191),
    host=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,9}", fullmatch=True),
    app=st.from_regex(r"[A-Za-z%/][A-Za-z0-9_/.\-]{0,9}", fullmatch=True),
    pid=st.none() | st.integers(1, 99999),
    message=MESSAGES,
)
def test_what_is_written_by_rfc_3164_is_what_is_read(time, priority, host, app, pid, message):
    begin = "" if priority is None else f"<{priority}>"
    tag = app if pid is None else f"{app}[{pid}]"
    found = fields(f"{begin}{time} {host} {tag}: {message}")
    assert found.pop("priority", None) == (None if priority is None else str(priority))
    found.pop("facility", None)
    found.pop("severity", None)
    expected = {"timestamp": time, "host": host, "app": app, "message": message}
    assert found == (expected if pid is None else {**expected, "pid": str(pid)})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<34>Oct 11 22:14:15 su: no host", {"app": "su", "message": "no host"}),
        (
            "Oct 11 22:14:15 mymachine a message without tag",
            {"host": "mymachine", "message": "a message without tag"},
        ),
        (
            "<189>45: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured",
            {"app": "%SYS-5-CONFIG_I", "message": "Configured"},
        ),
        ("<13>1 2019-01-18T11:07:53Z 192.0.2.1 LEEF:1.0|a|b|c|d|x=1", {"message": "LEEF:1.0|a|b|c|d|x=1"}),
        (
            "<134>Jan  8 03:37:09 fw1 CEF:0|a|b|c|1|n|3|x=1",
            {"host": "fw1", "message": "CEF:0|a|b|c|1|n|3|x=1"},
        ),
        ("<165>1 2003-10-11T22:14:15.003Z h app - - [not data] text", {"message": "[not data] text"}),
        ("<165>1 2003-10-11T22:14:15.003Z h app - - - \ufefftext", {"message": "text"}),
        ("<166>Jan 01 2024 00:00:00: %ASA-6-302013: Built", {"app": "%ASA-6-302013", "host": None}),
        ("<166>Jan 01 2024 00:00:00 ASA01 : %ASA-6-302013: Built", {"app": "%ASA-6-302013", "host": "ASA01"}),
        ("Jan 14 00:00:00 h syslogd 1.4.1: restart.", {"host": "h", "message": "syslogd 1.4.1: restart."}),
        ("<13>free text", {"message": "free text", "severity": "notice"}),
    ],
)
def test_lines_as_devices_write_them(line, expected):
    found = fields(line)
    assert {key: found.get(key) for key in expected} == expected


LINES = """\
<38>Jan  8 03:37:09 h sshd[10]: Failed password for root from 198.51.100.9 port 40222 ssh2
<38>Jan  8 03:37:11 h sshd[10]: Failed password for root from 198.51.100.9 port 40223 ssh2
<38>Jan  8 03:37:12 h sshd[11]: Accepted password for root from 198.51.100.9 port 40224 ssh2
nothing of syslog
"""


def test_fields_of_the_message_are_columns_beside_those_of_the_header(write, read):
    (session,), quarantine = read(
        write("auth.log", LINES),
        format="syslog",
        fields=r"(?P<what>Failed|Accepted) \w+ for (?P<user>\S+) from (?P<src>\S+)",
        key_column="src",
        event_column=["app", "what"],
    )
    assert session.events == ["sshd|Failed", "sshd|Failed", "sshd|Accepted"]
    assert quarantine.first.endswith("line 4: has neither a syslog priority nor a time at its beginning")


@pytest.mark.parametrize(
    ("inside", "message", "event"),
    [
        ("json", '{"alert": {"name": "x y"}, "src": "8.8.8.8"}', "message.alert.name"),
        ("key-value", 'alert="x y" src=8.8.8.8', "message.alert"),
        ("cef", "CEF:0|a|b|c|1|x y|3|src=8.8.8.8", "message.Name"),
        ("leef", "LEEF:1.0|a|b|c|x y|src=8.8.8.8", "message.EventID"),
    ],
)
def test_a_message_can_be_of_another_format(write, read, inside, message, event):
    text = (
        f"<38>1 2024-01-08T03:37:09Z h app 1 - - {message}\n<38>1 2024-01-08T03:37:09Z h app 1 - - nothing\n"
    )
    (session,), quarantine = read(
        write("a.log", text),
        format="syslog",
        inside=inside,
        key_column="message.src",
        event_column=["host", event],
        time_column="timestamp",
    )
    assert (session.key, session.events, session.started_at) == ("8.8.8.8", ["h|x y"], 1704685029.0)
    assert "line 2" in quarantine.first


def test_an_inside_that_no_column_names_is_refused(write, read):
    with pytest.raises(BadInput, match=r"inside has no effect: no column begins with 'message.'"):
        read(write("a", LINES), format="syslog", inside="json", key_column="host", event_column="app")
