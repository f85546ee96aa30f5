"""TOML that people write: the same mistake is the same sentence, whichever file it stands in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields

DOCUMENT = """
text = "a"
empty = " "
number = 3
share = 1.5
flag = true
huge = 1000000000000000000000000000000
far = 1e999
size = "2 GiB"
vast = "99999999999 TB"
list = ["a", 1]
[table]
A = 1.5
[named.one]
[[rows]]
"""


@pytest.fixture
def fields() -> Fields:
    return Fields("f.toml", toml_tables.parse(DOCUMENT, "f.toml"))


def test_values_are_taken_as_they_stand(fields: Fields) -> None:
    top = fields.document
    assert fields.text(top, "", "text") == "a"
    assert fields.whole(top, "", "number", 1, low=1) == 3
    assert fields.positive(top, "", "share", None) == 1.5
    assert fields.size(top["size"], "size") == 2 << 30
    assert fields.environment(fields.table("table"), "table") == {"A": "1.5"}
    assert (fields.tables("named"), fields.tables_in("rows")) == ({"one": {}}, [{}])
    assert (fields.text(top, "", "none", "b"), fields.texts(top, "", "none")) == ("b", None)


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (
            lambda f, t: f.keys(t, "", ["txt", "number"]),
            "text is an unknown key, expected one of txt, number (did",
        ),
        (lambda f, t: f.text(t, "", "empty"), "empty is ' ', expected a text"),
        (lambda f, t: f.text(t, "", "number"), "number is 3, expected a text"),
        (lambda f, t: f.text(t, "", "none"), "none is missing, expected a text"),
        (lambda f, t: f.text(t, "", "text", like="b+", expected="some b"), "text is 'a', expected some b"),
        (lambda f, t: f.texts(t, "", "list"), "list is ['a', 1], expected a list of texts"),
        (lambda f, t: f.texts(t, "", "text"), "text is 'a', expected a list of texts"),
        (lambda f, t: f.whole(t, "", "flag", 1), "flag is True, expected a whole number"),
        (lambda f, t: f.whole(t, "", "huge", 1), f"huge is {10**30}, expected a whole number"),
        (lambda f, t: f.whole(t, "", "number", 1, 5, 9), "number is 3, expected a whole number from 5 to 9"),
        (lambda f, t: f.share(t, "", "share", 0.1), "share is 1.5, expected a number from 0 to 1"),
        (lambda f, t: f.positive(t, "", "far", None), "far is inf, expected a number above 0"),
        (lambda f, t: f.positive(t, "", "flag", None), "flag is True, expected a number above 0"),
        (
            lambda f, t: f.positive(t, "", "huge", None),
            f"huge is {10**30}, expected a number from 1e-30 to 1e+15",
        ),
        (
            lambda f, t: f.positive({"x": 1e-300}, "", "x", None),
            "x is 1e-300, expected a number from 1e-30 to 1e+15",
        ),
        (lambda f, t: f.size(t["vast"], "vast"), "vast is '99999999999 TB', expected a size above 0"),
        (lambda f, t: f.size(t["huge"], "huge"), f"huge is {10**30}, expected a size above 0"),
        (lambda f, t: f.table("text"), "text is 'a', expected a table [text]"),
        (lambda f, t: f.tables("table"), "table.A is 1.5, expected a table [table.A]"),
        (lambda f, t: f.tables_in("table"), "table is {'A': 1.5}, expected tables [[table]]"),
        (
            lambda f, t: f.environment(t["table"], "table", decimals=False),
            "table.A is 1.5, expected a text or whole number",
        ),
    ],
)
def test_a_mistake_names_file_key_what_stands_there_and_what_is_expected(
    fields: Fields, take: Callable[[Fields, dict[str, Any]], object], words: str
) -> None:
    with pytest.raises(BadInputError) as refusal:
        take(fields, fields.document)
    assert str(refusal.value).startswith(f"f.toml: {words}")


@pytest.mark.parametrize("content", [b"= 3", b"\xff", b"a = " + b"[" * 100_000, b"a = " + b"1" * 5000])
def test_a_file_that_is_no_toml_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(content)
    for place in (path, tmp_path, tmp_path / "absent.toml"):
        with pytest.raises(BadInputError, match=str(place)):
            toml_tables.read(place)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 0x" + "f" * 5000, "a number has too many digits"),
        ("a = 1" + "0" * 5000, "a number has too many digits"),
        ("a = " + "[" * 200 + "]" * 200, "nested too deeply"),
        (".".join("a" * 101) + " = 1", "a key has more than 100 parts"),
        ("[" + " . ".join(['"a"', "'b'"] * 51) + "]", "a key has more than 100 parts"),
        ("x = { " + "a." * 60_000 + "a = 1 }", "a key has more than 100 parts"),
        ("a = " + "[" * 100000, "nested too deeply"),
    ],
)
def test_what_can_be_written_and_neither_shown_nor_carried_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        toml_tables.parse(text, "f.toml")


def test_what_is_no_long_key_is_read() -> None:
    text = "a = [" + ", ".join(["0.5"] * 5000) + "]\nb = 'word.' \n" + ".".join("c" * 90) + " = 1\n"
    assert len(toml_tables.parse(text, "f.toml")["a"]) == 5000


def test_a_sentence_has_nothing_that_a_terminal_would_act_on() -> None:
    fields = Fields("f.toml", {"\x1b[2J\x07": 1})
    with pytest.raises(BadInputError) as refused:
        fields.keys(fields.document, "", ("name",))
    assert str(refused.value).isprintable()
    assert "\\x1b[2J" in str(refused.value)


def test_a_sentence_stays_one_however_long_the_value() -> None:
    fields = Fields("f.toml", {"a": "x" * 100_000})
    refused = fields.bad("a" * 100_000, f"is {fields.document['a']!r}", "one of " + ", ".join(["b"] * 90_000))
    assert len(str(refused)) < 2000


def test_a_long_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("#" * (toml_tables.MOST_BYTES + 1))
    with pytest.raises(BadInputError, match="is longer than 256 KiB"):
        toml_tables.read(path)


def test_what_is_no_regular_file_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    os.mkfifo(path)
    with pytest.raises(
        BadInputError, match=r"f\.toml: cannot be read \(it is no regular file\); name a file"
    ):
        toml_tables.text_of(path, "name a file")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CUDA_VISIBLE_DEVICES", "`gpus` of [hardware.NAME] says how many GPUs a run sees"),
        ("STACKYARD_CHANNEL", "the harness sets it for each run"),
        ("PYTHONPYCACHEPREFIX", "the harness sets it for each run"),
        ("PYTHONDONTWRITEBYTECODE", "the harness sets it for each run"),
    ],
)
def test_what_the_harness_decides_is_no_variable_of_a_file(fields: Fields, name: str, words: str) -> None:
    expected = re.escape(f"f.toml: tunables.{name} is '', expected nothing: {words}")
    with pytest.raises(BadInputError, match=expected):
        fields.environment({"OMP_NUM_THREADS": 2, name: ""}, "tunables")
