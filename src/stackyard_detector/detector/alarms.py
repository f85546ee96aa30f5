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
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from stackyard_detector.detector.calibrated import COMBINATIONS, Judged
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

#: Alarms whose expected events are looked up together.
AT_ONCE = 100

#: Sessions and positions -> ids [n, MOST_EXPECTED] and probabilities of the most probable events there.
Expected = Callable[[np.ndarray, np.ndarray], Tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Findings:
    """The sessions worth a look, the greatest score first, with all that inference found out about them.

    Attributes:
        dataset: the sessions as they were read.
        sessions: the same as symbols of ``detector.vocabulary``.
        detector: the model.
        ranks: of every target event, with surprise.
        parts: what each part of the detector says of the sessions.
        flags: part -> bool [events of all sessions, end to end]: events that are unusual to it by themselves.
        k: an event that is not among the k most probable is a miss.
        expected: tells what the network held for most probable.
        total_sessions: how many sessions were judged in all.
        total_alarms: and how many of those alarm.
        texts: event name -> its text, where a name says little by itself (templates of raw lines).
        decided_by: the part whose verdict makes an alarm; it is one of ``parts``.
    """

    dataset: Dataset
    sessions: Sequences
    detector: Detector
    ranks: Ranks
    parts: Mapping[str, Judged]
    flags: Mapping[str, np.ndarray]
    k: int
    expected: Expected
    total_sessions: int
    total_alarms: int
    texts: Mapping[str, str] = field(default_factory=dict)
    decided_by: str = "combined"
    #: What ``event`` gave already.
    told: Dict[str, Dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def deciding(self) -> Judged:
        """The part whose verdict makes an alarm."""
        return self.parts[self.decided_by]

    def alarmed(self) -> np.ndarray:
        """The sessions with an alarm, int64 [alarms]."""
        return np.flatnonzero(self.deciding.first_alarms >= 0)

    def alarming(self, row: int) -> List[str]:
        """The parts that alarm, but for those that are made of others."""
        return [
            name
            for name, part in self.parts.items()
            if name not in COMBINATIONS and int(part.first_alarms[row]) >= 0
        ]

    def nearest(self, row: int) -> Optional[Dict[str, Any]]:
        """Of an alarm that no part gives alone, the part to which fewest benign sessions are as odd; else ``None``."""
        calibrated = self.detector.calibrated
        if calibrated is None or int(self.deciding.first_alarms[row]) < 0 or self.alarming(row):
            return None
        odd = {
            name: float(calibrated.tails[name].improbable(part.scores[row : row + 1])[0])
            for name, part in self.parts.items()
            if name in calibrated.tails
        }
        if not odd:
            return None
        name = max(odd, key=lambda part: odd[part])
        part = self.parts[name]
        return {
            "part": name,
            "score": finite(part.scores[row], 6),
            "threshold": finite(part.threshold, 6),
        }

    def severity(self, row: int) -> int:
        """How grave, 5 to 10: four more than there are parts that alarm, and 5 where none does alone."""
        return max(5, min(10, 4 + len(self.alarming(row))))

    def seen(self, row: int) -> Seen:
        """One session, event by event."""
        begin, end = int(self.sessions.offsets[row]), int(self.sessions.offsets[row + 1])
        unknown = np.asarray(self.sessions.values[begin:end] == self.detector.vocabulary.unknown)
        own = slice(int(self.ranks.offsets[row]), int(self.ranks.offsets[row + 1]))
        ranks, surprises = np.zeros(end - begin, dtype=np.int64), np.full(end - begin, np.nan)
        targets = end - begin - (own.stop - own.start)
        ranks[targets:] = self.ranks.values[own]
        if self.ranks.surprise is not None:
            surprises[targets:] = self.ranks.surprise[own]
        surprises[targets:][unknown[targets:]] = np.inf
        start = int(self.dataset.events.offsets[row])
        numbers = self.dataset.events.values[start : start + end - begin].tolist()
        return Seen(row, begin, [self.dataset.names[number] for number in numbers], unknown, ranks, surprises)

    def reasons(self, seen: Seen, position: int) -> List[str]:
        """The parts to which this very event is unusual, and those whose alarm is certain with it."""
        return [
            name
            for name, part in self.parts.items()
            if name not in COMBINATIONS
            and (
                int(part.first_alarms[seen.row]) == position
                or (name in self.flags and bool(self.flags[name][seen.begin + position]))
            )
        ]

    def telling(self, seen: Seen, positions: List[int]) -> Optional[int]:
        """Which of the unexpected events to look at first, ``None`` without one.

        The one with which the alarm is certain, where it is unusual by itself. Else the least probable one: an alarm
        that grew over many events becomes certain with any of them.
        """
        first = int(self.deciding.first_alarms[seen.row])
        if first in positions:
            flagged = any(bool(flags[seen.begin + first]) for flags in self.flags.values())
            if flagged or seen.unknown[first] or seen.ranks[first] > self.k:
                return first
        surprises = np.where(seen.unknown, np.inf, np.nan_to_num(seen.surprises, nan=-1.0, posinf=np.inf))
        return max(positions, key=lambda position: surprises[position], default=None)

    def unexpected(self, seen: Seen, most: int = MOST_UNEXPECTED) -> Tuple[List[int], int]:
        """The positions of the events to look at, in order, at most ``most`` of them, and how many are left out.

        They are those that the model does not know, those beyond the k most probable, those that are unusual by
        themselves to a part that alarms, and the one with which the alarm is certain. Where there is none but that one
        (counts or length made the alarm), the three least probable ones are there too.
        """
        length = len(seen.names)
        chosen = seen.unknown | (seen.ranks > self.k)
        for name, flags in self.flags.items():
            if self.parts[name].first_alarms[seen.row] >= 0:
                chosen |= flags[seen.begin : seen.begin + length]
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
    # people can edit a model's description: whatever stands there is told as text
    given = detector.provenance if isinstance(detector.provenance, dict) else {}
    known = {name: None if value is None else shown(str(value)) for name, value in given.items()}
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
        "created_at": now(),
    }


def build(findings: Findings, come_from: Mapping[str, Any], most: int) -> Iterator[Dict[str, Any]]:
    """The alarms, one after the other, the greatest score first.

    Args:
        findings: the sessions.
        come_from: what ``origin`` says.
        most: at most so many; ``findings.total_alarms`` says how many there are.
    """
    rows: List[int] = findings.alarmed()[:most].tolist()
    alike: Dict[str, int] = {}
    for begin in range(0, len(rows), AT_ONCE):
        seen = [findings.seen(row) for row in rows[begin : begin + AT_ONCE]]
        unexpected = [findings.unexpected(session) for session in seen]
        counts = [len(positions) for positions, _ in unexpected]
        expected = iter(
            expected_events(
                findings,
                np.repeat([session.row for session in seen], counts),
                np.array([p for positions, _ in unexpected for p in positions], dtype=np.int64),
            )
        )
        for session, (positions, left_out) in zip(seen, unexpected):
            own = [_unexpected(findings, session, position, next(expected)) for position in positions]
            yield _alarm(findings, session, own, left_out, come_from, alike)


def expected_events(
    findings: Findings, rows: np.ndarray, positions: np.ndarray
) -> List[List[Dict[str, Any]]]:
    """What was expected at each of these places, the most probable first: ``name``, ``text``, ``probability``.

    Nothing where the event is no target.
    """
    found: List[List[Dict[str, Any]]] = [[] for _ in range(len(rows))]
    targets = np.flatnonzero(positions >= findings.ranks.first_position)
    if not len(targets):
        return found
    ids, probabilities = findings.expected(rows[targets], positions[targets])
    names = findings.detector.vocabulary.events
    for target, own, probable in zip(targets.tolist(), ids.tolist(), probabilities.tolist()):
        found[target] = [
            {**event(findings, names[number]), "probability": finite(share, 6)}
            for number, share in zip(own, probable)
        ]
    return found


def event(findings: Findings, name: str) -> Dict[str, Any]:
    """An event's name, and its text where it has one."""
    told = findings.told.get(name)
    if told is None:
        text = findings.texts.get(name)
        told = findings.told[name] = {"name": shown(name), "text": None if text is None else shown(text)}
    return told


def _unexpected(
    findings: Findings, seen: Seen, position: int, expected: List[Dict[str, Any]]
) -> Dict[str, Any]:
    rank, surprise = int(seen.ranks[position]), float(seen.surprises[position])
    unknown = bool(seen.unknown[position])
    return {
        "position": position,
        **event(findings, seen.names[position]),
        "known": not unknown,
        "rank": None if unknown or rank == 0 else rank,
        "probability": None if unknown else finite(math.exp(-surprise), 9),
        "surprise": None if unknown else finite(surprise, 4),
        "reasons": findings.reasons(seen, position),
        "expected": expected,
        "before": [event(findings, name) for name in seen.names[max(0, position - NEIGHBOURS) : position]],
        "after": [event(findings, name) for name in seen.names[position + 1 : position + 1 + NEIGHBOURS]],
    }


def _alarm(
    findings: Findings,
    seen: Seen,
    unexpected: List[Dict[str, Any]],
    left_out: int,
    come_from: Mapping[str, Any],
    alike: Dict[str, int],
) -> Dict[str, Any]:
    dataset, deciding, row = findings.dataset, findings.deciding, seen.row
    start, end = dataset.started_at[row], dataset.ended_at[row]
    first = int(deciding.first_alarms[row])
    return {
        "api_version": API_VERSION,
        "kind": KIND,
        "id": _identity(findings, seen, come_from, alike),
        "created_at": come_from["created_at"],
        "key": shown(dataset.keys[row]),
        "start": instant(start),
        "start_seconds": finite(start),
        "end": instant(end),
        "end_seconds": finite(end),
        "events": len(seen.names),
        "score": finite(deciding.scores[row], 6),
        "threshold": finite(deciding.threshold, 6),
        "severity": findings.severity(row),
        "decided_by": findings.decided_by,
        "parts": findings.alarming(row),
        "nearest": findings.nearest(row),
        "verdicts": verdicts(findings, row),
        "first_alarm": None
        if first < 0
        else {
            "position": first,
            **event(findings, seen.names[first]),
            "parts": findings.reasons(seen, first),
        },
        "look_at": findings.telling(seen, [event["position"] for event in unexpected]),
        "unexpected": unexpected,
        "unexpected_left_out": left_out,
        "label": dataset.labels[row],
        "attack_starts_at": dataset.attack_starts_at[row],
        "model": come_from["model"],
        "data": come_from["data"],
        "stack": come_from["stack"],
    }


def verdicts(findings: Findings, row: int) -> Dict[str, Dict[str, Any]]:
    """Part -> what it says of a session: ``alarm``, ``score``, ``threshold``, ``first_alarm`` (a position)."""
    return {
        name: {
            "alarm": int(part.first_alarms[row]) >= 0,
            "score": finite(part.scores[row], 6),
            "threshold": finite(part.threshold, 6),
            "first_alarm": None if part.first_alarms[row] < 0 else int(part.first_alarms[row]),
        }
        for name, part in findings.parts.items()
    }


def _identity(findings: Findings, seen: Seen, come_from: Mapping[str, Any], alike: Dict[str, int]) -> str:
    """The same for the same session, data and model, however often and in whatever parts they are findings."""
    told = [come_from["model"]["sha256"], come_from["data"]["sha256"]]
    told += [findings.dataset.keys[seen.row], findings.dataset.started_at[seen.row], seen.names]
    digest = hashlib.sha256(json.dumps(told).encode("ascii")).hexdigest()
    alike[digest] = alike.get(digest, 0) + 1
    # Two sessions alike in everything are told apart by a count alone.
    return digest[:32] if alike[digest] == 1 else f"{digest[:32]}-{alike[digest]}"


def now() -> Optional[str]:
    """The present instant, as ``instant`` writes it."""
    return instant(time.time())


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


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def json_line(value: Mapping[str, Any]) -> str:
    """A JSON object on one line, whatever a reader takes for the end of a line."""
    text = _ENCODER.encode(value)
    for end in () if text.isascii() else ("\x85", "\u2028", "\u2029"):
        text = text.replace(end, f"\\u{ord(end):04x}")
    return text + "\n"
