"""key=value pairs in a line, as firewalls, IPS and auditd write them. Standard library only.

Read are ``key=value``, ``key="value with blanks"``, ``key='value'`` and Check Point's ``key:"value";``, parted by
blanks, commas or semicolons; a text before the first pair is passed over. The first of a repeated key counts.
Pairs in square brackets behind others are those of a packet inside the packet (netfilter) and do not count.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

_KEY = r"[A-Za-z_][\w.\-]*"
#: Where a key can begin: not within a word, an address or a URL.
_START = r"""(?<![^\s,;:|()\[\]{}<>"'])"""
#: A comma or semicolon ends an unquoted value where a blank, the end or another key comes after it.
_PLAIN = rf"""[^\s,;"]*(?:[,;](?![\s,;]|$|{_KEY}(?:=|:"))[^\s,;"]*)*"""
_PAIR = re.compile(
    rf'(?:{_START}({_KEY})(?:=|:(?=")))'
    r'(?:"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?$)'  # in double quotes; a line cut off ends them too
    # in single quotes: a text, or pairs of its own, whose values in double quotes may hold a single one
    r"""|'((?:[^'"\n]|(?<==)"[^"\n]*"){0,2048}|[^'\n]*)'(?=[\s,;)\]]|$)"""
    rf"|({_PLAIN}))"
    rf"|(?<!\S)\[(?={_KEY}=)[^\[\]]*\]"  # a packet inside the packet
)
_NESTED = re.compile(rf"\s*{_KEY}=")
_ESCAPED = re.compile(r'\\(["\\])')
_CLOSERS = {")": "(", "]": "[", "}": "{", ">": "<", "'": "'"}


def pairs(text: str) -> Optional[Dict[str, str]]:
    """The pairs of a line; ``None``: it has none."""
    found: Dict[str, str] = {}
    tokens = _PAIR.findall(text)
    if tokens and not tokens[0][0]:  # nothing stands before the brackets: they are around all pairs
        match = _PAIR.search(text)
        assert match is not None
        tokens = _PAIR.findall(text, match.start() + 1)
    _collect(tokens, found)
    return found or None


def _collect(tokens: List[Tuple[str, str, str, str]], found: Dict[str, str]) -> None:
    """Add the pairs to ``found``; those that are there stay."""
    for name, double, single, plain in tokens:
        if not name or name in found:
            if single and _NESTED.match(single):
                _collect(_PAIR.findall(single), found)
            continue
        if plain:
            if plain[-1] in _CLOSERS and _CLOSERS[plain[-1]] not in plain[:-1]:
                plain = plain[:-1]
            found[name] = plain
        elif single:
            found[name] = single
            if _NESTED.match(single):
                _collect(_PAIR.findall(single), found)
        else:
            found[name] = _ESCAPED.sub(r"\1", double) if "\\" in double else double
