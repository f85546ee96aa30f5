"""What programs write for a terminal, as the log's page shows it."""

from __future__ import annotations

import pytest

from stackyard_server.web.terminal import MOST_STYLES, printed


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain\n", "plain"),
        ("\x1b[31mred\x1b[0m and not", '<span class="red">red</span> and not'),
        ("\x1b[1;92mdone\x1b[22m?", '<span class="green"><b>done</b></span><span class="green">?</span>'),
        (
            "\x1b[38;5;3mnamed\x1b[39m \x1b[38;2;1;31;3mnot named",
            '<span class="yellow">named</span> not named',
        ),
        ("\x1b[2K\x1b[1A\x1b]0;a title\x07moved", "moved"),
        ("  0%|   |\r 50%|#  |\r100%|###|\n", "100%|###|"),
        ("5%\r10%\r\nnext\r\n", "10%\nnext"),
        ("\x1b[31m5%\r10%", '<span class="red">10%</span>'),
        ("loss: 2.0" + "\b" * 9 + "loss: 0.1\n", "loss: 0.1"),
        ("loss: 2.0" + "\b" * 9, "loss: 2.0"),
        ("loss: 2.0\b\b\b0.1", "loss: 0.1"),
        ("\x1b[31m5%\x1b[0m\b\b6%", "6%"),
        ("\x1b[31m5%\x1b[2D\x1b[K6%", '<span class="red">6%</span>'),
        ("a 5%\x1b[3G6%\x1b[1Gb 7%", "b 7%"),
        ("a 5%\x1b[2K\x1b[Ga 6%\x1b[2K\x1b[G", "a 6%"),
        ("x" * 300 + "\b|", "|"),
        ("\b\b after\n\bnext", " after\nnext"),
        ("<i>\x1b[35m<script>", '&lt;i&gt;<span class="magenta">&lt;script&gt;</span>'),
        ("\x1b]0;no end, so nothing is lost", "0;no end, so nothing is lost"),
        ("\x1b[48;5m\x1b[38mx", "x"),
        (None, ""),
    ],
)
def test_a_message_is_shown_as_a_terminal_would(written: str | None, shown: str) -> None:
    assert str(printed(written)) == shown


def test_of_a_spinner_of_a_megabyte_its_last_state_is_shown() -> None:
    assert str(printed("loss " + "|\b/\b" * 250_000)).endswith("/")
    assert str(printed("x" * 100_000 + "\r50%" + "\b\b\b60%")) == "60%"


def test_changes_of_style_are_bounded_and_the_text_is_whole() -> None:
    shown = printed("\x1b[31mx" * (MOST_STYLES + 100))
    assert shown.count("<span") == MOST_STYLES
    assert shown.striptags() == "x" * (MOST_STYLES + 100)
