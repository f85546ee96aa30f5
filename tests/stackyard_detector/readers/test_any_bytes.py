"""Whatever bytes a file holds, a reader gives sessions or one sentence."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stackyard_detector.readers import Quarantine, read_sessions
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

KEYED = {
    "key_column": "k",
    "event_column": "e",
    "time_column": "t",
    "label_column": "l",
    "session_minutes": 1,
}
SOURCES = {
    "sequences": {},
    "csv-sequences": {"event_column": "e", "key_column": "k", "time_column": "t", "label_column": "l"},
    "csv": KEYED,
    "jsonl": {
        **{name: value for name, value in KEYED.items() if name != "key_column"},
        "external_key": {"columns": ["k", "x.y"], "if_none": "first"},
    },
    "key-value": {**KEYED, "where": {"l": ["1", "-"]}, "fields": "(?P<f>x)", "event_column": ["e", "f"]},
    "cef": {**KEYED, "event_column": ["Name", "e"]},
    "leef": {**KEYED, "event_column": ["EventID", "e"]},
    "syslog": {"key_column": "host", "event_column": ["app", "sd.a.b"], "time_column": "timestamp"},
    "syslog with JSON": {"key_column": "message.k", "event_column": "message.e.0", "inside": "json"},
    "lines": {
        "key_pattern": "(k)",
        "event_pattern": "(e).|k(.)",
        "time_pattern": r"(\d)",
        "encoding": "cp1252",
    },
    "lines with fields": {
        "fields": "(?P<k>k)(?P<e>.)",
        "key_column": "k",
        "event_column": "e",
        "encoding": "utf-16",
    },
}
#: What unpacks is the same for every format.
CASES = [
    *((format, "") for format in sorted(SOURCES)),
    *((format, suffix) for format in ("csv", "jsonl") for suffix in (".gz", ".xz", ".bz2", ".zip")),
]
#: Counted in conftest.py, which prints a reduced count.
COUNT = 1000 if os.environ.get("STACKYARD_LONG") else 25
#: Pieces that mean something to one format or another.
PIECES = st.sampled_from(
    [
        *(b"k,e,t,l\n", b"a,b,1,-\n", b'{"k":"8.8.8.8","e":"x","t":1,"l":null}\n', b"k=1 e=2 t=3 l=-\n"),
        *(
            b"\n",
            b"\r",
            b'"',
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b"=",
            b":",
            b"\x00",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
        ),
        *(b"CEF:0|a|b|c|d|e|f|k=1 e=2 t=3 l=-\n", b"LEEF:2.0|a|b|c|d|^|k=1^e=2^t=3\n", b"|", b"\\", b"^"),
        *(
            b'<1>1 2024-01-01T00:00:00Z h a 1 - [a b="c"] {"k":1,"e":[2]}\n',
            b"<1>",
            b"Jan  1 00:00:00 ",
            b" ",
        ),
        *(b"1e999", b"NaN", b"9" * 400, b"\x1f\x8b", b"\\ud800", b"\xed\xa0\x80"),
    ]
)


@pytest.mark.parametrize(("format", "suffix"), CASES)
@settings(max_examples=COUNT, deadline=None)
@given(content=st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join))
@example(content=b"k,e,t,l\na,b,1e18,-\n")
@example(content=b'{"k":"8.8.8.8","e":"x","t":1e300}\n')
@example(content=b"[" * 100_000)
@example(content=b'{"a":' * 100_000)
@example(content=b"k" * 1000 + b",e,t,l\n1,2,3,4\n")
@example(content=b"k,e,t,l\na,b," + b"9" * 5000 + b"z,-\n")
@example(content=b'"k,e,t,l\na,b,1,-\n')
@example(content=b'[{"k":"\\ud800","e":"\\udfff","t":1}]')
def test_any_bytes_are_sessions_or_a_sentence(format, suffix, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("file" + suffix)
        path.write_bytes(content)
        sessions, refusal = attempt(
            {"path": str(path), "format": format.split()[0], **SOURCES[format]}, Path(folder)
        )
    if refusal is None:
        assert sessions
        assert all(s.events and all(e and e.encode("utf-8") for e in s.events) for s in sessions)
    else:
        assert str(path) in refusal
        assert "\n" not in refusal
        assert len(refusal) < 1500


def attempt(source, folder):
    """(sessions, None), or (None, the sentence they were refused with)."""
    quarantine = Quarantine(folder / "quarantine")
    try:
        return list(read_sessions({"sources": [source]}, quarantine)), None
    except BadInput as refusal:
        return None, str(refusal)
    finally:
        quarantine.close()
