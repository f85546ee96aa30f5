"""verdicts.csv: one line a session, what each part of the detector says of it. Needs numpy."""

from __future__ import annotations

import csv
import datetime
import os
from pathlib import Path
from typing import Mapping, Optional

from stackyard_detector.detector.calibrated import COMBINED, NETWORK, RULES, Judged
from stackyard_detector.detector.dataset import Dataset
from stackyard_task.channel import BadInput

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
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    network, rules, combined = judged[NETWORK], judged.get(RULES), judged.get(COMBINED)
    lengths = dataset.events.lengths.tolist()
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row, key in enumerate(dataset.keys):
                label = dataset.labels[row]
                writer.writerow(
                    (
                        key,
                        "" if label is None else label,
                        int(network.alarms[row]),
                        _index(network, row),
                        lengths[row],
                        instant_text(dataset.started_at[row]),
                        f"{network.scores[row]:.6g}",
                        "" if rules is None else int(rules.alarms[row]),
                        "" if combined is None else int(combined.alarms[row]),
                        "" if combined is None else f"{combined.scores[row]:.6g}",
                        "" if combined is None else _index(combined, row),
                    )
                )
        os.replace(str(partial), str(path))
    except OSError as error:
        raise BadInput(f"{path}: the verdicts cannot be written ({error.strerror})") from error
    finally:
        if partial.exists():
            partial.unlink()


def instant_text(instant: Optional[float]) -> str:
    """Seconds since the epoch as ISO 8601 in UTC; empty where there is none."""
    if instant is None:
        return ""
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=instant)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _index(judged: Judged, row: int) -> object:
    first = int(judged.first_alarms[row])
    return "" if first < 0 else first
