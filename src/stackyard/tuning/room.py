"""How many trials run beside each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.tuning.study import Packing
from stackyard.tuning.trial import Trial


class Room:
    """The room of one study."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def full(self, running: Sequence[Trial]) -> bool:
        """Whether no further trial can begin, whatever it needs."""
        return len(running) >= (self._packing.at_once or 1)

    def fits(self, trial: Trial, running: Sequence[Trial]) -> bool:
        """Whether this one may begin beside those."""
        return True
