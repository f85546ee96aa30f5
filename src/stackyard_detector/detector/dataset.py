"""A set of sessions in memory: read once as a stream, kept as numbers.

Event names are kept once each; a session costs four bytes an event. Which sessions train and which validate
is decided here too, by session or by time. Needs numpy.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from stackyard_detector.detector.ends import END
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_detector.detector.windows import Sequences
from stackyard_detector.readers import event_remarks
from stackyard_detector.sessions import Session
from stackyard_task.channel import BadInput, Channel


@dataclass(frozen=True)
class Dataset:
    """Sessions with what is known about them.

    Attributes:
        keys: one per session.
        labels: 1 malicious, 0 benign, ``None`` unknown.
        started_at: instant of the first event, seconds since the epoch, or ``None``.
        ended_at: instant of the last event, likewise.
        attack_starts_at: index of the first malicious event, or ``None``.
        names: every different event name, in order of appearance.
        events: the sessions as indices into ``names``.
    """

    keys: List[str]
    labels: List[Optional[int]]
    started_at: List[Optional[float]]
    ended_at: List[Optional[float]]
    attack_starts_at: List[Optional[int]]
    names: List[str]
    events: Sequences

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: np.ndarray) -> Sequences:
        """The sessions at ``rows`` as indices into ``names``, end to end."""
        lengths = self.events.lengths[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(self.events.offsets[rows] - offsets[:-1], lengths)
        return Sequences(self.events.values[places], offsets)

    def chosen(self, rows: Sequence[int]) -> Dataset:
        """A set of the sessions at ``rows`` alone."""
        return Dataset(
            [self.keys[row] for row in rows],
            [self.labels[row] for row in rows],
            [self.started_at[row] for row in rows],
            [self.ended_at[row] for row in rows],
            [self.attack_starts_at[row] for row in rows],
            self.names,
            self.select(np.array(rows, dtype=np.int64)),
        )

    def encoded(self, vocabulary: Vocabulary, rows: Optional[np.ndarray] = None) -> Sequences:
        """The sessions at ``rows`` (all by default) as symbols of ``vocabulary``."""
        chosen = self.events if rows is None else self.select(rows)
        return Sequences(vocabulary.encode(self.names)[chosen.values], chosen.offsets)

    def vocabulary(self, rows: np.ndarray, end_event: bool = False) -> Vocabulary:
        """The vocabulary of the sessions at ``rows``, with ``end_event`` their end as the last event.

        Raises:
            BadInput: an event of the data has the name of the end.
        """
        present = np.unique(self.select(rows).values)
        found = Vocabulary.from_sessions([[self.names[event] for event in present]])
        if not end_event:
            return found
        if END in self.names:
            raise BadInput(
                f"the data has an event {END!r}, the name of what end_event adds; map it with action_map"
            )
        return Vocabulary([*found.events, END])


def collect(sessions: Iterable[Session]) -> Dataset:
    """All ``sessions`` in memory."""
    keys: List[str] = []
    labels: List[Optional[int]] = []
    started_at: List[Optional[float]] = []
    ended_at: List[Optional[float]] = []
    attack_starts_at: List[Optional[int]] = []
    ids: Dict[str, int] = {}
    values, offsets = array("i"), array("q", [0])
    for session in sessions:
        keys.append(session.key)
        labels.append(session.label)
        started_at.append(session.started_at)
        ended_at.append(session.ended_at)
        attack_starts_at.append(session.attack_starts_at)
        values.extend([ids.setdefault(event, len(ids)) for event in session.events])
        offsets.append(len(values))
    flat = np.frombuffer(values, dtype=np.int32) if values else np.zeros(0, dtype=np.int32)
    return Dataset(
        keys,
        labels,
        started_at,
        ended_at,
        attack_starts_at,
        list(ids),
        Sequences(flat, np.frombuffer(offsets, dtype=np.int64)),
    )


def split(dataset: Dataset, share: float, by: str, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Rows that train and rows that validate, benign and unlabelled sessions only.

    Args:
        dataset: the sessions; those labelled malicious are in neither part.
        share: part of the sessions to validate with, above 0 and below 1; at least one session.
        by: "session": drawn at random; "time": the last to start.
        seed: of the draw.

    Raises:
        BadInput: fewer than two benign sessions, or a split by time of sessions without times.
    """
    benign = np.array([row for row, label in enumerate(dataset.labels) if label != 1], dtype=np.int64)
    if len(benign) < 2:
        raise BadInput(
            f"benign sessions in the data: {len(benign)} (of {len(dataset)}); training needs at least 2, one "
            "of them to validate with: give more data"
        )
    if by == "time":
        times = [dataset.started_at[row] for row in benign]
        without = sum(time is None for time in times)
        if without:
            raise BadInput(
                f'{without} of {len(times)} sessions have no time, validation_by = "time" needs one for '
                'each; name the time column of the source, or use validation_by = "session"'
            )
        order = np.argsort(np.array(times, dtype=np.float64), kind="stable")
    else:
        order = np.random.default_rng(seed).permutation(len(benign))
    held_out = min(max(1, round(share * len(benign))), len(benign) - 1)
    return np.sort(benign[order[:-held_out]]), np.sort(benign[order[-held_out:]])


def tell_remarks(dataset: Dataset, channel: Channel, more: Sequence[str] = ()) -> None:
    """Tell as notes of the run what is legal and most likely not meant.

    Args:
        dataset: what was read.
        channel: to the record.
        more: what else the readers remarked.
    """
    for remark in [*event_remarks(len(dataset.events.values), len(dataset.names)), *more]:
        channel.note(remark)
