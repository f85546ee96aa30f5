"""What inference leaves of its alarms: ``alerts.jsonl``, ``alerts.cef``, ``alerts.ecs.jsonl`` and ``alarms.html``.

Chooses the sessions worth a look, so that all else about alarms works on few of them however many were judged. Needs
numpy and safetensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from stackyard_detector.detector import alarm_formats, alarm_page, alarms, fast_scoring, whole_files
from stackyard_detector.detector.alarms import Findings
from stackyard_detector.detector.calibrated import COMBINED, NETWORK, Judged
from stackyard_detector.detector.dataset import Dataset
from stackyard_detector.detector.model_file import Detector
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.scores import EventScores
from stackyard_detector.detector.windows import Sequences

ALERTS_FILE = "alerts.jsonl"
CEF_FILE = "alerts.cef"
ECS_FILE = "alerts.ecs.jsonl"
PAGE_FILE = "alarms.html"

#: Logits held at once while the expected events are looked up.
_MOST_LOGITS = 2_000_000


def write(folder: Path, findings: Findings, come_from: Mapping[str, Any], most: int) -> Dict[str, Any]:
    """Write the four files into ``folder``, all of them or none; the results to report.

    Args:
        folder: there already.
        findings: as ``gather`` gives them.
        come_from: as ``alarms.origin`` gives it.
        most: the greatest number of alarms in each file.

    Raises:
        BadInput: a file cannot be written.
    """
    paths = [folder / name for name in (ALERTS_FILE, CEF_FILE, ECS_FILE, PAGE_FILE)]
    written = 0
    with whole_files.drafts(paths, "the alarms") as (plain, cef, ecs, page):
        for alarm in alarms.build(findings, come_from, most):
            plain.write(alarms.json_line(alarm))
            cef.write(f"{alarm_formats.cef(alarm)}\n")
            ecs.write(alarms.json_line(alarm_formats.ecs(alarm)))
            written += 1
        page.write(alarm_page.render(findings, come_from, most))
    return {"alerts": written, "alerts_left_out": findings.total_alarms - written}


def gather(
    dataset: Dataset,
    detector: Detector,
    ranks: Ranks,
    judged: Mapping[str, Judged],
    k: int,
    by_rank: bool,
    most: int,
    texts: Mapping[str, str],
) -> Findings:
    """The sessions worth a look: the alarms with the greatest scores, and those without that come nearest.

    Args:
        dataset: all sessions that were judged.
        detector: the model.
        ranks: of ``dataset``, with surprise.
        judged: what each part says of ``dataset``; the combination decides where it is there, else the network.
        k: an event that is not among the k most probable is a miss.
        by_rank: whether the network judges by k and not by score.
        most: the greatest number of alarms.
        texts: event name -> its text.
    """
    decided_by = COMBINED if COMBINED in judged else NETWORK
    deciding = judged[decided_by]
    order = np.argsort(-np.nan_to_num(deciding.scores, nan=-np.inf), kind="stable")
    alarmed = deciding.first_alarms[order] >= 0
    kept = np.union1d(np.flatnonzero(alarmed)[:most], np.flatnonzero(~alarmed)[: alarm_page.MOST_OTHERS])
    rows = order[kept]
    chosen, own = dataset.chosen(rows.tolist()), _ranks_at(ranks, rows)
    sessions = chosen.encoded(detector.vocabulary)
    flags = _flags(detector, sessions, own, judged)
    if by_rank:
        beyond = np.zeros(len(sessions.values), dtype=bool)
        counts = np.diff(own.offsets)
        beyond[np.arange(len(own.values)) + np.repeat(sessions.offsets[1:] - own.offsets[1:], counts)] = (
            own.values > k
        )
        flags[NETWORK] = beyond

    def expected(session_of: np.ndarray, positions: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        step = max(256, _MOST_LOGITS // detector.vocabulary.size)
        found = []
        for start in range(0, len(positions), step):
            # only the sessions that are asked for: the network's windows are made of all that it gets
            asked, place = np.unique(session_of[start : start + step], return_inverse=True)
            some = chosen.chosen(asked.tolist()).encoded(detector.vocabulary)
            places = list(zip(np.ravel(place).tolist(), positions[start : start + step].tolist()))
            found.append(fast_scoring.expected(detector.weights, some, places, alarms.MOST_EXPECTED))
        return np.concatenate([ids for ids, _ in found]), np.concatenate([shares for _, shares in found])

    return Findings(
        chosen,
        sessions,
        detector,
        own,
        {
            name: Judged(part.scores[rows], part.threshold, part.first_alarms[rows], part.detections[rows])
            for name, part in judged.items()
        },
        flags,
        k,
        expected,
        len(dataset),
        int(alarmed.sum()),
        texts,
        decided_by,
    )


def _flags(
    detector: Detector, sessions: Sequences, ranks: Ranks, judged: Mapping[str, Judged]
) -> Dict[str, np.ndarray]:
    """Part -> bool [events]: what it counts (an event, a pair never seen), or what alone exceeds its threshold."""
    if detector.calibrated is None:
        return {}
    found = {}
    for name, scores in detector.calibrated.scores(sessions, ranks).items():
        if isinstance(scores, EventScores) and scores.per_event is not None and name in judged:
            if scores.gathered == "sum":
                found[name] = np.asarray(scores.per_event) > 0
            elif scores.gathered == "soft-maximum":
                found[name] = np.asarray(scores.per_event) > judged[name].threshold
    return found


def _ranks_at(ranks: Ranks, rows: np.ndarray) -> Ranks:
    """The ranks of the sessions at ``rows``."""
    counts = np.diff(ranks.offsets)[rows]
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    places = np.arange(offsets[-1]) + np.repeat(ranks.offsets[rows] - offsets[:-1], counts)
    surprise = None if ranks.surprise is None else ranks.surprise[places]
    return Ranks(ranks.values[places], offsets, ranks.first_position, surprise)
