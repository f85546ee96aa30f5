"""What a program wrote for a terminal, as a page shows it: colours by class, a progress bar as it ended. Pure."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from .breaking import cut

#: What a terminal is told beside the text: ``ESC [ ... letter``, a title (``ESC ] ... BEL``), and the rest.
_TOLD = re.compile(
    r"\x1b\[(?P<style>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
#: What takes the cursor back in its line: a return, backspaces, ``ESC [ n D`` (left), ``ESC [ n G`` (to a column); or
#: erases what stands in front of it.
_BACK = re.compile(r"\r|\x08+|\x1b\[(?P<number>[0-9]{0,9})(?P<letter>[DG])|\x1b\[[12]K")
#: Letters in front of the cursor that stay.
MOST_KEPT = 200
#: Of a line that is longer, and written over in its end, that end is looked at.
MOST_REDRAWN = 1 << 16
#: The colours' classes in ``style.css``, by their number; black and white are the text's own colour.
_COLOURS = (None, "red", "green", "yellow", "blue", "magenta", "cyan", None)
#: Changes of style in one message that are shown; what comes after has the text's own.
MOST_STYLES = 200


def printed(text: Any) -> Markup:
    """A message of a log: cut, escaped, each line as it stood when its end was written.

    Colours and bold become ``<span class="red">`` and ``<b>``; whatever else a terminal is told is left out.
    """
    whole = cut("\n".join(_last(line) for line in str(text or "").rstrip("\r\n").split("\n")))
    parts: list[Markup] = []
    colour, bold, end, changes = None, False, 0, 0
    for told in _TOLD.finditer(whole):
        parts.append(_shown(whole[end : told.start()], colour, bold))
        end = told.end()
        if told["style"] is not None:
            changes += 1
            colour, bold = _styled(told["style"], colour, bold) if changes <= MOST_STYLES else (None, False)
    parts.append(_shown(whole[end:], colour, bold))
    return Markup("").join(parts)


def _last(line: str) -> str:
    """A line after what takes its cursor back: what was written last, with the styles of before.

    What stays in front of the cursor has no style of its own then.
    """
    if len(line) > MOST_REDRAWN and _BACK.search(line, len(line) - MOST_REDRAWN):
        line = line[-MOST_REDRAWN:]
    backs, end = list(_BACK.finditer(line)), len(line)
    while backs and backs[-1].end() == end:  # nothing was written over it yet
        end = backs.pop().start()
    styles: list[str] = []
    kept, at = "", 0
    for back in backs:
        piece = line[at : back.start()]
        styles += (told[0] for told in _TOLD.finditer(piece) if told["style"] is not None)
        kept = _stays(kept + _TOLD.sub("", piece), back)
        at = back.end()
    return "".join(styles) + kept + line[at:end]


def _stays(shown: str, back: re.Match[str]) -> str:
    """What of a line stands in front of the cursor; nothing of a long one, which a spinner would copy each time."""
    number = int(back["number"] or 1)
    column = {"D": len(shown) - number, "G": number - 1, None: 0}[back["letter"]]
    if back[0][0] == "\b":
        column = len(shown) - len(back[0])
    return shown[:column] if 0 < column <= MOST_KEPT else ""


def _shown(text: str, colour: str | None, bold: bool) -> Markup:
    shown = escape(text)
    if not text:
        return shown
    if bold:
        shown = Markup("<b>{}</b>").format(shown)
    return Markup('<span class="{}">{}</span>').format(colour, shown) if colour else shown


def _styled(codes: str, colour: str | None, bold: bool) -> tuple[str | None, bool]:
    """Colour and weight after ``codes``, as in ``1;31``; a colour beyond the 16 named ones is the text's own."""
    left = [int(code) if len(code) < 4 and code.isdecimal() else 0 for code in codes.split(";")]
    while left:
        code = left.pop(0)
        if code == 0:
            colour, bold = None, False
        elif code in (1, 22):
            bold = code == 1
        elif 30 <= code <= 37 or code == 39:
            colour = None if code == 39 else _COLOURS[code - 30]
        elif 90 <= code <= 97:
            colour = "grey" if code == 90 else _COLOURS[code - 90]
        elif code in (38, 48) and left:
            kind = left.pop(0)
            taken, left = left[: 1 if kind == 5 else 3], left[1 if kind == 5 else 3 :]
            if code == 38:
                colour = _of_many(taken[0]) if kind == 5 and taken else None
    return colour, bold


def _of_many(number: int) -> str | None:
    """The colour of one of 256, of which the first 16 have names."""
    return "grey" if number == 8 else _COLOURS[number % 8] if number < 16 else None
