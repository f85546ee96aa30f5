"""What a study's report says in rows and sentences, the same on the page and in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.counting import count
from stackyard.reports.quantities import NOT_MEASURED, quantity
from stackyard.tuning.folder import name_of
from stackyard.tuning.report import wording
from stackyard.tuning.report.report import Ended, StudyReport
from stackyard.tuning.report.settings import StudySettings
from stackyard.tuning.study import Packing
from stackyard.tuning.trial import Trial

NONE_COMPLETED = "No trial has completed: there is no best one."
ENDED_HEADER = [
    "criterion",
    "what it did",
    "limit",
    "trials",
    "CPU time used until then",
    "CPU time saved (estimate)",
    "estimated of",
]
SAVED_NOTE = (
    "Saved is what those trials would have used beyond what they did use, as all trials of the study say in "
    "hindsight. It is an estimate: nobody ran them to "
    "their end."
)
ACCURACY_HEADER = [
    "predicted",
    "when",
    "median error",
    "90th percentile",
    "of trials",
    "within the 90 % interval",
    "of",
]
#: Criteria that a sentence names.
_MOST_ENDED = 5
_WHEN = {False: "before the start", True: "after the first steps"}


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def given(trial: Trial) -> str:
    """A trial's parameters on one line."""
    return wording.parameters(trial.parameters)


def summary(report: StudyReport) -> str:
    """Where the study stands, in one or two sentences."""
    study = report.study
    states = ", ".join(f"{n:,} {state}" for state, n in report.counts.items() if n)
    message = f" ({study.message})" if study.message else ""
    return (
        f"{study.name}: {study.state}{message}. {count(len(report.trials), 'trial')}"
        + (f": {states}" if states else "")
        + f". {quantity(report.cpu_seconds, 's')} of CPU in {quantity(study.wall_seconds, 's')}."
    )


def searched(report: StudyReport) -> list[tuple[str, str]]:
    """What was searched, how and where: a name and words for each."""
    rows = sought(report.found.settings)
    rows += [("changed on the way", line) for line in report.study.changes]
    return rows + list(report.found.axes.items())


def sought(told: StudySettings) -> list[tuple[str, str]]:
    """What a study file says of what is searched and how: a name and words for each."""
    search, budget = told.search, told.budget
    rows = [(f"parameter {one.name}", wording.dimension(one)) for one in told.space]
    rows += [
        (
            f"objective {wording.label(name)}",
            ("as great as possible" if more else "as small as possible")
            + (", the best on the way" if name in told.best_of_course else ""),
        )
        for name, more in told.directions.items()
    ]
    rows += [
        (f"limit of a trial: {wording.label(name)}", wording.amount(limit, name))
        for name, limit in told.of_a_trial.items()
    ]
    bounds = [
        *([count(budget.trials, "trial")] if budget.trials else []),
        *([f"{quantity(budget.cpu_seconds, 's')} of CPU"] if budget.cpu_seconds else []),
        *([f"{quantity(budget.wall_seconds, 's')} of wall time"] if budget.wall_seconds else []),
    ]
    rows.append(("budget", ", ".join(bounds) or "none"))
    settings = ", ".join(f"{name} {value:g}" for name, value in search.pruner_settings.items())
    rows += [
        ("sampler", search.sampler),
        ("pruner", search.pruner + (f" ({settings})" if settings else "")),
        ("seed", str(search.seed)),
    ]
    how = f"trials predicted to break a limit; {100 * search.check_share:g} % of them are run all the same"
    rows += [("skipping", how if search.skip else "off"), ("side by side", _packing(told.packing))]
    return rows


def _packing(told: Packing) -> str:
    parts = [
        "as many as fit" if told.at_once is None else f"{count(told.at_once, 'trial')} at most",
        *([f"cores of each: {told.cores:g}"] if told.cores else []),
        *([f"of all: {told.total_cores:g}"] if told.total_cores else []),
        *([f"memory of all: {quantity(told.memory_bytes, 'B')}"] if told.memory_bytes else []),
    ]
    return ", ".join(parts)


def notes(report: StudyReport) -> list[str]:
    """What the records of runs note, each with how many of them do."""
    return [f"{note} ({count(n, 'run')})" for note, n in report.found.notes.items()]


def ended_rows(report: StudyReport) -> list[list[str]]:
    """A row for each criterion that ended trials or kept them from starting."""
    return [
        [
            wording.label(one.criterion),
            _did(one),
            wording.amount(one.limit, one.criterion),
            f"{one.trials:,}",
            quantity(one.cpu_seconds, "s"),
            quantity(one.saved_cpu_seconds, "s"),
            _estimated(one),
        ]
        for one in report.ended
    ]


def _did(one: Ended) -> str:
    if one.state == "skipped":
        return "skipped before the start, as predicted"
    return "stopped after the first steps, as predicted" if one.kind == "predicted" else "stopped"


def short_ended(report: StudyReport) -> str:
    """What was stopped and skipped, and what that saved, in a sentence."""
    parts = [
        f"{one.trials:,} {_did(one)} ({wording.label(one.criterion)})" for one in report.ended[:_MOST_ENDED]
    ]
    saved = [one.saved_cpu_seconds for one in report.ended if one.saved_cpu_seconds is not None]
    more = f", estimated to have saved {quantity(sum(saved), 's')} of CPU" if saved else ""
    return f"{', '.join(parts)}{more}." if parts else ""


def _estimated(one: Ended) -> str:
    return f"{one.predicted:,} of {one.trials:,}"


def accuracy_rows(report: StudyReport) -> list[list[str]]:
    """A row for each quantity that was predicted and came, before the start and while trials ran."""
    return [
        [
            wording.label(one.quantity),
            _WHEN[early],
            _percent(one.median_error_percent),
            _percent(one.p90_error_percent),
            f"{one.trials:,}",
            _percent(one.coverage_percent),
            f"{one.decided:,}",
        ]
        for early, table in ((False, report.ahead), (True, report.early))
        for one in table
    ]


def _percent(value: float | None) -> str:
    return NOT_MEASURED if value is None else quantity(value, "%")


def skipped(report: StudyReport) -> str:
    """What became of what was predicted to break a limit."""
    seen = report.skipped
    if not seen.checked:
        return f"{count(seen.skipped, 'trial')} skipped; none of those was run all the same to see."
    wrongly = seen.wrongly_percent or 0.0
    return (
        f"{count(seen.skipped, 'trial')} skipped. {count(seen.checked, 'further trial')} ran all the same, to see: "
        f"{seen.wrongly:,} of them kept every limit ({wrongly:.3g} %)."
    )


def overhead(report: StudyReport) -> str:
    """The tuner's own time."""
    seen = report.overhead
    if seen is None:
        return ""
    return (
        f"The tuner's own time for a trial, beside its run: median {quantity(seen.median_seconds, 's')}, 90th "
        f"percentile {quantity(seen.p90_seconds, 's')}, {quantity(seen.total_seconds, 's')} over "
        f"{count(seen.trials, 'trial')}."
    )


def simulated(report: StudyReport) -> list[str]:
    """What is measured by simulated counters, in words."""
    return [wording.label(name) for name in report.found.simulated]


def footnotes(report: StudyReport) -> list[str]:
    """What a reader has to know of the figures."""
    found = report.found
    notes = []
    named = simulated(report)
    if named:
        notes.append(
            f"Simulated: the counters of {' and of '.join(named)} are simulated, no figure of theirs was "
            "measured."
        )
    if 0 < found.records_read < found.runs:
        notes.append(f"How and where: from {found.records_read:,} of {count(found.runs, 'run')}.")
    notes.append("1 MB is 1,000,000 bytes.")
    return notes


def foremost(report: StudyReport, most: int) -> list[Trial]:
    """At most so many trials, in the order of their numbers.

    Those that count: the front, then the best of the first objective up to half, then the latest.
    """
    if len(report.trials) <= most:
        return list(report.trials)
    chosen = {trial.number: trial for trial in report.front[:most]}
    first, sign = report.first, -1 if report.objectives.get(report.first) else 1
    completed = [t for t in report.trials if t.state == "completed" and first in t.values]
    for trial in sorted(completed, key=lambda t: sign * t.values[first]):
        if len(chosen) >= most // 2:
            break
        chosen.setdefault(trial.number, trial)
    for trial in reversed(report.trials):
        if len(chosen) >= most:
            break
        chosen.setdefault(trial.number, trial)
    return [chosen[number] for number in sorted(chosen)]


def left_out(report: StudyReport, shown: int) -> str:
    """What a table with so many trials does not show; empty: it has all."""
    total = len(report.trials)
    if shown >= total:
        return ""
    return (
        f"{shown:,} of {total:,} trials: the best of {wording.label(report.first)} and the latest. "
        "All are in report.csv."
    )


def best_line(report: StudyReport, trial: Trial) -> str:
    """A trial of the front in one line."""
    values = ", ".join(
        f"{wording.label(name)} {wording.amount(trial.values.get(name), name)}" for name in report.objectives
    )
    return f"{name_of(trial.number)}: {values} with {given(trial)}"


def bests(report: StudyReport, most: int) -> Sequence[str]:
    """The front in lines."""
    return [best_line(report, trial) for trial in report.front[:most]]
