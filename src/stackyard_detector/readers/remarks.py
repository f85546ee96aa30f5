"""What is legal in the events of a data set and most likely not meant, a sentence each. Standard library only."""

from __future__ import annotations

from typing import List

#: Fewer events than this say nothing when they are all one, or when nearly all of them differ.
FEW_SAME, FEW_DIFFERENT = 5, 20
#: The share of different ones from which on events are said to be nearly all different.
NEARLY_ALL = 0.8


def event_remarks(events: int, different: int) -> List[str]:
    """Remarks on a data set of so many events, with so many different names."""
    if different == 1 and events >= FEW_SAME:
        return ["all events are one: choose what tells them apart (event_column or event_pattern)"]
    if events >= FEW_DIFFERENT and different > NEARLY_ALL * events:
        return [
            "nearly every event is different: the event holds a number, an address or a text that never repeats"
        ]
    return []
