"""Output that is written over what stood there."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from stackyard_task.metrics import files, read
from stackyard_task.metrics.terminal import Shown, parted
from tests.stackyard_task.metrics.running import places

LOSS = r"line:loss[ :=]+(?P<value>[-+.0-9eE]+)"
#: The ways in which a bar goes back to its beginning, each behind a bar of n letters.
BACK = {
    "backspaces": lambda n: b"\b" * n,
    "backspaces and a return": lambda n: b"\b" * n + b"\r",
    "up and erased": lambda n: b"\n\x1b[1A\x1b[2K",
    "erased and up": lambda n: b"\x1b[2K\x1b[1A",
    "to the first column": lambda n: b"\x1b[1G",
    "to the first column and erased": lambda n: b"\x1b[G\x1b[K",
    "left and erased": lambda n: b"\x1b[%dD\x1b[K" % n,
    "the screen": lambda n: b"\x1b[2J\x1b[H",
    "a place": lambda n: b"\x1b[3;1H",
    "a saved place": lambda n: b"\x1b8\x1b[K",
    "a line further up": lambda n: b"\x1bM\x1b[0K",
}


def seen(*pieces: bytes) -> List[str]:
    """Lines of pieces of output."""
    shown, rest, held, found = Shown(), b"", b"", []
    for piece in pieces:
        data, held = parted(held + piece)
        *batch, rest = (rest + data).split(b"\n")
        found += shown.read(batch) if batch else []
    return [line for line in [*found, *shown.read([rest])] if line.strip()]


@pytest.mark.parametrize("way", BACK)
def test_each_redraw_of_a_bar_is_a_line(tmp_path: Path, way: str) -> None:
    bars = [b"%d/3 [====>] - loss: %.4f" % (n, loss) for n, loss in enumerate((2.0, 0.5, 0.1))]
    log = b"".join(bar + BACK[way](len(bar)) for bar in bars[:-1]) + bars[-1] + b"\nend\n"
    found = read(
        {"loss": LOSS, "all": r"line:^(?P<step>\d)/3 .*loss: (?P<value>\S+)$"}, places(tmp_path, log)
    )
    assert found.values == {"loss": 0.1, "all": 0.1}
    assert found.series == {"loss": [[0, 2.0], [1, 0.5], [2, 0.1]], "all": [[0, 2.0], [1, 0.5], [2, 0.1]]}


@pytest.mark.parametrize("back", [b"\b\b\b", b"\x1b[3D", b"\x1b[D\b\b", b"\x1b[7G", b"\b\b\b   \b\b\b"])
def test_what_stands_in_front_of_the_cursor_stays(back: bytes) -> None:
    lines = seen(b"loss: \x1b[31m2.0\x1b[0m" + back + b"0.1\nnext 5\b6\n")
    assert [line for line in lines if line != "loss:    "] == ["loss: 2.0", "loss: 0.1", "next 5", "next 6"]


def test_colours_that_erase_to_the_lines_end_part_no_line() -> None:
    # as grep and gcc write them
    assert seen(b"loss: \x1b[01;31m\x1b[K0.5\x1b[m\x1b[K of 1\n") == ["loss: 0.5 of 1"]


def test_a_backspace_at_a_lines_beginning_takes_nothing_from_the_line_before() -> None:
    assert seen(b"one\n\b\btwo\r\n\x1b[32mthree\x1b[0m\n") == ["one", "two", "three"]


def test_a_sequence_between_two_pieces_is_one() -> None:
    whole = b"loss: 2.0\x1b[12;1Hloss: 1.0"
    for cut in range(9, 17):
        assert seen(whole[:cut], whole[cut:]) == ["loss: 2.0", "loss: 1.0"]


def test_a_bar_longer_than_a_line_may_be_is_read_to_its_end(tmp_path: Path) -> None:
    bars = [b"%6d/20000 [====>] - loss: %.4f" % (n, n / 10) for n in range(20_000)]
    log = b"".join(bar + b"\b" * len(bar) for bar in bars)
    assert len(log) > 10 * files.LINE_BYTES
    found = read({"loss": LOSS}, places(tmp_path, log))
    assert (found.values, found.notes) == ({"loss": 1999.9}, [])


def test_a_spinner_behind_a_long_line_costs_no_more_than_itself() -> None:
    lines = seen(b"x" * 60_000 + b"|\b/\b-\b" * 10_000)
    assert sum(map(len, lines)) < 200_000
    assert len(seen(b"\x1b[" + b"9" * 5000 + b"D rest")) == 1
