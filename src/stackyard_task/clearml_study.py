"""What the task of a study shows: charts, progress, the best parameters, the trials with their tasks, the report.

What there is to show comes as lines of ``studies.StudyLine`` in a file that the tuner writes. How far they have been
shown is kept beside it, so a study that goes on elsewhere in time shows the rest. Speaks through ``api`` alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from stackyard_task import handing_in, records
from stackyard_task.api import ApiError, Server, Unreachable
from stackyard_task.clearml_results import Results, Upload
from stackyard_task.records import RecordError
from stackyard_task.studies import (
    QUEUE_TAG,
    RUNS_PROJECT,
    STUDY_FILE,
    STUDY_TAG,
    TEMPLATE_TAG,
    TEMPLATES_PROJECT,
    StudyLine,
    TrialTold,
    project_of,
)

#: Projects that a clone of the template lies in at first.
FIRST_PROJECTS = (TEMPLATES_PROJECT, RUNS_PROJECT)
#: Configuration objects: the best trials as JSON, and a line for each trial.
BEST, TRIALS = "Best", "Trials"
#: Section of a task's user properties, and how those begin that say the best.
PROPERTIES, _BEST = "properties", "best_"
#: What a clone of the template is called, unless somebody named it.
_UNNAMED = re.compile(r"(?i)(clone of )*tune( \(?\d+\)?)?")
#: Of the trials, so many are listed, the newest; and of parameters so many become properties.
MOST_LISTED, _MOST_PROPERTIES, _MOST_LETTERS = 500, 50, 200
#: Lines of a file that are read at once, and events in one call.
_PIECE_BYTES, _BATCH = 4 << 20, 500
#: Files that a study leaves in its folder, by kind; the last that is there stands first on the page.
LEFT = {
    "report.html": "HTML",
    "report.json": "JSON",
    "report.csv": "CSV",
    "report.md": "text",
    STUDY_FILE: "JSON",
}
#: Trials' tasks that are asked to end, at most, and the statuses of those under way.
_MOST_ENDED, _UNDER_WAY = 500, ("queued", "in_progress")


class StudyTask:
    """The task of a study, as it shows the study.

    Args:
        server: where the task is.
        task: its document: id, name, project, tags.
        told: the file of lines.
        shown: the file that says how many bytes of it have been shown.
    """

    def __init__(self, server: Server, task: Mapping[str, Any], told: Path, shown: Path) -> None:
        self.server, self._task, self._id = server, task, str(task["id"])
        self._told, self._shown = told, shown
        self._read = 0
        self._sent = _number(shown)
        self._trials: Dict[str, TrialTold] = {}
        self._best: List[str] = []
        self._percent: Optional[int] = None
        self._events: List[Dict[str, Any]] = []
        #: What stands on the server: of the percentage, the best, and the number of trials.
        self._standing: Dict[str, Any] = {}
        self._placed = self._complained = False

    def forget(self) -> None:
        """Remove what another run of the study left on the task, as of one that this task was cloned from.

        Raises:
            ApiError: the server does not answer, or refuses.
        """
        held = handing_in.table(self._task, "configuration")
        names = [name for name in (BEST, TRIALS) if name in held]
        if names:
            self.server.call("tasks.delete_configuration", task=self._id, configuration=names, force=True)
        properties = handing_in.table(handing_in.table(self._task, "hyperparams"), PROPERTIES)
        gone = [{"section": PROPERTIES, "name": name} for name in properties if name.startswith(_BEST)]
        if gone:
            self.server.call("tasks.delete_hyper_params", task=self._id, hyperparams=gone, force=True)

    def show(self) -> bool:
        """Show what has been told since; whether all of it is shown. Where the server is away, it waits."""
        whole = self._take()
        try:
            for begin in range(0, len(self._events), _BATCH):
                self.server.call_lines("events.add_batch", self._events[begin : begin + _BATCH])
            self._events = []
            self._edit()
        except Unreachable:
            return False
        except ApiError as error:
            if not self._complained:
                print(f"what the study does cannot be shown ({error})", file=sys.stderr, flush=True)
            self._complained, self._events = True, []
        if self._read > self._sent:
            self._sent = self._read
            with contextlib.suppress(OSError):  # then the same is shown again
                self._shown.write_text(str(self._sent), encoding="utf-8")
        return whole

    def leave(self, folder: Path) -> None:
        """Leave the report of a study, and its file, as artifacts.

        Raises:
            NotDelivered: the server does not take them.
        """
        there = [
            Upload(name, folder / name, kind, f"{name} of the study")
            for name, kind in LEFT.items()
            if (folder / name).is_file()
        ]
        if there:
            Results(self.server, self._task).leave(there)

    def end_trials(self) -> None:
        """Ask the tasks of trials that are still under way to end."""
        found = self.server.call(
            "tasks.get_all_ex",
            parent=self._id,
            status=list(_UNDER_WAY),
            only_fields=["id"],
            page=0,
            page_size=_MOST_ENDED,
            search_hidden=True,
        ).get("tasks")
        ids = [str(task["id"]) for task in found or [] if isinstance(task, dict)]
        for id in ids:
            with contextlib.suppress(ApiError):
                self.server.call("tasks.stop", task=id, status_reason="its study was ended")

    # -- underneath --------------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take in the lines that are there; whether those were all."""
        try:
            with records.opened(self._told) as stream:
                stream.seek(self._read)
                piece = stream.read(_PIECE_BYTES)
        except OSError:
            return True  # nothing has been told yet
        ended = piece.rfind(b"\n") + 1
        for text in piece[:ended].splitlines():
            self._read += len(text) + 1
            with contextlib.suppress(RecordError):
                where = self._told.name
                line = records.from_json(
                    StudyLine, records.parse(text.decode("utf-8", "replace"), where), where
                )
                self._add(line)
        return len(piece) < _PIECE_BYTES

    def _add(self, line: StudyLine) -> None:
        if line.percent is not None:
            self._percent = line.percent
        if line.best is not None:
            self._best = line.best
        if line.trial is not None:
            self._trials[line.trial.name] = line.trial
        if line.study and not self._placed:
            self._place(line.study)
        if self._read <= self._sent:
            return
        for scalar in line.scalars:
            self._events.append(
                handing_in.event(
                    self._id,
                    "training_stats_scalar",
                    scalar.title,
                    scalar.series,
                    iter=scalar.iteration,
                    value=scalar.value,
                )
            )

    def _place(self, study: str) -> None:
        """Move a clone of the template to where the trials of its study lie, under the study's name."""
        self._placed = True
        project, name = self._task.get("project"), str(self._task.get("name") or "")
        if not isinstance(project, dict) or project.get("name") not in FIRST_PROJECTS:
            return
        tags = [
            tag
            for tag in self._task.get("tags") or []
            if tag != TEMPLATE_TAG and not str(tag).startswith(QUEUE_TAG)
        ]
        called = study if _UNNAMED.fullmatch(name) and len(study) >= 3 else name
        try:
            self.server.call("tasks.move", ids=[self._id], project_name=project_of(study))
            self.server.call(
                "tasks.edit", task=self._id, name=called, tags=[*tags, f"{STUDY_TAG}{study}"], force=True
            )
        except ApiError as error:
            print(f"the task stays where it is ({error})", file=sys.stderr, flush=True)

    def _edit(self) -> None:
        """Bring what stands on the task up to date."""
        if self._percent is not None and self._standing.get("progress") != self._percent:
            self.server.edit_runtime(self._id, {"progress": str(self._percent)})
            self._standing["progress"] = self._percent
        if self._best and self._standing.get(BEST) != self._best:
            best = [self._trials[name] for name in self._best if name in self._trials]
            text = json.dumps([records.to_json(trial) for trial in best], indent=1)
            self._configure(BEST, "json", text)
            if best:
                self.server.call(
                    "tasks.edit_hyper_params",
                    task=self._id,
                    hyperparams=_properties(best[0]),
                    replace_hyperparams="none",
                    force=True,
                )
            self._standing[BEST] = list(self._best)
        if self._standing.get(TRIALS, 0) != len(self._trials):
            self._configure(TRIALS, "text", _listed(list(self._trials.values())))
            self._standing[TRIALS] = len(self._trials)

    def _configure(self, name: str, kind: str, text: str) -> None:
        one = {"name": name, "type": kind, "value": text}
        self.server.call(
            "tasks.edit_configuration",
            task=self._id,
            configuration=[one],
            replace_configuration=False,
            force=True,
        )


def _properties(best: TrialTold) -> List[Dict[str, str]]:
    """The best trial as user properties: its name, its task, what it found, and its parameters."""
    said: Dict[str, Any] = {f"{_BEST}trial": best.name, f"{_BEST}task": best.task or ""}
    said.update((f"{_BEST}{name}", f"{value:.6g}") for name, value in best.values.items())
    parameters = list(best.parameters.items())[:_MOST_PROPERTIES]
    said.update((f"{_BEST}{name}", value) for name, value in parameters if f"{_BEST}{name}" not in said)
    return [
        {"section": PROPERTIES, "name": name, "value": str(value)[:_MOST_LETTERS], "type": ""}
        for name, value in said.items()
    ]


def _listed(trials: List[TrialTold]) -> str:
    """A line for each trial, with the id of its task."""
    lines = []
    for trial in trials[-MOST_LISTED:]:
        values = ", ".join(f"{name} {value:.6g}" for name, value in trial.values.items())
        parts = (f"{trial.name} {trial.state}", values, trial.task and f"task {trial.task}", trial.reason)
        lines.append("; ".join(part for part in parts if part))
    left = len(trials) - MOST_LISTED
    return "\n".join(([f"({left} earlier trials are left out)"] if left > 0 else []) + lines)


def _number(file: Path) -> int:
    try:
        return max(0, int(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return 0
