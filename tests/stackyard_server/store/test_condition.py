"""``store.condition``: every way in which a pattern is answered finds what the regular expression says."""

from __future__ import annotations

import re
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_server.store import condition, functions
from tests.counts import examples

TEXTS = [
    "",
    "a",
    "ab",
    "b",
    "lab/agent",
    "lab",
    "lab/alpha",
    "x.y",
    "xzy",
    "a|b",
    "10%",
    "A",
    "a_b",
    "é",
    "a b",
    "\\",
    "a\0b",
    "b\0",
    "\0lab",
    "lab\ud7ff",
]


@pytest.fixture(scope="module")
def connection() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", check_same_thread=False)
    functions.register(made)
    made.execute("CREATE TABLE t(x TEXT)")
    made.executemany("INSERT INTO t VALUES (?)", [(text,) for text in [*TEXTS, None]])
    return made


def found(connection: sqlite3.Connection, pattern: str) -> list[str]:
    sql, parameters = condition.matching("x", pattern)
    return [row[0] for row in connection.execute(f"SELECT x FROM t WHERE {sql}", parameters)]


pieces = st.sampled_from(
    ["a", "b", "lab", "/", "\\.", "\\-", "\\ ", "\\|", "é", "_", "%", "\\\\", "x", "", ".", "\0", "\ud7ff"]
)
alternatives = st.tuples(
    st.sampled_from(["", "^"]), st.lists(pieces, max_size=3), st.sampled_from(["", "$", ".*"])
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(alternatives, min_size=1, max_size=3))
@pytest.mark.promise("patterns-linear")
def test_a_pattern_finds_what_the_regular_expression_finds(
    connection: sqlite3.Connection, parts: list[tuple[str, list[str], str]]
) -> None:
    pattern = "|".join(start + "".join(middle) + end for start, middle, end in parts)
    assert found(connection, pattern) == [text for text in TEXTS if re.search(pattern, text)]


def test_plain_text_needs_no_regular_expression() -> None:
    for pattern in ("^lab/alpha$", "lab", "^lab/.*", "^lab$|^lab\\/alpha$", "run\\ 1", "one$"):
        assert "REGEXP" not in condition.matching("x", pattern)[0], pattern
    for pattern in ("a.c", "a+", "[ab]", "\\d", "(a)", "^a.*$"):
        assert "REGEXP" in condition.matching("x", pattern)[0], pattern


@pytest.mark.parametrize(
    "text", ["b", "A", "\0", "a\0", "\0b", "0", "LAB", "é", "%", "_", "\\", "\0L", "lab\ud7ff"]
)
def test_a_word_is_found_wherever_it_stands(connection: sqlite3.Connection, text: str) -> None:
    """Whatever the case; behind U+0000, too, where SQL's own functions end."""
    word = condition._contains("x", text)
    rows = connection.execute(f"SELECT x FROM t WHERE {word.sql}", word.parameters)
    assert [row[0] for row in rows] == [one for one in TEXTS if text.lower() in one.lower()]
