"""What an alarm says, so that somebody can act on it: which events were unexpected, why, and what was expected.

Everything comes from values that inference has already: sessions, ranks, surprise, what each part of the detector
says. An alarm is a plain JSON object (``docs/alarms.md`` has the table of its fields); ``alarm_formats`` writes it for
other systems, ``alarm_page`` for a person. Needs numpy.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np

from stackyard_detector.detector.dataset import Dataset
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.windows import Sequences

if TYPE_CHECKING:  # it needs safetensors, and whoever only looks at alarms may have none
    from stackyard_detector.detector.model_file import Detector

API_VERSION = 1
KIND = "detector-alarm"

#: Bounds of what one alarm holds.
MOST_UNEXPECTED = 10
MOST_EXPECTED = 3
NEIGHBOURS = 3
#: Characters of a name, a text or a key that an alarm shows; what is longer ends in an ellipsis.
MOST_CHARACTERS = 500

#: Sessions and positions -> ids [n, MOST_EXPECTED] (-1: none) and probabilities of the most probable events there.
Expected = Callable[[np.ndarray, np.ndarray], Tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Part:
    """What one part of the detector (the network, a rule, the combination) says of every session.

    Attributes:
        scores: float [sessions]; the greater, the less usual.
        threshold: a score above it is an alarm; ``None``: this part has none.
        alarms: bool [sessions].
        first_alarms: int [sessions], index of the event with which the alarm is certain, -1 without an alarm.
        contributions: float [events of all sessions, end to end]: what each event adds to the score; ``None`` where
            the part judges whole sessions only.
    """

    scores: np.ndarray
    threshold: Optional[float]
    alarms: np.ndarray
    first_alarms: np.ndarray
    contributions: Optional[np.ndarray] = None


@dataclass(frozen=True)
class Judged:
    """Sessions with all that inference found out about them.

    Attributes:
        dataset: the sessions as they were read.
        sessions: the same as symbols of ``detector.vocabulary``.
        detector: the model.
        ranks: of every target event.
        surprises: float32 [targets], negative log likelihood in nats, aligned with ``ranks.values``.
        parts: name -> what it says.
        k: an event that is not among the k most probable is a miss.
        expected: tells what the network held for most probable.
        texts: event name -> its text, where a name says little by itself (templates of raw lines).
        decided_by: the part whose verdict makes an alarm; it is one of ``parts``.
    """

    dataset: Dataset
    sessions: Sequences
    detector: Detector
    ranks: Ranks
    surprises: np.ndarray
    parts: Mapping[str, Part]
    k: int
    expected: Expected
    texts: Mapping[str, str] = field(default_factory=dict)
    decided_by: str = "combined"

    @property
    def deciding(self) -> Part:
        """The part whose verdict makes an alarm."""
        return self.parts[self.decided_by]

    def order(self) -> np.ndarray:
        """All sessions, the greatest score first, int64 [sessions]; equal scores in the order of the data."""
        scores = np.nan_to_num(np.asarray(self.deciding.scores, dtype=np.float64), nan=-np.inf)
        return np.argsort(-scores, kind="stable")

    def alarmed(self) -> np.ndarray:
        """The sessions with an alarm, in the same order, int64 [alarms]."""
        order = self.order()
        return order[np.asarray(self.deciding.alarms, dtype=bool)[order]]

    def seen(self, row: int) -> Seen:
        """One session, event by event."""
        begin, end = int(self.sessions.offsets[row]), int(self.sessions.offsets[row + 1])
        unknown = np.asarray(self.sessions.values[begin:end] == self.detector.vocabulary.unknown)
        own = slice(int(self.ranks.offsets[row]), int(self.ranks.offsets[row + 1]))
        ranks, surprises = np.zeros(end - begin, dtype=np.int64), np.full(end - begin, np.nan)
        targets = end - begin - (own.stop - own.start)
        ranks[targets:], surprises[targets:] = self.ranks.values[own], self.surprises[own]
        surprises[targets:][unknown[targets:]] = np.inf
        start = int(self.dataset.events.offsets[row])
        numbers = self.dataset.events.values[start : start + end - begin].tolist()
        return Seen(row, begin, [self.dataset.names[number] for number in numbers], unknown, ranks, surprises)

    def reasons(self, seen: Seen, position: int) -> List[str]:
        """The parts of which this very event alone exceeds the threshold, or with which their alarm is certain."""
        found = []
        for name, part in self.parts.items():
            if part.alarms[seen.row]:
                alone = 0.0
                if part.contributions is not None and part.threshold is not None:
                    alone = float(part.contributions[seen.begin + position]) - float(part.threshold)
                if alone > 0 or int(part.first_alarms[seen.row]) == position:
                    found.append(name)
        return found

    def unexpected(self, seen: Seen, most: int = MOST_UNEXPECTED) -> Tuple[List[int], int]:
        """The positions of the events to look at, in order, at most ``most`` of them, and how many are left out.

        They are those that the model does not know, those beyond the k most probable, those that exceed a part's
        threshold alone, and the one with which the alarm is certain. Where there is none (counts or length made the
        alarm), they are the three least probable ones.
        """
        length = len(seen.names)
        chosen = seen.unknown | (seen.ranks > self.k)
        for part in self.parts.values():
            if part.alarms[seen.row] and part.contributions is not None and part.threshold is not None:
                chosen |= np.asarray(part.contributions[seen.begin : seen.begin + length]) > part.threshold
        weight = np.nan_to_num(seen.surprises, nan=0.0, posinf=np.inf)
        weight[seen.unknown] = np.inf
        first = int(self.deciding.first_alarms[seen.row])
        if not chosen.any():
            least = np.argsort(-weight, kind="stable")[:3]
            chosen[least[weight[least] > 0]] = True
        places = np.flatnonzero(chosen)
        kept = places[np.argsort(-weight[places], kind="stable")[:most]].tolist()
        if 0 <= first < length and first not in kept:
            chosen[first] = True
            kept = [*kept[: most - 1], first]
        return sorted(kept), int(chosen.sum()) - len(kept)


@dataclass(frozen=True)
class Seen:
    """One session, event by event.

    Attributes:
        row: which of the sessions it is.
        begin: where its events begin among those of all.
        names: the events as they were read, also those that the model does not know.
        unknown: bool [events], training did not have the event.
        ranks: int64 [events], 0 where the event is no target (it stands within the model's history).
        surprises: float64 [events], nats; nan where the event is no target, infinite where the model does not know it.
    """

    row: int
    begin: int
    names: List[str]
    unknown: np.ndarray
    ranks: np.ndarray
    surprises: np.ndarray


def origin(model_files: Iterable[Path], detector: Detector, data_sha256: Optional[str]) -> Dict[str, Any]:
    """Where alarms come from: the model, the data, the stack that runs now, and the instant.

    Raises:
        OSError: one of the model's files cannot be read.
    """
    known = detector.provenance
    whole = hashlib.sha256()
    for path in model_files:
        whole.update(path.read_bytes())
    torch = sys.modules.get("torch")
    return {
        "model": {
            "sha256": whole.hexdigest(),
            "trained_at": known.get("trained_at"),
            "trained_on_data_sha256": known.get("data_sha256"),
            "trained_with": {name: known.get(name) for name in ("torch", "cuda", "numpy", "seed")},
            "history": detector.config.history,
            "known_events": detector.vocabulary.size,
        },
        "data": {"sha256": data_sha256},
        "stack": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": None if torch is None else str(getattr(torch, "__version__", "")) or None,
        },
        "created_at": instant(datetime.datetime.now(datetime.timezone.utc).timestamp()),
    }


def build(judged: Judged, come_from: Mapping[str, Any], most: int) -> List[Dict[str, Any]]:
    """The alarms, the greatest score first, at most ``most`` of them.

    Args:
        judged: the sessions.
        come_from: what ``origin`` says.
        most: bound of the list; ``len(judged.alarmed())`` says how many there are.
    """
    rows = judged.alarmed()[:most]
    seen = [judged.seen(int(row)) for row in rows]
    unexpected = [judged.unexpected(session) for session in seen]
    counts = [len(positions) for positions, _ in unexpected]
    expected = iter(
        expected_events(
            judged,
            np.repeat(rows, counts),
            np.array([p for positions, _ in unexpected for p in positions], dtype=np.int64),
        )
    )
    alike: Dict[str, int] = {}
    found = []
    for session, (positions, left_out) in zip(seen, unexpected):
        own = [_unexpected(judged, session, position, next(expected)) for position in positions]
        found.append(_alarm(judged, session, own, left_out, come_from, alike))
    return found


def expected_events(judged: Judged, rows: np.ndarray, positions: np.ndarray) -> List[List[Dict[str, Any]]]:
    """What was expected at each of these places, the most probable first: ``name``, ``text``, ``probability``.

    Nothing where the event is no target.
    """
    found: List[List[Dict[str, Any]]] = [[] for _ in range(len(rows))]
    targets = np.flatnonzero(positions >= judged.ranks.first_position)
    if not len(targets):
        return found
    ids, probabilities = judged.expected(rows[targets], positions[targets])
    names = judged.detector.vocabulary.events
    for target, own, probable in zip(targets.tolist(), ids.tolist(), probabilities.tolist()):
        found[target] = [
            {**event(judged, names[number]), "probability": finite(share, 6)}
            for number, share in zip(own, probable)
            if number >= 0
        ]
    return found


def event(judged: Judged, name: str) -> Dict[str, Any]:
    """An event's name, and its text where it has one."""
    text = judged.texts.get(name)
    return {"name": shown(name), "text": None if text is None else shown(text)}


def _unexpected(judged: Judged, seen: Seen, position: int, expected: List[Dict[str, Any]]) -> Dict[str, Any]:
    rank, surprise = int(seen.ranks[position]), float(seen.surprises[position])
    unknown = bool(seen.unknown[position])
    return {
        "position": position,
        **event(judged, seen.names[position]),
        "known": not unknown,
        "rank": None if unknown or rank == 0 else rank,
        "probability": None if unknown else finite(math.exp(-surprise), 9),
        "surprise": None if unknown else finite(surprise, 4),
        "reasons": judged.reasons(seen, position),
        "expected": expected,
        "before": [event(judged, name) for name in seen.names[max(0, position - NEIGHBOURS) : position]],
        "after": [event(judged, name) for name in seen.names[position + 1 : position + 1 + NEIGHBOURS]],
    }


def _alarm(
    judged: Judged,
    seen: Seen,
    unexpected: List[Dict[str, Any]],
    left_out: int,
    come_from: Mapping[str, Any],
    alike: Dict[str, int],
) -> Dict[str, Any]:
    dataset, deciding, row = judged.dataset, judged.deciding, seen.row
    start, end = dataset.started_at[row], dataset.ended_at[row]
    first = int(deciding.first_alarms[row])
    return {
        "api_version": API_VERSION,
        "kind": KIND,
        "id": _identity(judged, seen, come_from, alike),
        "created_at": come_from["created_at"],
        "key": shown(dataset.keys[row]),
        "start": instant(start),
        "start_seconds": finite(start),
        "end": instant(end),
        "end_seconds": finite(end),
        "events": len(seen.names),
        "score": finite(deciding.scores[row], 6),
        "threshold": finite(deciding.threshold, 6),
        "severity": severity(deciding.scores[row], deciding.threshold),
        "decided_by": judged.decided_by,
        "verdicts": verdicts(judged, row),
        "first_alarm": None
        if first < 0
        else {
            "position": first,
            **event(judged, seen.names[first]),
            "parts": [name for name in judged.reasons(seen, first) if name != judged.decided_by],
        },
        "unexpected": unexpected,
        "unexpected_left_out": left_out,
        "label": dataset.labels[row],
        "attack_starts_at": dataset.attack_starts_at[row],
        "model": come_from["model"],
        "data": come_from["data"],
        "stack": come_from["stack"],
    }


def verdicts(judged: Judged, row: int) -> Dict[str, Dict[str, Any]]:
    """Part -> what it says of a session: ``alarm``, ``score``, ``threshold``, ``first_alarm`` (a position)."""
    return {
        name: {
            "alarm": bool(part.alarms[row]),
            "score": finite(part.scores[row], 6),
            "threshold": finite(part.threshold, 6),
            "first_alarm": None if part.first_alarms[row] < 0 else int(part.first_alarms[row]),
        }
        for name, part in judged.parts.items()
    }


def _identity(judged: Judged, seen: Seen, come_from: Mapping[str, Any], alike: Dict[str, int]) -> str:
    """The same for the same session, data and model, however often and in whatever parts they are judged."""
    told = [come_from["model"]["sha256"], come_from["data"]["sha256"]]
    told += [judged.dataset.keys[seen.row], judged.dataset.started_at[seen.row], seen.names]
    digest = hashlib.sha256(json.dumps(told).encode("ascii")).hexdigest()
    alike[digest] = alike.get(digest, 0) + 1
    # Two sessions alike in everything are told apart by a count alone.
    return digest[:32] if alike[digest] == 1 else f"{digest[:32]}-{alike[digest]}"


def severity(score: float, threshold: Optional[float]) -> int:
    """How grave, 5 to 10: 5 at the threshold, one more for each doubling of the score above it."""
    score = float(score)
    if threshold is None or not float(threshold) > 0 or math.isnan(score):
        return 7
    if math.isinf(score):
        return 10
    return int(min(10, max(5, 5 + math.floor(math.log2(max(score, 1e-300) / float(threshold))))))


def instant(seconds: Optional[float]) -> Optional[str]:
    """ISO 8601 in UTC, with milliseconds; ``None`` where there is no time, or none that a calendar has."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=round(seconds * 1000))  # noqa: DTZ001
    except OverflowError:
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".rjust(24, "0")


def finite(value: Optional[float], digits: int = 6) -> Optional[float]:
    """A number that JSON can hold; ``None`` for what is missing, infinite or no number."""
    if value is None or not math.isfinite(float(value)):
        return None
    return round(float(value), digits)


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text of bounded length that every encoding can hold: half a surrogate pair becomes "?"."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def lines(alarms: List[Dict[str, Any]]) -> List[str]:
    """``alerts.jsonl``: one JSON object a line."""
    return [json_line(alarm) for alarm in alarms]


def json_line(value: Mapping[str, Any]) -> str:
    """A JSON object on one line, whatever a reader takes for the end of a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for end in ("\x85", "\u2028", "\u2029"):
        text = text.replace(end, f"\\u{ord(end):04x}")
    return text + "\n"
