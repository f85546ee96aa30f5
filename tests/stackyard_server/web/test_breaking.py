"""Where long names break, and how shown text is cut."""

from __future__ import annotations

import pytest

from stackyard_server.web import breaking


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain", "plain"), ("a/b_c-d.e", "a/<wbr>b_<wbr>c-<wbr>d.<wbr>e"), ("a//b", "a//<wbr>b"), ("end/", "end/"),
        ("<b>/x", "&lt;b&gt;/<wbr>x"), ("two words", "two words"), ("", ""),
    ],
)  # fmt: skip
def test_a_name_breaks_between_its_parts(name: str, shown: str) -> None:
    assert breaking.breakable(name) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    whole = "x" * (breaking.MOST_CHARACTERS + 1)
    shown = breaking.cut(whole)
    assert len(shown) < len(whole) + 60
    assert shown.endswith(f"{len(whole):,} characters in all")
    assert breaking.cut("x" * breaking.MOST_CHARACTERS) == "x" * breaking.MOST_CHARACTERS
    assert breaking.cut(None) == ""


def test_a_word_is_quoted_for_a_shell() -> None:
    assert breaking.shell("brand new") == "'brand new'"
    assert breaking.shell("default") == "default"
