"""The sets that detectors are held against: benign sessions to train on, benign ones to calibrate on, and a test.

Only sets with real sequences. A set of one site is split by a seed: half of the benign sessions train, a fifth
calibrate, the rest test, with all malicious ones. Where the set has a training file of its own (HDFS), that one trains
and calibrates. Of the AIT enterprises one trains and calibrates, and another is the test: a site nobody has seen.

Left out, because there is no key, no time or no benign test session: NSL-KDD, the UCI firewall data, Suricata's alerts.
"""

from __future__ import annotations

import gzip
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from stackyard_detector import readers
from stackyard_detector.sessions import Session

#: Shares of the benign sessions of one site that train and that calibrate.
TRAINING_SHARE, VALIDATION_SHARE = 0.5, 0.2
#: Of the benign sessions of a set with its own training file, or of another site.
HELD_BACK_SHARE = 0.2
ENTERPRISES = ("fox", "russellmitchell", "santos", "wheeler")
#: AIT raw alerts as sessions: what one IP raised in 30 minutes.
ALERTS = {
    "format": "csv",
    "key_column": "ip",
    "time_column": "time",
    "event_column": "short",
    "label_column": "event_label",
    "session_minutes": 30,
    "max_events": 1000,
}
#: IoT-23's flows as sessions: what one device did in ten minutes.
FLOWS = {
    "format": "csv",
    "key_column": "id.orig_h",
    "time_column": "ts",
    "event_column": ["proto", "service", "conn_state"],
    "label_column": "label",
    "session_minutes": 10,
    "max_events": 1000,
}


@dataclass(frozen=True)
class TestSet:
    """What one detector is made from and held against."""

    name: str
    #: Whether test sessions come from the site that trained.
    same_site: bool
    training: List[List[str]]
    validation: List[List[str]]
    test: List[List[str]]
    #: 1 malicious, 0 benign.
    labels: np.ndarray
    #: Index of the first malicious event, -1 where it is not known or there is none, int64 [test].
    attack_starts_at: np.ndarray

    __test__ = False  # no test of pytest's


class Absent(Exception):
    """A set is not on this machine, or its reader cannot run here; says why."""


def one_site(name: str, sessions: Sequence[Session], seed: int) -> TestSet:
    """A set of labelled sessions, split by ``seed``."""
    benign = [s for s in sessions if not s.label]
    order = np.random.default_rng(seed).permutation(len(benign))
    first, second = round(TRAINING_SHARE * len(benign)), round(VALIDATION_SHARE * len(benign))
    kept, held_back, rest = np.split(order, [first, first + second])
    tested = [benign[row] for row in np.sort(rest)] + [s for s in sessions if s.label]
    return _test_set(name, True, [benign[r] for r in kept], [benign[r] for r in held_back], tested)


def trained_apart(
    name: str, same_site: bool, given: Sequence[Session], tested: Sequence[Session], seed: int
) -> TestSet:
    """A set whose training sessions (their benign ones) come from a file of their own."""
    benign = [s for s in given if not s.label]
    order = np.random.default_rng(seed).permutation(len(benign))
    held_back = round(HELD_BACK_SHARE * len(benign))
    return _test_set(
        name,
        same_site,
        [benign[r] for r in order[held_back:]],
        [benign[r] for r in order[:held_back]],
        tested,
    )


def _test_set(
    name: str,
    same_site: bool,
    training: Sequence[Session],
    validation: Sequence[Session],
    tested: Sequence[Session],
) -> TestSet:
    starts = [-1 if s.attack_starts_at is None else s.attack_starts_at for s in tested]
    return TestSet(
        name,
        same_site,
        [s.events for s in training],
        [s.events for s in validation],
        [s.events for s in tested],
        np.array([s.label or 0 for s in tested], dtype=np.int64),
        np.array(starts, dtype=np.int64),
    )


def all_sets(data_folder: Path, seed: int) -> Iterator[Tuple[str, Optional[TestSet], str]]:
    """Every set as (name, the set, why it is absent), one after the other."""
    for name, make in SETS.items():
        try:
            for made in make(data_folder, seed):
                yield made.name, made, ""
        except (Absent, FileNotFoundError) as error:
            yield name, None, str(error)


def _hdfs(folder: Path, seed: int) -> Iterator[TestSet]:
    folder = folder / "hdfs_logdeep"
    test = _listed(folder / "hdfs_test_abnormal.gz", 1)
    normal = {
        "path": str(folder / "hdfs_test_normal_sampleA_11151.csv.gz"),
        "format": "csv-sequences",
        "label": 0,
    }
    test = list(readers.read_sessions({"sources": [normal]}, readers.Quarantine())) + test
    yield trained_apart("hdfs", True, _listed(folder / "hdfs_train.gz", 0), test, seed)


def _hdfs_lines(folder: Path, seed: int) -> Iterator[TestSet]:
    folder = folder / "hdfs_loglead_2pct"
    source = {
        "path": str(folder / "HDFS_2pct.log.xz"),
        "format": "lines",
        "key_pattern": r"(blk_-?\d+)",
        "labels_path": str(folder / "anomaly_label_2pct.csv.gz"),
    }
    yield one_site("hdfs_lines", _read(source, f"hdfs_lines-{seed}"), seed)


def _hadoop(folder: Path, seed: int) -> Iterator[TestSet]:
    folder = folder / "hadoop_sessions"
    sessions = _listed(folder / "hadoop_train.gz", 0) + _listed(folder / "hadoop_test_normal.gz", 0)
    yield one_site("hadoop", sessions + _listed(folder / "hadoop_test_abnormal.gz", 1), seed)


def _openstack(folder: Path, seed: int) -> Iterator[TestSet]:
    folder = folder / "openstack_loghub_sessions"
    sessions = _listed(folder / "openstack_train.gz", 0) + _listed(folder / "openstack_test_normal.gz", 0)
    yield one_site("openstack", sessions + _listed(folder / "openstack_test_abnormal.gz", 1), seed)


def _iot(folder: Path, seed: int) -> Iterator[TestSet]:
    paths = sorted((folder / "iot23_zeek_labeled").glob("*.csv.xz"))
    if not paths:
        raise Absent("iot23_zeek_labeled is not in the data folder")
    sessions = [session for path in paths for session in _read({"path": str(path), **FLOWS}, path.name)]
    yield one_site("iot23", sessions, seed)


def _ait(folder: Path, seed: int) -> Iterator[TestSet]:
    folder = folder / "ait_ads"
    sites = {
        name: _read({"path": str(folder / f"{name}_alerts.csv.xz"), **ALERTS}, name) for name in ENTERPRISES
    }
    for source, target in itertools.permutations(ENTERPRISES, 2):
        yield trained_apart(f"ait_{source}_{target}", False, sites[source], sites[target], seed)


#: Name -> how the set, or the sets, are read.
SETS: Dict[str, Callable[[Path, int], Iterator[TestSet]]] = {
    "hdfs": _hdfs,
    "hdfs_lines": _hdfs_lines,
    "hadoop": _hadoop,
    "openstack": _openstack,
    "iot23": _iot,
    "ait": _ait,
}


def _listed(path: Path, label: int) -> List[Session]:
    """The sessions of a file with one on each line: ``[key,]event event ...``."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [line.rpartition(",")[2].split() for line in lines]
    return [Session(str(number), events, label) for number, events in enumerate(texts, 1) if events]


_READ: Dict[str, List[Session]] = {}


def _read(source: Dict[str, object], name: str) -> List[Session]:
    """The sessions of a source, read once a process."""
    key = str(source["path"])
    if key not in _READ:
        if not Path(key).is_file():
            raise Absent(f"{name} is not in the data folder")
        _READ[key] = list(readers.read_sessions({"sources": [source]}, readers.Quarantine()))
    return _READ[key]
