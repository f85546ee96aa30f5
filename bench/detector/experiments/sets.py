"""The sets of the experiments: sites that training never saw, and single sites.

Everything is chosen on benign validation sessions of the site that trained. A single site without a training file of
its own is split by a fixed seed: half of its benign sessions train and validate, the rest is for the test.
"""

from __future__ import annotations

import csv
import gzip
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from stackyard_detector.simulation import sites
from stackyard_detector.simulation.sessions import simulated_sessions

#: A fifth of the benign sessions of the training site validates.
VALIDATION_SHARE = 0.2
ENTERPRISES = ("fox", "russellmitchell", "santos", "wheeler")
SIMULATED_SITES = (1, 2, 3)
#: Simulated sessions of a site: to train on, and for its test.
SIMULATED = (800, 500)
#: HDFS test sessions that are held, of each label: a fixed draw, so that all of it stays within the time.
HDFS_TESTED = 4000

#: Waiting times are told apart by these bounds, in seconds; a session's first event has waited for nothing.
GAP_BOUNDS = (1.0, 10.0, 60.0, 600.0)
GAPS = len(GAP_BOUNDS) + 1

Sessions = List[List[str]]
#: Of each event, the class of the time since the one before, 0 to GAPS - 1.
Gaps = List[List[int]]


@dataclass(frozen=True)
class Site:
    """Where sessions come from: what trains, what validates, and a test of its own."""

    name: str
    training: Sessions
    validation: Sessions
    test: Sessions
    #: 1 malicious, 0 benign, int64 [test].
    labels: np.ndarray
    #: Of training, validation and test; ``None`` where no time is known.
    gaps: Optional[Tuple[Gaps, Gaps, Gaps]] = None


@dataclass(frozen=True)
class Group:
    """Sites that belong together, and which one is held against which."""

    name: str
    sites: Dict[str, Site]
    #: Title of a table -> its pairs: (trained on, tested on).
    tables: Dict[str, List[Tuple[str, str]]]
    #: Event name -> its text, where names are more than numbers.
    texts: Dict[str, str]
    #: Steps of training.
    steps: int = 400

    @property
    def pairs(self) -> List[Tuple[str, str]]:
        """The pairs of all tables."""
        return [pair for pairs in self.tables.values() for pair in pairs]

    @property
    def names(self) -> List[str]:
        """All event names of all sites."""
        found = {
            event
            for site in self.sites.values()
            for part in (site.training, site.validation, site.test)
            for session in part
            for event in session
        }
        return sorted(found)


def groups(folder: Path, quick: bool = False) -> Dict[str, Callable[[], Group]]:
    """Name -> how the group is read. ``quick`` leaves most of the pairs out."""
    return {
        "AIT": lambda: ait(folder / "ait_ads" / "sessions_30min", quick),
        "HDFS": lambda: hdfs(folder / "hdfs_logdeep"),
        "OpenStack": lambda: listed(folder / "openstack_loghub_sessions", "OpenStack"),
        "Hadoop": lambda: listed(folder / "hadoop_sessions", "Hadoop"),
        "simulated": lambda: simulated(quick),
    }


def simulated(quick: bool) -> Group:
    """Simulated sites, each held against the others and against itself."""
    found = {}
    for number in SIMULATED_SITES[: 2 if quick else None]:
        site = sites.site(number)
        benign = list(simulated_sessions(100 + number, SIMULATED[0], 0.0, site))
        test = list(simulated_sessions(200 + number, SIMULATED[1], 0.25, site))
        found[str(number)] = _site(
            str(number),
            [s.events for s in benign],
            [s.events for s in test],
            [s.label for s in test],
            [_gaps(s.instants) for s in benign],
            [_gaps(s.instants) for s in test],
        )
    tables = {
        "Simulated, another site": [(a, b) for a in found for b in found if a != b],
        "Simulated, the same site": [(a, a) for a in found],
    }
    texts = {event: event.replace("-", " ") for site in found.values() for event in _events(site)}
    return Group("simulated", found, tables, texts, steps=800)


def ait(folder: Path, quick: bool) -> Group:
    """AIT alerts: what one IP raised in 30 minutes, one of four simulated enterprises against another."""
    found = {}
    for name in ENTERPRISES[: 2 if quick else None]:
        with lzma.open(folder / f"{name}_sessions.csv.xz", "rt", encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        times = _alert_times(folder.parent / f"{name}_alerts.csv.xz")
        events, labels = [r["events"].split() for r in rows], [int(r["label"]) for r in rows]
        gaps = [_gaps(times[(r["ip"], int(r["window_start"]))][: len(e)]) for r, e in zip(rows, events)]
        benign = [n for n, label in enumerate(labels) if not label]
        found[name] = _site(
            name, [events[n] for n in benign], events, labels, [gaps[n] for n in benign], gaps
        )
    with (folder / "alert_types.csv").open(encoding="utf-8", newline="") as lines:
        texts = {
            r["id"]: f"{r['short'].replace('-', ' ')} {r['example_name']}" for r in csv.DictReader(lines)
        }
    tables = {"AIT, another enterprise": [(a, b) for a in found for b in found if a != b]}
    return Group("ait", found, tables, texts)


def hdfs(folder: Path) -> Group:
    """HDFS blocks, logdeep's split; of the test a fixed draw of each label."""
    with gzip.open(
        folder / "hdfs_test_normal_sampleA_11151.csv.gz", "rt", encoding="utf-8", newline=""
    ) as lines:
        normal = [row["events"].split() for row in csv.DictReader(lines)]
    abnormal = _lines(folder / "hdfs_test_abnormal.gz")
    dice = np.random.default_rng(0)
    drawn = [[part[i] for i in dice.permutation(len(part))[:HDFS_TESTED]] for part in (normal, abnormal)]
    labels = [0] * len(drawn[0]) + [1] * len(drawn[1])
    site = _site("hdfs", _lines(folder / "hdfs_train.gz"), drawn[0] + drawn[1], labels)
    return Group("hdfs", {"hdfs": site}, {"HDFS": [("hdfs", "hdfs")]}, {})


def listed(folder: Path, name: str) -> Group:
    """One of loghub's sets: half of the benign sessions train and validate."""
    file = name.lower()
    benign = _lines(folder / f"{file}_train.gz") + _lines(folder / f"{file}_test_normal.gz")
    abnormal = _lines(folder / f"{file}_test_abnormal.gz")
    order = np.random.default_rng(0).permutation(len(benign))
    half = len(benign) // 2
    rest = [benign[row] for row in order[half:]]
    labels = [0] * len(rest) + [1] * len(abnormal)
    site = _site(name, [benign[row] for row in order[:half]], rest + abnormal, labels)
    return Group(name, {name: site}, {name: [(name, name)]}, {})


def _alert_times(path: Path) -> Dict[Tuple[str, int], List[float]]:
    """(IP, beginning of the half hour) -> times of its alerts, in the order of the file."""
    found: Dict[Tuple[str, int], List[float]] = {}
    with lzma.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            time = float(row["time"])
            found.setdefault((row["ip"], int(time // 1800) * 1800), []).append(time)
    return found


def _gaps(instants: Sequence[float]) -> List[int]:
    waits = np.diff(np.asarray(instants), prepend=instants[0])
    return np.searchsorted(GAP_BOUNDS, waits, side="right").tolist()


def _site(
    name: str,
    benign: Sessions,
    test: Sessions,
    labels: Sequence[int],
    benign_gaps: Optional[Gaps] = None,
    test_gaps: Optional[Gaps] = None,
) -> Site:
    order = np.random.default_rng(0).permutation(len(benign))
    held_back = round(VALIDATION_SHARE * len(benign))
    training, validation = order[held_back:], order[:held_back]
    gaps = None
    if benign_gaps is not None and test_gaps is not None:
        gaps = ([benign_gaps[row] for row in training], [benign_gaps[row] for row in validation], test_gaps)
    return Site(
        name,
        [benign[row] for row in training],
        [benign[row] for row in validation],
        test,
        np.array(labels, dtype=np.int64),
        gaps,
    )


def _events(site: Site) -> List[str]:
    return [e for part in (site.training, site.validation, site.test) for session in part for e in session]


def _lines(path: Path) -> Sessions:
    """One session on each line: ``[key,]event event ...``."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [line.rpartition(",")[2].split() for line in lines]
    return [events for events in found if events]
