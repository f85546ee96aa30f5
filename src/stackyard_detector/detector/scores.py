"""How unusual sessions are to one part of the detector: a score per session, and how it grew event by event.

A score never falls while a session goes on, so the event at which it passes a threshold is the event that raised the
alarm, whatever comes later. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, Optional

import numpy as np

#: Sharpness of the soft maximum: log(sum(exp(b * x))) / b. Two events as unusual as each other add 0.35 nats to what
#: one has, and a thousand ordinary ones do not reach a rare one.
SHARPNESS = 2.0


def _soft_maximum(values: np.ndarray) -> np.ndarray:
    """The running soft maximum of ``values`` (nats), float64; minus infinity adds nothing."""
    return np.log(np.maximum(np.cumsum(np.exp(SHARPNESS * values)), 1.0)) / SHARPNESS


#: How what each event adds becomes the score of all events so far.
GATHERED: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "soft-maximum": _soft_maximum,
    "maximum": np.maximum.accumulate,
    "sum": np.cumsum,
}


class Scores:
    """The scores of a list of sessions in the eyes of one part.

    Attributes:
        sessions: float64 [sessions], at the end of each session; greater is more unusual.
    """

    sessions: np.ndarray

    def running(self, session: int, begin: int = 0) -> np.ndarray:
        """The score after each event of a session, float64 [events - begin], never falling.

        Args:
            session: which one.
            begin: events before this one add nothing: where counting starts anew after an alarm.
        """
        raise NotImplementedError

    def first_above(self, threshold: float) -> np.ndarray:
        """Index of the event with which each score passes ``threshold``, int64 [sessions], -1 where it never does."""
        first = np.full(len(self.sessions), -1, dtype=np.int64)
        for session in np.flatnonzero(self.sessions > threshold).tolist():
            first[session] = int(np.argmax(self.running(session) > threshold))
        return first

    def first_above_from(self, session: int, threshold: float, start: int) -> int:
        """Index of the first alarm of a session when counting begins with the event ``start``, -1 without one.

        An alarm before that event is about something else: it is raised, and over.
        """
        above = np.flatnonzero(self.running(session, start) > threshold)
        return start + int(above[0]) if len(above) else -1


@dataclass(frozen=True)
class EventScores(Scores):
    """Scores made of what each event adds, and of what only the end of a session shows.

    Attributes:
        offsets: int64 [sessions + 1]; session i owns the events ``offsets[i]:offsets[i + 1]``.
        per_event: float [events], what each event adds; ``None``: no event says anything by itself.
        gathered: a name of ``GATHERED``: how that becomes a score.
        at_end: float [sessions], a score that is known with the last event only; ``None``: there is none.
    """

    offsets: np.ndarray
    per_event: Optional[np.ndarray]
    gathered: str = "maximum"
    at_end: Optional[np.ndarray] = None
    sessions: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sessions", self._sessions())

    def _sessions(self) -> np.ndarray:
        scores = np.zeros(len(self.offsets) - 1)
        filled = np.flatnonzero(np.diff(self.offsets) > 0)
        if self.per_event is not None and len(filled):
            starts, values = self.offsets[filled], np.asarray(self.per_event, dtype=np.float64)
            if self.gathered == "soft-maximum":
                sums = np.add.reduceat(np.exp(SHARPNESS * values), starts)
                scores[filled] = np.log(np.maximum(sums, 1.0)) / SHARPNESS
            else:
                gather = np.maximum if self.gathered == "maximum" else np.add
                scores[filled] = gather.reduceat(values, starts)
        return scores if self.at_end is None else np.maximum(scores, self.at_end)

    def running(self, session: int, begin: int = 0) -> np.ndarray:
        """See ``Scores.running``; the last one is the session's score."""
        start, stop = int(self.offsets[session]) + begin, int(self.offsets[session + 1])
        if self.per_event is None:
            result = np.zeros(max(stop - start, 0))
        else:
            result = GATHERED[self.gathered](np.asarray(self.per_event[start:stop], dtype=np.float64))
        if self.at_end is not None and len(result):
            result[-1] = max(result[-1], self.at_end[session])
        if not begin and len(result):
            # the same sum in another order differs in its last digits; a session has one score
            result = np.minimum(result, self.sessions[session])
            result[-1] = self.sessions[session]
        return result
