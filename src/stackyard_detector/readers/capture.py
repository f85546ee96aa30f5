"""What the user's regular expressions find in a line. Standard library only.

A regular expression of the user's can take a time that grows with the square of a line's length, or worse where
repetitions are nested, as in ``(a+)+``. Longer lines than MATCHED_CHARACTERS are therefore never matched.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence

#: A longer line is not matched by the user's patterns.
MATCHED_CHARACTERS = 1 << 16
#: What joins the parts of a key or event: several columns, or the groups of one pattern.
JOINT = "|"


class Capture:
    """What patterns capture: the first pattern that fits counts, and its groups are joined.

    Args:
        patterns: regular expressions with a group or more.
        joint: what joins the groups that took part in a match.
    """

    def __init__(self, patterns: Sequence[str], joint: str = JOINT) -> None:
        self._compiled = [re.compile(pattern) for pattern in patterns]
        self._joint = joint
        self._single = self._compiled[0] if len(patterns) == 1 and self._compiled[0].groups == 1 else None

    def first(self, text: str) -> Optional[str]:
        """What the first match captures; ``None``: no pattern fits."""
        if self._single is not None:
            match = self._single.search(text)
            return None if match is None else match.group(1)
        for pattern in self._compiled:
            match = pattern.search(text)
            if match is not None:
                return self._joined(match)
        return None

    def all(self, text: str) -> List[str]:
        """What each match of the first pattern that fits captures, each once, in order."""
        if self._single is not None:
            return list(dict.fromkeys(self._single.findall(text)))
        for pattern in self._compiled:
            found = [self._joined(match) for match in pattern.finditer(text)]
            if found:
                return list(dict.fromkeys(found))
        return []

    def _joined(self, match: re.Match[str]) -> str:
        return self._joint.join([group for group in match.groups() if group is not None])


class NamedGroups:
    """The named groups of patterns, of which the first that fits counts."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._compiled = [re.compile(pattern) for pattern in patterns]

    def of(self, text: str) -> Optional[Dict[str, Optional[str]]]:
        """Group -> what it captured (``None``: it took no part); ``None``: no pattern fits."""
        for pattern in self._compiled:
            match = pattern.search(text)
            if match is not None:
                return match.groupdict()
        return None
