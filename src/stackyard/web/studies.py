"""The room "Studies": searches for the best parameters below the folders of reports, also while they run."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard.tuning import fronts, progress
from stackyard.tuning.folder import StudyFile, name_of
from stackyard.tuning.report import said, wording
from stackyard.tuning.trial import STATES, Trial
from stackyard.web.run_folders import Found, RunFolders
from stackyard.web.section import Section
from stackyard.web.site import Site, Visit
from stackyard.web.study_folders import SILENT_SECONDS, StudyFolders, StudyNow

#: Studies of a list that are opened for their title, trials of a page, of the front.
MOST_TITLES, MOST_ROWS, MOST_FRONT = 50, 200, 20
#: How often the page of a study that runs is asked for again.
REFRESH_SECONDS = 5
#: Characters of a text of a trial.
_LONGEST = 300


def _routes(site: Site) -> Sequence[BaseRoute]:
    folders = RunFolders(site.folders)
    studies = StudyFolders(folders)

    def look() -> list[tuple[Found, str, str]]:
        """Each study with its title and state, those of the newest."""
        found = folders.found().studies
        listed = []
        for each in found[:MOST_TITLES]:
            read = studies.study(str(each.place), each.name)
            if read is not None:
                study, _, at = read
                listed.append((each, study.title or study.name, _state(study, max(0.0, time.time() - at))))
        return listed + [(each, each.name, "–") for each in found[MOST_TITLES:]]

    async def listed(visit: Visit) -> Response:
        found = await visit.short("studies", look)
        return await visit.page("studies.html", found=found, folders=[str(each) for each in site.folders])

    async def show(visit: Visit) -> Response:
        params = visit.request.path_params
        place, name = params["place"], params["name"]
        asked = functools.partial(studies.now, place, name)
        now = await visit.short(("study", place, name), asked)
        if now is None:
            return site.refusal(visit.request, visit, 404, "There is no such study.")
        there = await visit.short(("report", place, name), functools.partial(folders.files, place, name))
        report = f"/reports/show/{quote(place)}/{quote(name)}" if there else ""
        answer = await visit.page("study.html", name=name, report=report, **shown(now))
        if now.under_way or now.unread:
            answer.headers["refresh"] = str(REFRESH_SECONDS)
        return answer

    return [
        Route("/studies", site.showing(listed), methods=["GET"]),
        Route("/studies/show/{place}/{name:path}", site.showing(show), methods=["GET"]),
    ]


def shown(now: StudyNow) -> dict[str, Any]:
    """What the page of a study says, every number already in words."""
    study, trials = now.study, now.trials
    objectives = now.settings.directions
    columns = dict.fromkeys([*objectives, "cpu_seconds", "ram_bytes"])
    best = fronts.front(trials, objectives) if objectives else []
    share, words = progress.share(now.settings.budget, now.settings.combinations, trials, study.wall_seconds)
    states = [(state, sum(t.state == state for t in trials)) for state in STATES]
    latest = trials[-MOST_ROWS:][::-1]
    return {
        "title": study.title or study.name,
        "state": _state(study, now.silent_seconds),
        "message": study.message,
        "under_way": now.under_way,
        "silent": quantity(now.silent_seconds, "s"),
        "percent": round(100 * share),
        "progress": words,
        "used": quantity(sum(t.spent_cpu_seconds for t in trials), "s"),
        "wall": quantity(study.wall_seconds, "s"),
        "counts": [(f"{n:,}", state) for state, n in states if n],
        "several": len(objectives) > 1,
        "best": [_row(trial, columns) for trial in best[:MOST_FRONT]],
        "best_more": max(0, len(best) - MOST_FRONT),
        "columns": [wording.label(name) for name in columns],
        "rows": [_row(trial, columns) for trial in latest],
        "left": f"The latest {len(latest):,} of {count(len(trials), 'trial')}."
        if len(trials) > len(latest)
        else "",
        "unread": now.unread,
        "damaged": now.damaged,
    }


def _state(study: StudyFile, silent_seconds: float) -> str:
    return "silent" if study.state == "running" and silent_seconds >= SILENT_SECONDS else study.state


def _row(trial: Trial, columns: Iterable[str]) -> dict[str, Any]:
    reason = trial.reason.message if trial.reason is not None else ""
    return {
        "name": name_of(trial.number),
        "state": trial.state,
        "given": said.shortened(said.given(trial), _LONGEST),
        "figures": [wording.amount(trial.values.get(name, trial.used.get(name)), name) for name in columns],
        "reason": said.shortened(reason, _LONGEST),
    }


SECTION = Section(
    "Studies",
    "/studies",
    "Searches for the best parameters on this machine: how far each is, the best so far, its trials as they come.",
    _routes,
)
