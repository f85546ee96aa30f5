"""Texts of a log on a terminal."""

from __future__ import annotations

import pytest

from stackyard.cli.terminal import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü 漢字", "plain äöü 漢字"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\rb\nc\td", "a\\x0db\\x0ac\\x09d"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066\u200b\ufeff", "\\u2066\\u200b\\ufeff"),
    ],
)
def test_nothing_in_a_text_is_a_command(text: str, shown: str) -> None:
    assert plain(text) == shown
