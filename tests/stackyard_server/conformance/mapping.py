"""What belongs to the recorded server and what belongs to the one under test, one to one.

Lives here: pairs of ids, of secrets, of addresses and of moments, and the translation of a request by them. An id is
bound where it is first seen at the same place of both answers and must keep its partner afterwards.
Lives elsewhere: comparing (``comparison``), which does the binding. May import: the standard library.
"""

from __future__ import annotations

import bisect
import datetime
import re
from typing import Any

ID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])|__tests__")
ACCESS_KEY = re.compile(r"\b[0-9A-Z]{30}\b")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?")


def parse_moment(text: str) -> datetime.datetime | None:
    """The aware moment that an ISO text names, None where it is none."""
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


class Mapping:
    """The pairs of one recorded server and one server under test."""

    def __init__(self, addresses: dict[str, str] | None = None) -> None:
        """Args:
        addresses: Recorded base URL -> base URL under test.
        """
        self.addresses = dict(addresses or {})
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._recorded_moments: list[datetime.datetime] = []
        self._our_moments: list[datetime.datetime] = []

    def bind(self, recorded: str, ours: str) -> bool:
        """Whether the two may stand for each other; binds them when neither has a partner yet."""
        known = self._ours.get(recorded)
        if known is not None:
            return known == ours
        if ours in self._theirs:
            return False
        self._ours[recorded] = ours
        self._theirs[ours] = recorded
        return True

    def find_ours(self, recorded: str) -> str | None:
        """The partner of a recorded id, None while it has none."""
        return self._ours.get(recorded)

    def is_ours(self, name: str) -> bool:
        """Whether an id of the server under test has a partner."""
        return name in self._theirs

    def replace_text(self, recorded: str, ours: str) -> None:
        """Have a secret, token or scroll id replaced wherever a request carries it."""
        if recorded and recorded != ours:
            self._texts[recorded] = ours

    def find_text(self, recorded: str) -> str | None:
        """What replaces a recorded secret, token or scroll id, None when it has no partner."""
        return self._texts.get(recorded)

    def note_moments(self, recorded: str, ours: str) -> None:
        """Remember two moments of the same event, so that a recorded time in a request can be moved."""
        left, right = parse_moment(recorded), parse_moment(ours)
        if left is None or right is None:
            return
        place = bisect.bisect_left(self._recorded_moments, left)
        if place < len(self._recorded_moments) and self._recorded_moments[place] == left:
            self._our_moments[place] = max(self._our_moments[place], right)
            return
        self._recorded_moments.insert(place, left)
        self._our_moments.insert(place, right)

    def move_moment(self, recorded: datetime.datetime) -> datetime.datetime:
        """The moment of the server under test that stands to its events as the recorded one stood to its own."""
        if not self._recorded_moments:
            return recorded
        place = bisect.bisect_right(self._recorded_moments, recorded)
        if place == 0:
            return self._our_moments[0] - (self._recorded_moments[0] - recorded)
        before, ours = self._recorded_moments[place - 1], self._our_moments[place - 1]
        if place == len(self._recorded_moments) or before == recorded:
            return ours + (recorded - before)
        share = (recorded - before) / (self._recorded_moments[place] - before)
        return ours + max(self._our_moments[place] - ours, datetime.timedelta(0)) * share

    def translate_text(self, text: str) -> str:
        """A recorded text as the server under test would have to be given it (ids, secrets, addresses)."""
        whole = self._texts.get(text)
        if whole is not None:
            return whole
        for recorded, ours in self.addresses.items():
            if recorded in text:
                text = text.replace(recorded, ours)
        if len(text) >= 9:
            text = ID.sub(lambda found: self._ours.get(found.group(), found.group()), text)
            text = ACCESS_KEY.sub(lambda found: self._texts.get(found.group(), found.group()), text)
        return text

    def translate(self, value: Any) -> Any:
        """A recorded value as the server under test would have to be given it, keys included."""
        if isinstance(value, str):
            return self.translate_text(value)
        if isinstance(value, dict):
            return {self.translate_text(key): self.translate(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.translate(item) for item in value]
        return value

    def take_snapshot(self) -> tuple[dict[str, str], dict[str, str]]:
        """The id pairs, to come back to with ``restore``."""
        return dict(self._ours), dict(self._theirs)

    def restore(self, snapshot: tuple[dict[str, str], dict[str, str]]) -> None:
        """Forget the id pairs bound since the snapshot."""
        self._ours, self._theirs = dict(snapshot[0]), dict(snapshot[1])
