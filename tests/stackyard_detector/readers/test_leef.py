from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.leef import HEADER, fields
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

LINES = (
    "LEEF:1.0|Example|XTM|12.5|3|src=198.51.100.7\tdst=10.0.0.5\tdisp=Deny\tmsg=blocked port\n"
    "<13>Jan 18 11:07:53 gw LEEF:2.0|Example|XTM|12.5|4|^|src=198.51.100.7^dst=10.0.0.5^disp=Allow^msg=let through\n"
    "LEEF:2.0|Example|XTM|12.5|5|0x5E|src=198.51.100.7^disp=Allow^msg=a|b=c\n"
    "LEEF:2.0|Example|XTM|12.5|6|x09|src=198.51.100.7\tdisp=Deny\tmsg=\n"
    "LEEF:2.0|Example|XTM|12.5|7|src=198.51.100.7\tdisp=Deny\tmsg=no|field\n"
    "LEEF:1.0|Example|XTM|12.5|8|src=198.51.100.7#011disp=Deny#011msg=by rsyslog\n"
    "LEEF:1.0|Example|XTM|12.5|9|src=198.51.100.7|disp=Deny|msg=by bars|only a text\n"
    "LEEF:1.0|Example|XTM\n"
)
CHARACTERS = st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])
HOSTILE = st.lists(
    st.sampled_from(["a", "b=", "|", "^", "\\", " ", "LEEF:1.0|", "\t", '"', "é"]), max_size=6
).map("".join)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,9}", fullmatch=True).filter(lambda key: key not in HEADER)


@given(
    delimiter=st.sampled_from([None, "^", "\t", "¦", ";", "x5E", "0x5E", "x09"]),
    header=st.lists(
        st.text(CHARACTERS, max_size=9).map(lambda t: t.replace("|", "")), min_size=4, max_size=4
    ),
    attributes=st.dictionaries(KEYS, st.text(CHARACTERS, max_size=20) | HOSTILE, min_size=1, max_size=5),
)
def test_what_is_written_is_what_is_read(delimiter, header, attributes):
    """Nothing can be escaped, so what parts the attributes is in none of them."""
    parting = {None: "\t", "x5E": "^", "0x5E": "^", "x09": "\t"}.get(delimiter, delimiter)
    attributes = {key: value.replace(parting, "") for key, value in attributes.items()}
    if parting == "\t" and len(attributes) == 1:  # a bar before a key then parts, too
        attributes = {key: value.replace("|", "") for key, value in attributes.items()}
    version, named = ("1.0", "") if delimiter is None else ("2.0", f"{delimiter}|")
    line = f"LEEF:{version}|{'|'.join(header)}|{named}" + parting.join(
        f"{k}={v}" for k, v in attributes.items()
    )
    assert fields(line) == {**attributes, **dict(zip(HEADER, [version, *header]))}


def test_both_versions_are_read_with_the_delimiter_that_the_header_names(write, read):
    (session,), quarantine = read(
        write("leef.log", LINES), format="leef", key_column="src", event_column=["EventID", "disp", "msg"]
    )
    assert session.events == [
        *("3|Deny|blocked port", "4|Allow|let through", "5|Allow|a|b=c"),
        *("6|Deny|", "7|Deny|no|field", "8|Deny|by rsyslog", "9|Deny|by bars|only a text"),
    ]
    assert quarantine.first.endswith("line 8: has a LEEF header of 3 fields, expected 5")


def test_a_line_without_header_says_so(write, read):
    with pytest.raises(BadInput, match="has no LEEF header"):
        read(write("a", "src=1\tdst=2\n"), format="leef", key_column="src", event_column="dst")


def test_the_time_is_that_of_the_event_else_that_of_the_header():
    assert fields("LEEF:1.0|a|b|c|d|devTime=1\tx=2")["EventTime"] == "1"
    assert fields("<13>Jan 18 11:07:53 gw LEEF:1.0|a|b|c|d|devTime=\tx=2")["EventTime"] == "Jan 18 11:07:53"
    assert fields("<13>1 2024-01-08T03:37:09Z gw LEEF:1.0|a|b|c|d|x=2")["EventTime"] == "2024-01-08T03:37:09Z"
    assert "EventTime" not in fields("<13>1 - gw LEEF:1.0|a|b|c|d|x=2")
