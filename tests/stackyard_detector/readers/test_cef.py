from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.cef import HEADER, fields
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

LINES = r"""<134>Jan  8 03:37:09 fw1 CEF:0|Example|Gate|1.0|18|Web request|3|rt=1704685029000 src=198.51.100.7 dst=10.0.0.5 act=Connection reset by peer msg=two words \= here cs1Label=rule cs1=web in
<134>Jan  8 03:37:12 fw1 CEF:0|Example|Gate|1.0|19|Login \| portal|6|rt=1704685032000 src=198.51.100.7 dst=10.0.0.5 act=Connection allowed msg=ok
no event at all
"""  # noqa: E501

#: No line end, and no half of a character: what a line of a file can hold.
TEXTS = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)
HOSTILE = st.lists(
    st.sampled_from(
        ["a", "b=", " c=", "|", "\\", "\\n", "=", " ", "  ", "CEF:0|", '"', "\t", "é", "\n", "\r"]
    ),
    max_size=6,
).map("".join)
VALUES = TEXTS | HOSTILE
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,9}", fullmatch=True).filter(
    lambda key: not key.endswith("Label")
)


def written(header, extension):
    """A CEF line by the rules of the format."""
    names = [value.replace("\\", "\\\\").replace("|", "\\|") for value in header]
    pairs = []
    for key, value in extension.items():
        value = value.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")
        pairs.append(f"{key}={value}")
    return f"CEF:0|{'|'.join(names)}|{' '.join(pairs)}"


@given(
    header=st.lists(TEXTS.filter(lambda t: "\n" not in t), min_size=6, max_size=6),
    extension=st.dictionaries(KEYS, VALUES, max_size=5),
    before=st.sampled_from(["", "<13>Jan 18 11:07:53 host ", "<13>1 2024-01-08T03:37:09Z host - - - - "]),
)
def test_what_is_written_is_what_is_read(header, extension, before):
    found = fields(before + written(header, extension))
    expected = {**extension, **dict(zip(HEADER, ["0", *header])), "DeviceEventClassID": header[3]}
    times = [extension.get(name) for name in ("rt", "end", "start")]
    times += [] if not before else ["2024-01-08T03:37:09Z" if ">1 " in before else "Jan 18 11:07:53"]
    assert found.pop("EventTime", None) == next(filter(None, times), None)
    assert found == expected


def test_values_hold_blanks_and_custom_fields_have_the_name_of_their_label(write, read):
    settings = {"format": "cef", "key_column": "src", "time_column": "rt", "time_unit": "ms"}
    path = write("cef.log", LINES)
    (session,), quarantine = read(path, event_column=["SignatureID", "act"], **settings)
    assert session.key == "198.51.100.7"
    assert session.events == ["18|Connection reset by peer", "19|Connection allowed"]
    assert session.started_at == 1704685029.0
    assert quarantine.first.endswith("line 3: has no CEF header (CEF:0|...)")
    (named,), _ = read(path, event_column=["Name", "msg", "rule"], where={"Severity": "3"}, **settings)
    assert named.events == ["Web request|two words = here|web in"]
    (portal,), _ = read(path, event_column="Name", where={"DeviceEventClassID": "19"}, **settings)
    assert portal.events == ["Login | portal"]


def test_a_header_that_ends_early_is_a_corrupt_line(write, read):
    with pytest.raises(BadInput, match="has a CEF header that ends before SignatureID"):
        read(write("a", "CEF:0|a|b|c|d\n"), format="cef", key_column="k", event_column="Name")
    assert fields("CEF:0|a|b|c|d|e|5")["Severity"] == "5"


def test_devices_that_escape_nothing_are_read_as_well_as_can_be():
    found = fields(
        r"CEF:0|a|b|c|1|x\y|5|suser=DOMAIN\bob duser=DOMAIN\\bob request=http://h/?a=b&c=d  msg=C:\Users end=1"
    )
    assert found["Name"] == r"x\y"
    assert found["suser"] == found["duser"] == r"DOMAIN\bob"
    assert found["request"] == "http://h/?a=b&c=d "
    assert found["msg"] == r"C:\Users"
