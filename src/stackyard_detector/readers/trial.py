"""What the first lines of a source become: for ``stackyard data try``, and the check of sources before a start.

A process of its own (``python -m stackyard_detector.readers.trial``): our side asks on its standard input and gets
one JSON object on its standard output; it imports nothing of this package. ``docs/workloads.md`` has the questions.
Reads at most as many lines as asked for, and no more than HEAD_BYTES of them.

Standard library at import.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from stackyard_detector.readers import guessing, setting_values
from stackyard_detector.readers.capture import JOINT
from stackyard_detector.readers.choosing import TIMES
from stackyard_detector.readers.files import UTF_8, raw_lines
from stackyard_detector.readers.json_documents import whole_objects
from stackyard_detector.readers.json_shapes import Asked, beginning, holds_documents
from stackyard_detector.readers.label_columns import LABELS, label_columns
from stackyard_detector.readers.presets import PRESETS, without_preset
from stackyard_detector.readers.quarantine import FIELDS_OF_ROW, Quarantine
from stackyard_detector.readers.reading import fit_templates, read_sessions
from stackyard_detector.readers.remarks import event_remarks
from stackyard_detector.readers.source import checked_sources
from stackyard_detector.readers.templates import EventTemplates
from stackyard_detector.sessions import Session
from stackyard_task.channel import BadInput

#: Lines that are looked at where nobody says how many.
LINES = 1000
#: And bytes: a thousand lines of 1 MiB are no log.
HEAD_BYTES = 32 << 20
#: Lines that a record of an indented JSON document may have, on average.
LINES_A_RECORD = 64
#: Sessions, events of a session, kinds of event and reasons that an answer shows.
SHOWN_SESSIONS, SHOWN_EVENTS, SHOWN_KINDS, SHOWN_REASONS = 3, 8, 12, 6
#: Fewer events say little about the rest.
FEW = 5
#: Letters of a text of the log that an answer holds.
TEXT_LETTERS = 200
#: Keys that bound a reading; a trial is bounded by its lines.
_BOUNDS = ("max_events", "max_sessions")
#: The name of a head's own file inside a sentence.
_HEADS = re.compile(r"\S*/stackyard-trial-[^/\s]*/head")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")


def answer(request: Mapping[str, Any]) -> Dict[str, Any]:
    """What ``request`` asks for.

    Args:
        request: {"do": "check", "data": [{"where", "value"}]}, {"do": "try", "sources": [{"where", "given"}],
            "lines"} or {"do": "presets"}. In a trial, "given" needs a path; without format and preset they
            are guessed.

    Returns:
        {"faults": [{"where", "message"}]}, {"trials": [...]} (see ``tried``) or {"presets": [...]}.
    """
    if request["do"] == "check":
        return {"faults": list(_faults(request["data"]))}
    if request["do"] == "presets":
        return {
            "presets": [
                {
                    **{key: getattr(p, key) for key in ("name", "product", "help", "document")},
                    "settings": p.settings,
                }
                for p in PRESETS
            ]
        }
    lines = int(request.get("lines") or LINES)
    return {"trials": [{"where": s.get("where", ""), **tried(s["given"], lines)} for s in request["sources"]]}


def _faults(data: List[Dict[str, Any]]) -> Iterator[Dict[str, str]]:
    for each in data:
        try:
            checked_sources(each["value"])
        except BadInput as error:
            yield {"where": each["where"], "message": str(error)}


def tried(given: Mapping[str, Any], lines: int = LINES) -> Dict[str, Any]:
    """What the first ``lines`` lines of one source become.

    Args:
        given: a source as a scenario has it; where neither format nor preset is there, they are guessed.
        lines: how many are read at most.

    Returns:
        path; guess (what was guessed and why, or ``None``); settings (to paste) and preset_settings (what the
        preset stands for, or ``None``); lacks_package (whether this Python lacks what the reading needs); error
        (one sentence, or ``None``); and where lines could be read: lines_read, unit, whole_file, sessions, events,
        passed_over, quarantined, label_columns (those that look like it, where no setting says what is malicious),
        warnings.
    """
    given = {key: value for key, value in given.items() if value is not None}
    path = Path(str(given.get("path", "")))
    trial: Dict[str, Any] = {
        "path": str(path),
        "guess": None,
        "settings": dict(given),
        "preset_settings": None,
        "lacks_package": False,
    }
    try:
        encoding = setting_values.encoding("the source", given.get("encoding", UTF_8))
        with _head(path, lines, encoding, given) as head:
            if "format" not in given and "preset" not in given:
                try:
                    guess = guessing.guessed(head.sample, given, _reads(given, head))
                except BadInput as error:
                    raise BadInput(f"{path}: {error}") from error
                given = {**guess.settings, **given}
                trial["guess"] = guess.why
            trial["settings"] = {"path": str(path), **given}
            settings = dict(without_preset(given, "the source"))
            if "preset" in given:
                trial["preset_settings"] = {
                    k: v for k, v in settings.items() if k not in given or k == "format"
                }
            problem = _read(settings, head, trial)
            if head.broken is not None:
                problem = head.broken
                before = f"{head.lines} whole {head.unit}{'' if head.lines == 1 else 's'} before it"
                trial["warnings"].insert(
                    0, f"the file cannot be used: {problem}; shown is what came of the {before}"
                )
            trial["error"] = None if problem is None else str(problem).replace(str(head.path), str(path))
    except ImportError as error:
        trial["lacks_package"] = True
        trial["error"] = f"{path}: reading it needs the package {error.name}, which this Python lacks"
    except BadInput as error:
        trial["lacks_package"] = isinstance(error.__cause__, ImportError)
        trial["error"] = _HEADS.sub(lambda _: str(path), str(error)).replace("sources[0]", "the source")
    return trial


def _reads(given: Mapping[str, Any], head: _Head) -> Callable[[Mapping[str, Any]], bool]:
    """Whether settings, with those that are given, read the lines of ``head``: most make an event or are passed over.

    Where this Python lacks what the reading needs, nobody can tell.
    """

    def reads(settings: Mapping[str, Any]) -> bool:
        quarantine = Quarantine()
        try:
            whole = {**without_preset({**settings, **given}, "the source"), "path": str(head.path)}
            whole = {key: value for key, value in whole.items() if key not in (*_BOUNDS, "encoding")}
            for _ in read_sessions({"sources": [whole]}, quarantine, fit_templates({"sources": [whole]})):
                pass
        except ImportError:
            return True
        except BadInput as error:
            if isinstance(error.__cause__, ImportError) or quarantine.lines == 0:
                return True  # a fault of the settings: the trial tells it
        return 2 * quarantine.count <= max(quarantine.lines, 1)

    return reads


class _Head:
    """The first lines of a file."""

    def __init__(
        self,
        path: Path,
        lines: int,
        unit: str,
        whole: bool,
        sample: List[str],
        broken: Optional[BadInput],
    ) -> None:
        #: Where they lie: the file itself where it has no more.
        self.path = path
        #: How many there are, and of what: "line", or "record" of a JSON document.
        self.lines = lines
        self.unit = unit
        self.whole = whole
        #: Some of them as text.
        self.sample = sample
        #: Why the file ends with them though it goes on: what follows is broken or cut off.
        self.broken = broken


@contextlib.contextmanager
def _head(path: Path, lines: int, encoding: str, given: Mapping[str, Any]) -> Iterator[_Head]:
    """The first ``lines`` lines of a file, as a file in UTF-8 that is gone afterwards.

    Of a JSON array, or of indented objects, the first ``lines`` records, one a line: cut anywhere else it would be
    broken.
    """
    broken: Optional[BadInput] = None
    with tempfile.TemporaryDirectory(prefix="stackyard-trial-") as folder:
        target = Path(folder) / "head"
        documents, asked = _documents(path, encoding, given)
        with target.open("wb") as stream:
            each = LINES_A_RECORD if documents else 1
            count, whole, sample = _copied(path, stream, each * lines, each * guessing.SAMPLE_LINES, encoding)
        if documents:
            text = target.read_text("utf-8", "replace").lstrip("\ufeff")
            objects, wrong = whole_objects(path, text, lines + 1, asked)
            broken = wrong if whole else None
            whole = whole and len(objects) <= lines and not (broken and objects)
            if not whole:
                target.write_text("".join(json.dumps(value) + "\n" for value in objects[:lines]), "utf-8")
            count = min(len(objects), lines)
        with contextlib.suppress(OSError):  # times without a year are near that of their file
            os.utime(target, (0, path.stat().st_mtime))
        as_it_is = whole and encoding == UTF_8
        yield _Head(
            path if as_it_is else target, count, "record" if documents else "line", whole, sample, broken
        )


def _documents(path: Path, encoding: str, given: Mapping[str, Any]) -> Tuple[bool, Asked]:
    """(whether a file is read as JSON documents, what is asked of it)."""
    if given.get("format", "jsonl") not in ("jsonl", "zeek"):
        return False, Asked()
    text, more = beginning(path, encoding)
    if text.lstrip()[:1] not in ("{", "["):
        return False, Asked()
    if "format" in given or "preset" in given:
        settings = without_preset(given, "the source")
        if settings["format"] not in ("jsonl", "zeek"):
            return False, Asked()
        asked = Asked.by_settings(settings)
    else:
        asked = guessing.asked_by_lines(text, given)
    return holds_documents(text, more, asked), asked


def _copied(
    path: Path, stream: IO[bytes], lines: int, samples: int, encoding: str
) -> Tuple[int, bool, List[str]]:
    count = size = 0
    sample: List[str] = []
    for line in raw_lines(path, encoding):
        if count >= lines or size >= HEAD_BYTES:
            return count, False, sample
        stream.write(line)
        size += len(line)
        if len(sample) < samples:
            sample.append(_text(line))
        count += line.endswith(b"\n")
    if count == 0 and size == 0:
        raise BadInput(f"{path}: is empty, expected log lines")
    return max(count, 1), True, sample


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n").lstrip("\ufeff")


class _Grouped(Quarantine):
    """A quarantine that keeps one example of each reason."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: Dict[str, Dict[str, Any]] = {}

    def add(self, source: Path, line: int, reason: str, text: Union[str, bytes] = "") -> None:
        """Count one corrupt line under its reason; quoted texts and numbers make no new one."""
        super().add(source, line, reason, text)
        kind = _QUOTED.sub("*", reason)
        if kind not in self.reasons and len(self.reasons) >= 100:
            kind = "other reasons"
        if isinstance(text, bytes):
            text = text[: 4 * TEXT_LETTERS].decode("utf-8", "backslashreplace")
        if text.startswith(FIELDS_OF_ROW):
            text = ""  # the line itself is shown
        first = {"reason": _cut(reason), "count": 0, "line": line, "text": _cut(text.rstrip("\r\n"))}
        self.reasons.setdefault(kind, first)["count"] += 1


def _read(settings: Dict[str, Any], head: _Head, trial: Dict[str, Any]) -> Optional[BadInput]:
    """Put what the lines become into ``trial``; answers why no session came of them, or ``None``."""
    settings = {key: value for key, value in settings.items() if key not in (*_BOUNDS, "encoding")}
    settings["path"] = str(head.path)
    templates = fit_templates({"sources": [settings]})
    quarantine = _Grouped()
    sessions: List[Session] = []
    problem: Optional[BadInput] = None
    try:
        for session in read_sessions({"sources": [settings]}, quarantine, templates):
            sessions.append(session)
    except BadInput as error:
        if quarantine.lines == 0:
            raise
        problem = error
    used = sum(len(session.events) for session in sessions)
    named = templates.events if templates is not None else {}
    counts = collections.Counter(event for session in sessions for event in session.events)
    lengths = sorted(len(session.events) for session in sessions)
    reasons = sorted(quarantine.reasons.values(), key=lambda r: -r["count"])
    labels = _label_columns(settings, head.sample)
    _add_texts(reasons[:SHOWN_REASONS], head.path)
    trial.update(
        {
            "lines_read": head.lines,
            "unit": head.unit,
            "whole_file": head.whole,
            "sessions": {
                "count": len(sessions),
                "shortest": lengths[0] if lengths else None,
                "median": statistics.median(lengths) if lengths else None,
                "longest": lengths[-1] if lengths else None,
                "malicious": sum(s.label == 1 for s in sessions)
                if any(s.label is not None for s in sessions)
                else None,
                "shown": [_shown(session, named) for session in _telling(sessions)],
            },
            "events": {
                "count": used,
                "different": len(counts),
                "most": [[_told(name, named), n] for name, n in counts.most_common(SHOWN_KINDS)],
            },
            "passed_over": dict(_passed_over(settings, used, head.lines - quarantine.count, templates)),
            "quarantined": {
                "count": quarantine.count,
                "reasons": reasons[:SHOWN_REASONS],
                "further_reasons": max(0, len(reasons) - SHOWN_REASONS),
            },
            "label_columns": list(labels),
            "warnings": [
                *_warnings(settings, sessions, counts, quarantine, templates),
                *_without_time(settings, head.sample),
                *_without_label(labels),
            ],
        }
    )
    return problem


def _add_texts(reasons: List[Dict[str, Any]], path: Path) -> None:
    """Give reasons that come without it the text of their line."""
    wanted = {reason["line"] for reason in reasons if not reason["text"]}
    for number, line in enumerate(raw_lines(path) if wanted else (), 1):
        if number in wanted:
            text = _cut(line[: 4 * TEXT_LETTERS].decode("utf-8", "backslashreplace").rstrip("\r\n"))
            for reason in reasons:
                if reason["line"] == number and not reason["text"]:
                    reason["text"] = text


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LETTERS else text[:TEXT_LETTERS] + "..."


def _told(event: str, named: Mapping[str, str]) -> str:
    """An event with the text of its template in place of the template's name."""
    return _cut(JOINT.join([named.get(part, part) for part in event.split(JOINT)]) if named else event)


def _shown(session: Session, named: Mapping[str, str]) -> Dict[str, Any]:
    events = session.events[:SHOWN_EVENTS]
    return {
        "key": _cut(session.key),
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "label": session.label,
        "length": len(session.events),
        "events": [_told(event, named) for event in events],
    }


def _telling(sessions: List[Session]) -> List[Session]:
    """Some sessions worth a look: the longest, one of middle length, and the first, in the order they came."""
    if len(sessions) <= SHOWN_SESSIONS:
        return sessions
    by_length = sorted(range(len(sessions)), key=lambda i: -len(sessions[i].events))
    chosen = dict.fromkeys([by_length[0], by_length[len(by_length) // 2], 0, *by_length])
    return [sessions[i] for i in sorted(list(chosen)[:SHOWN_SESSIONS])]


def _passed_over(
    settings: Dict[str, Any], used: int, lines: int, templates: Optional[EventTemplates]
) -> Iterator[Tuple[str, int]]:
    """Why rows make no event though nothing is wrong with them -> how many: found by reading without that setting.

    Args:
        settings: of the source.
        used: how many events there are.
        lines: how many lines are not quarantined.
        templates: to match with.
    """
    if settings.get("where"):
        without = {key: value for key, value in settings.items() if key != "where"}
        more = _events(without, templates) - used
        if more:
            yield "where", more
    external = settings.get("external_key")
    if isinstance(external, Mapping) and external.get("if_none", "skip") == "skip":
        more = _events({**settings, "external_key": {**external, "if_none": "first"}}, templates) - used
        if more:
            yield "no external address", more
    if settings.get("nobody") != []:
        more = _events({**settings, "nobody": []}, templates) - used
        if more > 0:
            yield "the key is nobody's", more
    if settings.get("key_pattern") and lines > used:
        yield "no key", lines - used


def _events(settings: Dict[str, Any], templates: Optional[EventTemplates]) -> int:
    count = 0
    with contextlib.suppress(BadInput):
        for session in read_sessions({"sources": [settings]}, Quarantine(), templates):
            count += len(session.events)
    return count


def _warnings(
    settings: Dict[str, Any],
    sessions: List[Session],
    counts: Dict[str, int],
    quarantine: Quarantine,
    templates: Optional[EventTemplates],
) -> Iterator[str]:
    """What is legal and most likely not meant, a sentence each."""
    events = sum(counts.values())
    if not sessions:
        yield "no line makes an event of a session: nothing can be learnt or judged"
    yield from event_remarks(events, len(counts))
    yield from templates.remarks() if templates is not None else ()
    if len(sessions) == 1 and events >= FEW:
        yield "all events are one session: choose what tells whose they are (key_column, external_key, key_pattern)"
    elif events >= 20:
        keys: Dict[str, int] = collections.Counter()
        for session in sessions:
            keys[session.key] += len(session.events)
        key, most = max(keys.items(), key=lambda item: item[1])
        if most > 0.9 * events:
            yield f"one key has {most} of {events} events: {_cut(key)!r}"
        if len(sessions) > 0.9 * events:
            yield "nearly every session has one event: the key never repeats, or session_minutes is short"
    if quarantine.count > 0.1 * max(quarantine.lines, 1):
        yield f"{quarantine.count} of {quarantine.lines} lines are quarantined: see why"
    if settings.get("labels_path"):
        malicious: Dict[str, int] = collections.Counter(s.key for s in sessions if s.label == 1)
        several = [key for key, number in malicious.items() if number > 1]
        if several:
            yield (
                "labels_path calls every session of a key malicious, also those before its attack: "
                f"{malicious[several[0]]} of {_cut(several[0])!r}; label_column labels rows"
            )
    disordered = _disordered(settings, sessions, templates)
    if disordered:
        yield (
            f"in {disordered} of {len(sessions)} sessions the file is not in order of time; the reader sorts them "
            "unless time_order says otherwise"
        )


def _without_time(settings: Dict[str, Any], sample: List[str]) -> Iterator[str]:
    """A sentence where no time is used: all days of a key are one session then."""
    if settings["format"] in ("sequences", "csv-sequences") or any(name in settings for name in TIMES):
        return
    found = None
    with contextlib.suppress(csv.Error, ValueError, RecursionError, TypeError):
        found = guessing.unused_time(sample, settings["format"], settings.get("delimiter", ","))
    looks = "" if found is None else f"; {_cut(found)!r} looks like one"
    yield f"no time is used, so all days of a key are one session: set a time and session_minutes{looks}"


def _label_columns(settings: Mapping[str, Any], sample: List[str]) -> Dict[str, List[str]]:
    """Columns that look like labels, where no setting says what is malicious -> some of their values."""
    if any(name in settings for name in LABELS):
        return {}
    used = [
        name for key in ("event_column", "key_column", "time_column") for name in _listed(settings.get(key))
    ]
    with contextlib.suppress(csv.Error, ValueError, RecursionError, TypeError, IndexError):
        lines = [line for line in sample if line.strip()]
        rows = guessing.rows_of(lines, settings["format"], settings.get("delimiter", ","))
        return label_columns(rows, used)
    return {}


def _listed(value: Any) -> List[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _without_label(labels: Mapping[str, List[str]]) -> Iterator[str]:
    """A sentence where a column looks like labels and nothing says so."""
    if labels:
        told = ", ".join(
            f"{_cut(name)!r} ({', '.join(map(repr, values))})" for name, values in labels.items()
        )
        yield (
            f"looks like labels and is not used: {_cut(told)}; set label_column (and benign_values), else training "
            "takes every session for benign"
        )


def _disordered(
    settings: Dict[str, Any], sessions: List[Session], templates: Optional[EventTemplates]
) -> int:
    """How many sessions come in another order in the file than in time."""
    timed = settings.get("time_column") or settings.get("time_pattern")
    if not timed or settings.get("time_order", "any") != "any":
        return 0
    filed: Dict[Tuple[str, Optional[float]], List[str]] = {}
    with contextlib.suppress(BadInput):
        for session in read_sessions(
            {"sources": [{**settings, "time_order": "file"}]}, Quarantine(), templates
        ):
            filed[session.key, session.started_at] = session.events
    return sum(filed.get((s.key, s.started_at), s.events) != s.events for s in sessions)


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.read())
    json.dump(answer(request), sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
