"""verdicts.csv: one line a session, what each part of the detector says of it. Needs numpy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Iterator, List, Mapping

from stackyard_detector.detector import whole_files
from stackyard_detector.detector.alarms import instant
from stackyard_detector.detector.calibrated import COMBINED, NETWORK, RULES, Judged
from stackyard_detector.detector.dataset import Dataset

#: ``verdict`` and ``first_miss_index`` are the network's.
COLUMNS = (
    "key",
    "label",
    "verdict",
    "first_miss_index",
    "length",
    "started_at",
    "score",
    "rules_verdict",
    "combined_verdict",
    "combined_score",
    "combined_first_alarm_index",
    "combined_first_alarm_event",
)


def write_verdicts(path: Path, dataset: Dataset, judged: Mapping[str, Judged]) -> None:
    """Write the verdicts on all sessions, the whole file or none.

    Args:
        path: the file.
        dataset: the sessions as they were read.
        judged: verdicts of the network; of rules and combination where the model has them (else empty columns).

    Raises:
        BadInput: the file cannot be written.
    """
    whole_files.write({path: _lines(dataset, judged)}, "the verdicts")


def _lines(dataset: Dataset, judged: Mapping[str, Judged]) -> Iterator[str]:
    names, events = dataset.names, dataset.events
    columns = {
        part: _Columns(judged[part]) if part in judged else None for part in (NETWORK, RULES, COMBINED)
    }
    network, rules, combined = columns[NETWORK], columns[RULES], columns[COMBINED]
    assert network is not None
    lengths, starts = events.lengths.tolist(), events.offsets.tolist()
    writer = csv.writer(_Told(), lineterminator="\n")
    yield writer.writerow(COLUMNS)
    for row, key in enumerate(dataset.keys):
        label = dataset.labels[row]
        first = -1 if combined is None else combined.first[row]
        yield writer.writerow(
            (
                key,
                "" if label is None else label,
                int(network.first[row] >= 0),
                _index(network.first[row]),
                lengths[row],
                instant(dataset.started_at[row]) or "",
                f"{network.scores[row]:.6g}",
                "" if rules is None else int(rules.first[row] >= 0),
                "" if combined is None else int(first >= 0),
                "" if combined is None else f"{combined.scores[row]:.6g}",
                _index(first),
                "" if first < 0 else names[events.values[starts[row] + first]],
            )
        )


class _Columns:
    """What one part says, as plain lists."""

    def __init__(self, judged: Judged) -> None:
        self.first: List[int] = judged.first_alarms.tolist()
        self.scores: List[float] = judged.scores.tolist()


class _Told:
    """Where a CSV writer writes to: it gives each line back, and so does the writer."""

    def write(self, line: str) -> str:
        return line


def _index(first: int) -> object:
    return "" if first < 0 else first
