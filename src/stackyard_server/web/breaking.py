"""Where long names may break, and how shown text is cut. Pure."""

from __future__ import annotations

import re
import shlex
from typing import Any

from markupsafe import Markup, escape

#: After these a name may go on in the next line.
_PLACES = re.compile(r"([/_\-.:=,;@|]+)(?=\w)")
#: A value longer than this is cut: a page is to be looked at, the API has the whole.
MOST_CHARACTERS = 20_000


def breakable(text: Any) -> Markup:
    """A name, with places where it may break: after a slash, a dash, a dot and the like."""
    return Markup("<wbr>").join(escape(part) for part in _parts(str(text)))


def _parts(text: str) -> list[str]:
    ends = [match.end() for match in _PLACES.finditer(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)])]


def cut(text: Any) -> str:
    """The beginning of a long text, and how much there is of it."""
    whole = str(text or "")
    if len(whole) <= MOST_CHARACTERS:
        return whole
    return f"{whole[:MOST_CHARACTERS]}\n… cut here: {len(whole):,} characters in all"


def shell(word: Any) -> str:
    """A word as it is typed in a shell."""
    return shlex.quote(str(word))
