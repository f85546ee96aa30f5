"""The events a model knows, as numbers.

Built from training sessions only. Two further symbols exist beside the events: ``unknown`` (an event that
training did not contain) and ``pad`` (before the first event, with start padding). Needs numpy.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Sequence, Set, Tuple, Union

import numpy as np


class Vocabulary:
    """Event names and their ids 0..size-1, in the order given."""

    def __init__(self, events: Sequence[str]) -> None:
        """A vocabulary of exactly these events.

        Raises:
            ValueError: an event is listed twice, or there is none.
        """
        self.events: List[str] = [str(event) for event in events]
        self._ids: Dict[str, int] = {event: number for number, event in enumerate(self.events)}
        if len(self._ids) != len(self.events):
            raise ValueError("a vocabulary lists every event once, found duplicates")
        if not self.events:
            raise ValueError("a vocabulary needs at least one event, found none")

    @classmethod
    def from_sessions(cls, sessions: Iterable[Sequence[str]]) -> Vocabulary:
        """The vocabulary of all events of ``sessions``: numbers in numeric order, names in alphabetical."""
        seen: Set[str] = set()
        for events in sessions:
            seen.update(events)
        return cls(sorted(seen, key=_natural_order))

    @property
    def size(self) -> int:
        """Number of known events."""
        return len(self.events)

    @property
    def unknown(self) -> int:
        """The symbol of every event that training did not contain; never predicted, so always a miss."""
        return len(self.events)

    @property
    def pad(self) -> int:
        """The symbol that stands before a session's first event; never a target."""
        return len(self.events) + 1

    def encode(self, events: Sequence[str]) -> np.ndarray:
        """The ids of ``events``, int32 [len(events)]; an event not listed becomes ``unknown``."""
        ids, unknown = self._ids, len(self.events)
        return np.fromiter((ids.get(event, unknown) for event in events), dtype=np.int32, count=len(events))

    def __len__(self) -> int:
        return len(self.events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and other.events == self.events

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> List[str]:
        """The JSON form: the events in the order of their ids."""
        return list(self.events)


def _natural_order(event: str) -> Tuple[int, Union[int, str]]:
    return (0, int(event)) if event.isdecimal() and event.isascii() else (1, event)
