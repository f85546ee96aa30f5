"""The alarms as one self-contained HTML page: sessions as strips of events, coloured by surprise.

It opens offline and asks no network: a content security policy allows exactly the script and the style sheet of the
file, by their digests. The sessions are data in the page, drawn as one scrolls; their number, their events and what was
expected are bounded. Everything that came out of a log reaches the page as text, never as HTML. Needs numpy.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from stackyard_detector.detector.alarm_page_script import SCRIPT
from stackyard_detector.detector.alarm_page_style import STYLE
from stackyard_detector.detector.alarms import Findings, Seen, finite, shown
from stackyard_detector.detector.calibrated import COMBINATIONS

#: Sessions without an alarm on the page, those with the greatest scores: what nearly was one.
MOST_OTHERS = 50
#: Events of one session on the page, and of all.
MOST_SHOWN = 300
MOST_EVENTS = 150_000
#: Events of which the page says what was expected, those of the sessions with the greatest scores.
MOST_TOLD = 20_000
#: Unexpected events of a session that the page leads to.
MOST_UNEXPECTED = 50
#: Characters of a name or a text.
MOST_CHARACTERS = 300

#: Instead of a surprise: training did not have the event; the event is no target.
_NEVER, _NOT_JUDGED = -2, -1


def render(findings: Findings, come_from: Mapping[str, Any], most: int) -> str:
    """The page's text.

    Args:
        findings: the sessions.
        come_from: what ``alarms.origin`` says.
        most: the greatest number of alarms on the page.
    """
    return _page(_data(findings, come_from, most), come_from, findings)


def _data(findings: Findings, come_from: Mapping[str, Any], most: int) -> Dict[str, Any]:
    """What the script draws. Names, texts and expected events are in it once each."""
    rows, windows = _chosen(findings, most)
    numbers = _Numbers(findings)
    every = [findings.seen(row) for row in rows]
    expected, places = _expected(findings, every, windows, numbers)
    sessions = [
        _session(findings, seen, begin, end, told, numbers)
        for seen, (begin, end), told in zip(every, windows, places)
    ]
    deciding = findings.deciding
    return {
        "decidedBy": findings.decided_by,
        "threshold": finite(deciding.threshold),
        "known": findings.detector.vocabulary.size,
        "parts": [
            {"name": name, "single": name not in COMBINATIONS, "threshold": finite(part.threshold)}
            for name, part in findings.parts.items()
        ],
        "names": numbers.told(),
        "expected": expected,
        "sessions": sessions,
    }


class _Numbers:
    """Names of events as numbers of the page, in order of appearance."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._numbers: Dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def told(self) -> List[Tuple[str, Optional[str]]]:
        """Name and text of each."""
        texts = self._findings.texts
        return [
            (
                _visible(name),
                _visible(texts[name]) if name in texts else None,
            )
            for name in self._numbers
        ]


def _chosen(findings: Findings, most: int) -> Tuple[List[int], List[Tuple[int, int]]]:
    """The sessions of the page, the greatest score first, and which events of each are shown."""
    alarmed = findings.deciding.first_alarms >= 0
    kept = np.union1d(np.flatnonzero(alarmed)[:most], np.flatnonzero(~alarmed)[:MOST_OTHERS])
    rows: List[int] = []
    windows: List[Tuple[int, int]] = []
    room = MOST_EVENTS
    for row in kept.tolist():
        begin, end = _window(int(findings.sessions.lengths[row]), int(findings.deciding.first_alarms[row]))
        room -= end - begin
        if room < 0:
            break
        rows.append(row)
        windows.append((begin, end))
    return rows, windows


def _window(length: int, first_alarm: int) -> Tuple[int, int]:
    """Which events of a long session are shown: two thirds of them before the one with which the alarm is certain."""
    begin = max(0, min(first_alarm - 2 * MOST_SHOWN // 3, length - MOST_SHOWN))
    return begin, min(length, begin + MOST_SHOWN)


def _expected(
    findings: Findings, every: Sequence[Seen], windows: Sequence[Tuple[int, int]], numbers: _Numbers
) -> Tuple[List[List[int]], List[np.ndarray]]:
    """Every different list of expected events once, and which of them each shown event has (-1: none).

    A list is [event, probability in ten thousandths, event, ...], the most probable first. An event that was more
    probable than all others together has none.
    """
    places = [np.full(end - begin, -1, dtype=np.int64) for begin, end in windows]
    asked_rows, asked_positions = [], []
    room = MOST_TOLD
    for seen, (begin, end) in zip(every, windows):
        positions = begin + np.flatnonzero(seen.surprises[begin:end] > np.log(2.0))[: max(0, room)]
        room -= len(positions)
        asked_rows.append(np.full(len(positions), seen.row, dtype=np.int64))
        asked_positions.append(positions)
    if not sum(map(len, asked_rows)):
        return [], places
    ids, probabilities = findings.expected(np.concatenate(asked_rows), np.concatenate(asked_positions))
    shares = np.rint(10_000 * probabilities).astype(np.int64)
    table, which = np.unique(np.concatenate([ids, shares], axis=1), axis=0, return_inverse=True)
    which, done = np.asarray(which).ravel(), 0
    for own, (begin, _), positions in zip(places, windows, asked_positions):
        own[positions - begin] = which[done : done + len(positions)]
        done += len(positions)
    names = findings.detector.vocabulary.events
    lists = []
    for line in table.tolist():
        pairs = zip(line[: ids.shape[1]], line[ids.shape[1] :])
        lists.append([part for event, share in pairs for part in (numbers(names[event]), share)])
    return lists, places


def _session(
    findings: Findings, seen: Seen, begin: int, end: int, told: np.ndarray, numbers: _Numbers
) -> Dict[str, Any]:
    dataset, deciding, row = findings.dataset, findings.deciding, seen.row
    steps = np.where(np.isnan(seen.surprises), _NOT_JUDGED, np.rint(100 * np.minimum(seen.surprises, 1e6)))
    steps[seen.unknown] = _NEVER
    first, near = int(deciding.first_alarms[row]), findings.nearest(row)
    unexpected = findings.unexpected(seen, MOST_UNEXPECTED)[0]
    look_at = findings.telling(seen, [place for place in unexpected if begin <= place < end])
    return {
        "key": _visible(dataset.keys[row]),
        "start": finite(dataset.started_at[row], 3),
        "end": finite(dataset.ended_at[row], 3),
        "label": dataset.labels[row],
        "attack": dataset.attack_starts_at[row],
        "alarm": first >= 0,
        "score": finite(deciding.scores[row]),
        "severity": findings.severity(row),
        "near": None if near is None else list(findings.parts).index(near["part"]),
        "first": None if first < 0 else first,
        "n": len(seen.names),
        "from": begin,
        "e": [numbers(name) for name in seen.names[begin:end]],
        "s": steps[begin:end].astype(np.int64).tolist(),
        "r": seen.ranks[begin:end].tolist(),
        "x": told.tolist(),
        "w": _reasons(findings, seen)[begin:end].tolist(),
        "u": [place for place in unexpected if begin <= place < end],
        "look": look_at,
        "parts": [
            [int(part.first_alarms[row] >= 0), finite(part.scores[row]), int(part.first_alarms[row])]
            for part in findings.parts.values()
        ],
    }


def _reasons(findings: Findings, seen: Seen) -> np.ndarray:
    """The parts to which each event is unusual, as ``Findings.reasons``: bit i is the i-th part, int64 [events]."""
    found = np.zeros(len(seen.names), dtype=np.int64)
    for bit, (name, part) in enumerate(findings.parts.items()):
        if name in COMBINATIONS:
            continue
        if name in findings.flags:
            own = findings.flags[name][seen.begin : seen.begin + len(seen.names)]
            found |= own.astype(np.int64) << bit
        first = int(part.first_alarms[seen.row])
        if first >= 0:
            found[first] |= 1 << bit
    return found


def _page(data: Mapping[str, Any], come_from: Mapping[str, Any], findings: Findings) -> str:
    listed = sum(session["alarm"] for session in data["sessions"])
    total = findings.total_alarms
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{digest(STYLE)}'; script-src '{digest(SCRIPT)}'"
    )
    counts = [(total, "alarm" if total == 1 else "alarms"), (findings.total_sessions, "sessions judged")]
    if total > listed:
        counts.append((total - listed, "alarms left out here, those with the smallest scores"))
    facts = "".join(
        f"<dt>{_safe(what)}</dt><dd>{_safe(said)}</dd>" for what, said in _facts(come_from, findings)
    )
    return _SHELL.format(
        policy=_safe(policy),
        style=STYLE,
        script=SCRIPT,
        counts="".join(f"<li><b>{number:,}</b> {_safe(what)}</li>" for number, what in counts),
        facts=facts,
        made=_safe(str(come_from["created_at"])),
        # "<" cannot end the element then, whatever a log holds
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    )


def _facts(come_from: Mapping[str, Any], findings: Findings) -> List[Tuple[str, str]]:
    model, stack = come_from["model"], come_from["stack"]
    trained = [f"{name} {value}" for name, value in model["trained_with"].items() if value is not None]
    runs = [f"{name} {value}" for name, value in stack.items() if value is not None]
    facts = [
        ("model", model["sha256"]),
        ("trained", ", ".join([*([str(model["trained_at"])] if model["trained_at"] else []), *trained])),
        ("it knows", f"{model['known_events']} events, and looks at {model['history']} before each"),
        ("judged by", f"{findings.decided_by}; an event beyond the {findings.k} most probable is a miss"),
        ("data", str(come_from["data"]["sha256"] or "not known")),
        ("stack", ", ".join(runs)),
    ]
    return [(what, said) for what, said in facts if said]


#: Characters that show as nothing, or turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def _visible(text: str) -> str:
    """A text of bounded length in which nothing hides: such characters are written out."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", shown(text, MOST_CHARACTERS))


def _safe(text: str) -> str:
    return html.escape(text, quote=True)


def digest(text: str) -> str:
    """What a content security policy calls a script or a style sheet of the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Alarms of the detector</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#list">Skip to the sessions</a>
<header class="top">
  <p class="kind">Stackyard alarms</p>
  <h1>Sessions that are unlike those of training</h1>
  <ul class="counts">{counts}</ul>
  <details><summary>Model, data and stack</summary><dl>{facts}</dl></details>
</header>
<main>
<noscript><p class="card">This page needs JavaScript. The same is in alerts.jsonl.</p></noscript>
<form id="filters" class="card filters" role="search" aria-label="Filters">
  <label class="wide">Key contains<input id="key" type="search" autocomplete="off" spellcheck="false"></label>
  <label class="wide">Holds an event<input id="event" type="search" list="events" autocomplete="off"
    spellcheck="false"></label>
  <datalist id="events"></datalist>
  <label class="tick"><input id="only" type="checkbox"> where it is unexpected</label>
  <label>Part that alarms<select id="part"><option value="">any</option></select></label>
  <label>Sessions<select id="verdict"><option value="alarm">with an alarm</option>
    <option value="none">without, nearest to one</option><option value="all">all of the page</option></select></label>
  <label>Label<select id="label"><option value="">any</option><option value="1">malicious</option>
    <option value="0">benign</option><option value="null">none</option></select></label>
  <label>From (UTC)<input id="from" type="datetime-local" step="1"></label>
  <label>Until (UTC)<input id="to" type="datetime-local" step="1"></label>
  <label class="tick"><input id="once" type="checkbox"> one of each kind</label>
  <button type="reset">Clear</button>
</form>
<figure class="legend" aria-label="Legend">
  <p class="keys">
    <span class="key"><span class="swatch k0"></span> probability above 1/2</span>
    <span class="key"><span class="swatch k1"></span> above 1/10</span>
    <span class="key"><span class="swatch k2"></span> above 1/100</span>
    <span class="key"><span class="swatch k3"></span> above 1/1000</span>
    <span class="key"><span class="swatch k4"></span> below</span>
    <span class="key"><span class="swatch kn"></span> never seen in training</span>
    <span class="key"><span class="swatch kx"></span> not judged</span>
    <span class="key"><span class="kf"></span> the alarm is certain here</span>
    <span class="key"><span class="ka"></span> labelled attack begins</span>
  </p>
</figure>
<p class="soft small">Point at an event or tap it. With the keyboard: Tab to a strip, arrows from event to event,
  N and P to the next and previous unexpected one.</p>
<p id="shown" class="soft" aria-live="polite"></p>
<ol id="list"></ol>
<p id="more" hidden><button type="button">Show more</button></p>
</main>
<footer><p>Made {made}. Colours show how improbable the model held each event, before it came. Positions count from 0.
  The alarms as data: alerts.jsonl, alerts.cef, alerts.ecs.jsonl.</p></footer>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
