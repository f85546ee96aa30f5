"""Sessions as one flat array, and the windows of h events before each target event.

With start padding every event is a target and windows reach into pads before the session; without it the
targets are the events from index h on, and sessions of h events or fewer have none. Needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import List, Sequence, Tuple, Union

import numpy as np

from stackyard_detector.detector.config import DetectorConfig


@dataclass(frozen=True)
class Sequences:
    """Sessions of symbols, end to end: session i is ``values[offsets[i]:offsets[i + 1]]``."""

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Events per session, int64 [sessions]."""
        return np.diff(self.offsets)


#: What every function here takes: a list of int arrays (or lists), or sessions already packed.
Sessions = Union[Sequences, Sequence[Sequence[int]], List[np.ndarray]]


def pack(sessions: Sessions) -> Sequences:
    """``sessions`` end to end in one int32 array; returned as it is when it is packed already."""
    if isinstance(sessions, Sequences):
        return sessions
    offsets = np.zeros(len(sessions) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, sessions), dtype=np.int64, count=len(sessions)), out=offsets[1:])
    if len(sessions) and all(isinstance(session, np.ndarray) for session in sessions):
        values = np.concatenate(sessions).astype(np.int32, copy=False)
    else:
        values = np.fromiter(chain.from_iterable(sessions), dtype=np.int32, count=int(offsets[-1]))
    return Sequences(values, offsets)


@dataclass(frozen=True)
class Windows:
    """The windows of a list of sessions.

    Attributes:
        contexts: int32 [targets, history], the symbols before each target.
        targets: int32 [targets], the event that came; ``event_count`` where it is unknown.
        offsets: int64 [sessions + 1]; session i owns the targets ``offsets[i]:offsets[i + 1]``.
    """

    contexts: np.ndarray
    targets: np.ndarray
    offsets: np.ndarray


def target_offsets(lengths: np.ndarray, config: DetectorConfig) -> np.ndarray:
    """Where each session's targets begin in the flat list of all targets, int64 [sessions + 1]."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(np.maximum(lengths - config.first_position, 0), out=offsets[1:])
    return offsets


def windows(sessions: Sessions, config: DetectorConfig, event_count: int) -> Windows:
    """All windows of ``sessions``, in order (step 1)."""
    symbols, places, offsets = target_places(sessions, config, event_count)
    if not len(places):
        empty = np.zeros((0, config.history), dtype=np.int32)
        return Windows(empty, np.zeros(0, dtype=np.int32), offsets)
    views = np.lib.stride_tricks.sliding_window_view(symbols, config.history)
    return Windows(views[places - config.history], symbols[places], offsets)


def target_places(
    sessions: Sessions, config: DetectorConfig, event_count: int
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows without writing them out: a target's window is the ``history`` symbols before its place.

    Returns:
        symbols: int32, all sessions end to end, with their pads.
        places: int64 [targets], index of each target in ``symbols``.
        offsets: int64 [sessions + 1], as in ``Windows``.
    """
    packed = pack(sessions)
    symbols, ends = _with_pads(packed, config, event_count)
    offsets = target_offsets(packed.lengths, config)
    # A session's targets are its last events: their places follow from where the session ends.
    places = np.arange(offsets[-1]) + np.repeat(ends - offsets[1:], np.diff(offsets))
    return symbols, places, offsets


def _with_pads(packed: Sequences, config: DetectorConfig, event_count: int) -> Tuple[np.ndarray, np.ndarray]:
    """The flat symbols, h pads before each session with start padding, and where each session ends there."""
    if not config.start_padding:
        return packed.values, packed.offsets[1:]
    shifts = config.history * np.arange(1, len(packed) + 1)
    padded = np.full(len(packed.values) + config.history * len(packed), event_count + 1, dtype=np.int32)
    padded[np.arange(len(packed.values)) + np.repeat(shifts, packed.lengths)] = packed.values
    return padded, packed.offsets[1:] + shifts


def merged(contexts: np.ndarray, targets: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct (context, target) pairs and how often each occurs: contexts, targets, counts int64.

    A loss over the distinct pairs weighted by their counts is the loss over all windows, for less work.
    """
    rows = np.ascontiguousarray(np.column_stack([contexts, targets]))
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return contexts[first], targets[first], counts
