"""Judged sessions without a trained network: a pretended model that expects the next event of its vocabulary."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from stackyard_detector.detector.alarms import Findings
from stackyard_detector.detector.calibrated import Judged
from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.dataset import collect
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_detector.sessions import Session

KNOWN = ["login", "read", "write", "logout", "ping"]
CAME_FROM = {
    "model": {
        "sha256": "a" * 64,
        "trained_at": "2026-01-01T00:00:00.000Z",
        "trained_on_data_sha256": "b" * 64,
        "trained_with": {"torch": "2.13.0", "cuda": None, "numpy": "2.0", "seed": 1},
        "history": 2,
        "known_events": len(KNOWN),
    },
    "data": {"sha256": "c" * 64},
    "stack": {"python": "3.11.7", "numpy": "2.0", "torch": None},
    "created_at": "2026-02-03T04:05:06.789Z",
}


def session(events, key="198.51.100.7", **known):
    """A session of these event names, split at blanks."""
    return Session(key, events.split(), **known)


def findings(*sessions, start_padding=False, k=2, threshold=3.0, texts=None, rules=True):
    """Sessions as the pretended model judges them.

    The next event of the vocabulary (round and round) has rank 1 and probability 0.9; each other one is one rank and
    three nats further. Network and combination alarm above the threshold, in nats, of the most surprising event.
    """
    dataset = collect(list(sessions))
    config = DetectorConfig(history=2, start_padding=start_padding)
    # what a model_file.Detector has, without the library that a model file needs
    detector = SimpleNamespace(
        config=config, vocabulary=Vocabulary(KNOWN), k=k, provenance={}, calibrated=None
    )
    encoded = dataset.encoded(detector.vocabulary)
    ranks, surprises, offsets = [], [], [0]
    events = np.zeros(len(encoded.values))
    for row in range(len(encoded)):
        own = encoded.values[encoded.offsets[row] : encoded.offsets[row + 1]].tolist()
        for position in range(config.first_position, len(own)):
            rank = 1 + (own[position] - own[position - 1] - 1) % len(KNOWN) if position else 1 + own[0]
            unknown = own[position] == len(KNOWN)
            ranks.append(len(KNOWN) + 1 if unknown else rank)
            surprises.append(np.inf if unknown else 0.105 + 3.0 * (rank - 1))
            events[encoded.offsets[row] + position] = min(surprises[-1], 30.0)
        offsets.append(len(ranks))

    def expected(rows, positions):
        before = encoded.values[np.maximum(encoded.offsets[rows] + positions - 1, 0)]
        ids = (before[:, None] + np.array([1, 2, 3])) % len(KNOWN)
        return ids, np.exp(-np.array([0.105, 3.105, 6.105]))[None, :].repeat(len(rows), axis=0)

    parts, flags = {"network": by_event(events, encoded, threshold)}, {"network": events > threshold}
    long = encoded.lengths > 40
    if rules:
        unseen = (encoded.values == len(KNOWN)).astype(float)
        parts["unseen_event"], flags["unseen_event"] = by_event(unseen, encoded, 0.5), unseen > 0
        first = np.where(long, 40, -1)
        parts["length"] = Judged(encoded.lengths.astype(float), 40.0, first, first)
    first = np.where(
        parts["network"].first_alarms >= 0, parts["network"].first_alarms, np.where(long, 40, -1)
    )
    parts["combined"] = Judged(parts["network"].scores + 100.0 * long, threshold, first, first)
    order = np.argsort(-parts["combined"].scores, kind="stable")
    found = Ranks(
        np.array(ranks, dtype=np.int32),
        np.array(offsets, dtype=np.int64),
        config.first_position,
        np.array(surprises, dtype=np.float32),
    )
    total, alarms = len(dataset), int((first >= 0).sum())
    if order.tolist() != list(
        range(len(dataset))
    ):  # in the order of scores, as ``alarm_files.gather`` chooses
        how = {"start_padding": start_padding, "k": k, "threshold": threshold, "texts": texts, "rules": rules}
        return findings(*(sessions[row] for row in order), **how)
    return Findings(dataset, encoded, detector, found, parts, flags, k, expected, total, alarms, texts or {})


def by_event(contributions, sessions, threshold):
    """A part whose score is the greatest of its events, and which alarms with the first one above the threshold."""
    scores, first = [], []
    for row in range(len(sessions)):
        own = contributions[sessions.offsets[row] : sessions.offsets[row + 1]]
        above = np.flatnonzero(own > threshold)
        scores.append(own.max())
        first.append(above[0] if len(above) else -1)
    return Judged(np.array(scores), threshold, np.array(first), np.array(first))
