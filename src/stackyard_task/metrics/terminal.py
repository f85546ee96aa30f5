"""What a terminal shows of a program's output: what is written over what stood there is a line of its own.

Control sequences are ECMA-48's and those of DEC's terminals. Standard library only.
"""

from __future__ import annotations

import re
from typing import List, Tuple

#: What takes the cursor back over what was written: backspaces; cursor up, down, left, to a line, a column, a place
#: (CUU, CUD, CUB, CNL, CPL, VPA, CHA, CUP, HVP); the screen or a line's beginning erased (ED, EL 1 and 2); a place that
#: was saved (SCORC, DECRC); one line up (RI). Not EL 0, which grep and gcc write behind every colour.
_BACK = r"(?:\x08|\x1b\[[0-9]{0,9}[ABDEFGJdu]|\x1b\[[0-9;]{0,19}[Hf]|\x1b\[[12]K|\x1b[8M])+"
_BACK_TEXT, _BACK_BYTES = re.compile(_BACK), re.compile(_BACK.encode())
#: The beginning of such a sequence where a piece of output ends.
_BEGUN = re.compile(rb"\x1b(?:\[[0-9;]{0,19})?\Z")
#: One instruction: backspaces, or a sequence with its number and its letter.
_MOVE = re.compile(r"(\x08+)|\x1b\[?([0-9]*)[0-9;]*(.)")
#: Colours and other instructions (control sequences, titles, saving the cursor and keypad modes).
_OTHER = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[78M=>])")
#: Letters in front of the cursor that a later line keeps: a spinner behind a long line would write it a thousand times.
_KEPT_LETTERS = 200


def without_colours(text: str) -> str:
    """A text without what instructs a terminal."""
    return _OTHER.sub("", text) if "\x1b" in text else text


def parted(data: bytes) -> Tuple[bytes, bytes]:
    """A piece of output with a line's end for each return and before each redraw, and what of it waits for more.

    What waits is a sequence that is not all there: put it in front of the next piece.
    """
    begun = _BEGUN.search(data)
    data, held = (data, b"") if begun is None else (data[: begun.start()], begun.group())
    data = data.replace(b"\r", b"\n")
    return (_BACK_BYTES.sub(rb"\n\g<0>", data) if b"\x08" in data or b"\x1b" in data else data), held


class Shown:
    """Lines that ``parted`` made, as somebody at a terminal reads them."""

    def __init__(self) -> None:
        self._before = ""

    def read(self, batch: List[bytes]) -> List[str]:
        """Some lines as text, without colours; of one that is partly written over, what stays stands in front."""
        text = b"\n".join(batch).decode("utf-8", "replace")
        lines = text.split("\n")
        if "\x08" in text or "\x1b" in text:
            for number, line in enumerate(lines):
                back = _BACK_TEXT.match(line)
                if back is not None:
                    line = self._stays(back.group()) + line[back.end() :]
                lines[number] = self._before = without_colours(line)
        self._before = lines[-1]
        return lines

    def _stays(self, moves: str) -> str:
        """What of the line before stands in front of the cursor then."""
        column = len(self._before)
        for move in _MOVE.finditer(moves):
            backspaces, number, letter = move.groups()
            if backspaces:
                column -= len(backspaces)
            elif letter == "D":
                column -= int(number or 1)
            elif letter == "G":
                column = min(column, int(number or 1) - 1)
            else:  # another line, or this one erased
                column = 0
        return self._before[:column] if 0 < column <= _KEPT_LETTERS else ""
