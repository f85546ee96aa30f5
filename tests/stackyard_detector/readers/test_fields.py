"""Fields by name: objects, lists, names with dots; the same whichever parser ran."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers import json_lines
from stackyard_detector.readers.fields import column, field_text

pytestmark = pytest.mark.python

RECORD = {
    "id.orig_h": "10.0.0.5",
    "event": {"category": ["authentication", "session"], "rule.name": "R1", "more": {"a.b": {"c": 7}}},
    "tags": [],
    "objects": [{"name": "x"}, {"name": "y"}],
    "number": 1.5,
    "yes": True,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("id.orig_h", "10.0.0.5"),
        ("event.category", "authentication,session"),
        ("event.category.0", "authentication"),
        ("event.category.2", None),
        ("event.category.x", None),
        ("event.rule.name", "R1"),
        ("event.more.a.b.c", "7"),
        ("objects.1.name", "y"),
        ("objects", '[{"name": "x"}, {"name": "y"}]'),
        ("tags", ""),
        ("number", "1.5"),
        ("yes", "true"),
        ("nothing", None),
        ("nothing.more", None),
        ("no", None),
        ("event.no.name", None),
    ],
)
def test_a_field_is_found_by_the_way_to_it(name, text):
    assert field_text(RECORD, name) == text


def test_the_whole_name_as_a_key_goes_first():
    assert field_text({"a.b": "whole", "a": {"b": "parts"}}, "a.b") == "whole"
    assert field_text({"a.b": None, "a": {"b": "parts"}}, "a.b") == "parts"


KEYS = st.sampled_from(["a", "b", "a.b", "b.c", "a.b.c", "0"])
VALUES = st.recursive(
    st.none() | st.text(max_size=2) | st.integers(),
    lambda v: st.dictionaries(KEYS, v, max_size=3) | st.lists(v, max_size=2),
)


@given(
    st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=5),
    st.sampled_from(["a", "a.b", "a.b.c", "b.c", "a.0", "a.b.c.0"]),
)
def test_a_column_is_what_each_record_says(records, name):
    from stackyard_detector.readers.fields import texts

    assert texts(column(records, name)) == [field_text(record, name) for record in records]


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
ODD = st.sampled_from(
    ['"\\ud800"', "NaN", "-Infinity", "[1e400, 2]", "null", "true", '{"x": 12345678901234567890123}']
)
LINES = st.lists(
    st.one_of(
        st.tuples(NUMBERS | ODD, st.text(max_size=3)).map(
            lambda pair: f'{{"k": "a", "e": 0, "e": {pair[0]}, "z": {json.dumps(pair[1])}}}'
        ),
        st.sampled_from(
            [
                "",
                " ",
                "{",
                "}",
                '{"a":[{}',
                '{"x":1}]},{"k":"a","e":3}',
                "[]",
                "1",
                "{}\r",
                '{"k":"a","e":1},5',
            ]
        ),
        st.sampled_from(
            ['<1>h: {"k":"a","e":1}', 'h{1}: {"k":"a","e":1e400}', 'ä {"k":"a","e":2}', '[NaN,{"k":"a"}']
        ),
    ),
    max_size=6,
)


@given(LINES)
def test_both_parsers_give_the_same_lines_and_the_same_corrupt_ones(tmp_path_factory, lines):
    pytest.importorskip("orjson", reason="orjson is part of a stack, not of this Python")
    from stackyard_detector.readers import Quarantine, read_sessions

    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes("\n".join(['{"k": "first", "e": "x"}', *lines]).encode("utf-8"))
    source = {"path": str(path), "format": "jsonl", "key_column": "k", "event_column": ["e", "z"]}

    def reading():
        quarantine = Quarantine(path.with_name("q"))
        sessions = list(read_sessions({"sources": [source]}, quarantine))
        quarantine.close()
        kept = path.with_name("q").read_text() if quarantine.count else ""
        return sessions, kept, quarantine.lines

    with_orjson = reading()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "_orjson_loads", lambda: None)
        assert reading() == with_orjson
