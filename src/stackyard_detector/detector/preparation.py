"""The workload detector-prepare: raw sources in, a checked and split data set folder out.

Reads through ``readers``: what cannot be read goes to quarantine and is counted. Leaves the folder ``dataset``
with ``training.csv`` (benign and unlabelled sessions), ``test.csv`` (labelled sessions held back),
``unlabelled.csv`` (test sessions of unknown label, where there are any), ``templates.json`` (where events came from
raw lines) and ``dataset.json``, which says what is in them. The files are csv-sequences with the settings of
``SETTINGS``, the same whatever the raw format was. Needs numpy for the split, never torch.
"""

from __future__ import annotations

import csv
import hashlib
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np

from stackyard_detector import readers
from stackyard_detector.detector.dataset import Dataset, collect, split, tell_remarks
from stackyard_detector.readers.files import LINE_BYTES
from stackyard_task import records
from stackyard_task.channel import BadInput, Channel

API_VERSION = 1
DATASET_FOLDER = "dataset"
TRAINING, TEST, UNLABELLED = "training.csv", "test.csv", "unlabelled.csv"
TEMPLATES_FILE = "templates.json"
ABOUT_FILE = "dataset.json"
QUARANTINE_FILE = "quarantine.jsonl"
COLUMNS = ("key", "started_at", "label", "attack_starts_at", "events")
#: What may stand between events: event names hold spaces, but no tabs.
SEPARATOR = "\t"
#: How the files are read again: the settings of a source, but for its path and what is known of test.csv
#: (label_column, attack_column).
SETTINGS = {
    "format": "csv-sequences",
    "key_column": "key",
    "event_column": "events",
    "event_separator": SEPARATOR,
}
#: Progress is told after so many sessions.
_TOLD_EVERY = 5000


def prepare(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Check raw sources and write them as a data set to train and to test with.

    Results: sessions of each file, events, known event names, quarantined lines.

    Raises:
        BadInput: a source or parameter cannot be used, or too many lines are corrupt; no data set is left.
    """
    output_folder = Path(output_folder)
    channel.phase("data")
    quarantine = readers.Quarantine(output_folder / QUARANTINE_FILE, parameters["quarantine_limit"])
    try:
        templates = readers.fit_templates(parameters["data"])
        given = collect(readers.read_sessions(parameters["data"], quarantine, templates))
        apart = parameters["test_data"]
        held_out = None if apart is None else collect(readers.read_sessions(apart, quarantine, templates))
        quarantine.finish()
    finally:
        quarantine.close()
        channel.results(**quarantine.results())
    tell_remarks(given, channel, [] if templates is None else templates.remarks())
    channel.phase("steady")
    parts = _parts(given, held_out, parameters)
    folder = output_folder / DATASET_FOLDER
    folder.mkdir()
    total = sum(len(rows) for _, rows in parts.values())
    done, files = 0, {}
    for name, (dataset, rows) in parts.items():
        if len(rows):
            files[name] = _write(folder / name, dataset, rows, channel, done, total)
            done += len(rows)
    channel.phase("finish")
    if templates is not None:
        templates.save(folder / TEMPLATES_FILE)
    about = {
        "api_version": API_VERSION,
        "kind": "prepared-sessions",
        "settings": SETTINGS,
        "files": files,
        "source_sha256": readers.data_checksum(parameters["data"]),
        "test_source_sha256": None if apart is None else readers.data_checksum(apart),
        "parameters": {k: v for k, v in parameters.items() if k not in ("data", "test_data")},
        **quarantine.results(),
    }
    records.write_json(about, folder / ABOUT_FILE)
    channel.results(**_counted(files), event_names=_names(given, held_out))


def _parts(
    given: Dataset, held_out: Optional[Dataset], parameters: Mapping[str, Any]
) -> Dict[str, Tuple[Dataset, np.ndarray]]:
    """Which sessions go into which file."""
    if held_out is None:
        training, benign_test = split(
            given, parameters["test_share"], parameters["split_by"], parameters["seed"]
        )
        malicious = [row for row, label in enumerate(given.labels) if label == 1]
        tested, test = given, np.sort(np.concatenate([benign_test, np.array(malicious, dtype=np.int64)]))
    else:
        training = np.array([row for row, label in enumerate(given.labels) if label != 1], dtype=np.int64)
        tested, test = held_out, np.arange(len(held_out))
    known = np.array([tested.labels[row] is not None for row in test], dtype=bool)
    return {TRAINING: (given, training), TEST: (tested, test[known]), UNLABELLED: (tested, test[~known])}


def _write(
    path: Path, dataset: Dataset, rows: np.ndarray, channel: Channel, done: int, total: int
) -> Dict[str, Any]:
    """Write the sessions at ``rows``; what the file holds.

    Raises:
        BadInput: an event's name holds the separator, or a session is too long to be read again.
    """
    _check_names(dataset.names)
    values, offsets, names = dataset.events.values, dataset.events.offsets, dataset.names
    events, malicious = 0, 0
    began = time.perf_counter()
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for count, row in enumerate(rows.tolist(), 1):
            inside = values[offsets[row] : offsets[row + 1]].tolist()
            text = SEPARATOR.join([names[event] for event in inside])
            if 2 * len(text) >= LINE_BYTES and len(text.encode("utf-8")) >= LINE_BYTES // 2:
                raise BadInput(
                    f"session {dataset.keys[row]!r} has {len(inside)} events, too many for one line; set "
                    "max_events or session_minutes in its source"
                )
            label, started = dataset.labels[row], dataset.started_at[row]
            attack = dataset.attack_starts_at[row]
            events += len(inside)
            malicious += label == 1
            writer.writerow(
                (
                    dataset.keys[row],
                    "" if started is None else repr(started),
                    "" if label is None else label,
                    "" if attack is None else attack,
                    text,
                )
            )
            if count % _TOLD_EVERY == 0:
                channel.step(time.perf_counter() - began)
                began = time.perf_counter()
                channel.progress(done + count, total, "sessions")
    return {
        "sessions": len(rows),
        "malicious": malicious,
        "events": events,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if SEPARATOR in name:
            raise BadInput(f"event {name!r} holds a tab, which parts events here; map it with action_map")


def _counted(files: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    def of(name: str, what: str) -> int:
        return int(files.get(name, {}).get(what, 0))

    return {
        "training_sessions": of(TRAINING, "sessions"),
        "test_sessions": of(TEST, "sessions"),
        "malicious_test_sessions": of(TEST, "malicious"),
        "unlabelled_test_sessions": of(UNLABELLED, "sessions"),
        "events": sum(of(name, "events") for name in files),
    }


def _names(given: Dataset, held_out: Optional[Dataset]) -> int:
    names: List[str] = list(given.names)
    return len({*names, *(held_out.names if held_out is not None else ())})
