"""Studies as they stand now: read from their folders, bounded, without following a link. Nothing is written.

A trial's file is read again only when it changed, so a page that is asked for again and again costs little.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from stackyard.errors import BadInputError
from stackyard.tuning import damage
from stackyard.tuning.folder import KIND, StudyFile, is_trial
from stackyard.tuning.report import settings
from stackyard.tuning.report.settings import StudySettings
from stackyard.tuning.space import Dimension
from stackyard.tuning.trial import Trial
from stackyard.web.run_folders import RunFolders, opened_file
from stackyard_task import records
from stackyard_task.studies import STUDY_FILE

#: A study's own file, a trial's file, trials of a study, seconds of one look.
MOST_STUDY_BYTES, MOST_TRIAL_BYTES, MOST_TRIALS, MOST_SECONDS = 4 << 20, 1 << 20, 10_000, 4.0
#: Studies whose trials are remembered.
MOST_KEPT = 4
#: A study that runs writes its file every few seconds; after so many without it nobody tunes it any more.
SILENT_SECONDS = 60.0
#: What a page of a study does not show, and what most of a trial's file is.
_HEAVY = ("course", "readings")


@dataclass(frozen=True)
class StudyNow:
    """One study at this moment."""

    study: StudyFile
    settings: StudySettings
    #: In the order of their numbers.
    trials: list[Trial]
    #: Files of trials that are not read yet, and those that cannot be.
    unread: int
    damaged: int
    #: Since study.json was written.
    silent_seconds: float

    @property
    def under_way(self) -> bool:
        """Whether its tuner is at it."""
        return self.study.state == "running" and self.silent_seconds < SILENT_SECONDS


@dataclass
class _Kept:
    """Name of a trial's file -> when it was changed, and the trial; ``None``: it cannot be read."""

    trials: dict[str, tuple[tuple[int, int], Trial | None]] = field(default_factory=dict)


class StudyFolders:
    """The studies below some folders.

    Args:
        folders: where they lie.
    """

    def __init__(self, folders: RunFolders) -> None:
        self._folders = folders
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def study(self, place: str, name: str) -> tuple[StudyFile, StudySettings, float] | None:
        """What study.json of a folder says, and when it was written in epoch seconds; ``None``: it is none."""
        with self._folders.opened(place, name) as folder:
            if folder is None:
                return None
            found = _read(folder, STUDY_FILE, MOST_STUDY_BYTES)
            if found is None:
                return None
            with suppress(records.RecordError, BadInputError):
                study = records.from_json(StudyFile, found[0], STUDY_FILE)
                if study.kind == KIND:
                    return study, settings.read(study), found[1]
        return None

    def now(self, place: str, name: str) -> StudyNow | None:
        """A study with its trials; ``None``: there is none."""
        said = self.study(place, name)
        if said is None:
            return None
        with self._lock:
            kept = self._kept.setdefault((place, name), _Kept())
            self._kept.move_to_end((place, name))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            unread = self._look(place, name, kept, damage.kept_space(said[0].study))
            trials = [trial for _, trial in kept.trials.values() if trial is not None]
            damaged = len(kept.trials) - len(trials)
        trials.sort(key=lambda trial: trial.number)
        return StudyNow(said[0], said[1], trials, unread, damaged, max(0.0, time.time() - said[2]))

    def _look(self, place: str, name: str, kept: _Kept, space: tuple[Dimension, ...] | None) -> int:
        """Read what changed since the last look; how many files are left for the next."""
        with self._folders.opened(place, name) as folder:
            if folder is None:
                return 0
            try:
                runs = os.open(
                    "runs", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
                )
            except OSError:
                kept.trials.clear()
                return 0
            try:
                return _take(runs, kept, space)
            finally:
                os.close(runs)


def _take(runs: int, kept: _Kept, space: tuple[Dimension, ...] | None) -> int:
    stamps: dict[str, tuple[int, int]] = {}
    with os.scandir(runs) as entries:
        for entry in entries:
            if not is_trial(entry.name):
                continue
            if len(stamps) >= MOST_TRIALS:
                break
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                stamps[entry.name] = (status.st_mtime_ns, status.st_size)
    for gone in kept.trials.keys() - stamps.keys():
        del kept.trials[gone]
    changed = [name for name, stamp in stamps.items() if kept.trials.get(name, (None,))[0] != stamp]
    until = time.monotonic() + MOST_SECONDS
    for place, name in enumerate(sorted(changed)):
        if time.monotonic() > until:
            return len(changed) - place
        kept.trials[name] = (stamps[name], _trial(runs, name, space))
    return 0


def _trial(runs: int, name: str, space: tuple[Dimension, ...] | None) -> Trial | None:
    found = _read(runs, name, MOST_TRIAL_BYTES)
    if found is None or not isinstance(found[0], dict):
        return None
    with suppress(records.RecordError):
        light = {key: value for key, value in found[0].items() if key not in _HEAVY}
        trial = records.from_json(Trial, light, name)
        return trial if damage.problem(trial, space) is None else None
    return None


def _read(folder: int, name: str, most_bytes: int) -> tuple[Any, float] | None:
    """What a JSON file holds, and when it was written; ``None``: it is none."""
    opened = opened_file(folder, name, most_bytes)
    if opened is None:
        return None
    with opened[0] as file, suppress(OSError, ValueError, RecursionError):
        return json.loads(file.read(most_bytes + 1)), os.fstat(file.fileno()).st_mtime
    return None
