"""What of a study is printed: what is searched, a trial in a line or with all that is known of it, where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard.tuning.folder import StudyFolder, name_of
from stackyard.tuning.report import recorded, wording
from stackyard.tuning.report.said import sought
from stackyard.tuning.report.settings import StudySettings
from stackyard.tuning.study import TRIAL_AXIS, Study, plain
from stackyard.tuning.trial import STATES, Trial
from stackyard_task import records


def line(trial: Trial) -> str:
    """A trial in one line."""
    if trial.state == "completed":
        return _found(trial)
    why = wording.reason(trial)
    return f"{_found(trial)}  {trial.state.upper()}{f': {why}' if why else ''}"


def _found(trial: Trial) -> str:
    """What a trial was given, found and used."""
    values = "  ".join(
        f"{wording.label(name)} {wording.amount(value, name)}" for name, value in trial.values.items()
    )
    costs = ", ".join(
        f"{wording.amount(trial.used[name], name)} of {of}"
        for name, of in (("cpu_seconds", "CPU"), ("ram_bytes", "RAM"), ("gpu_memory_bytes", "GPU memory"))
        if name in trial.used and name not in trial.values
    )
    return "  ".join(
        part for part in (name_of(trial.number), wording.parameters(trial.parameters), values, costs) if part
    )


def whole(trial: Trial, place: StudyFolder) -> str:
    """A trial with all that is known of it."""
    rows = [_found(trial), f"  {'state':<24} {trial.state}"]
    if trial.reason is not None:
        rows.append(f"  {'reason':<24} {trial.reason.kind}: {wording.reason(trial)}")
    named = dict.fromkeys([*trial.used, *trial.predicted, *trial.predicted_early])
    for name in named:
        at_least = "at least " if trial.state == "stopped" and name in trial.used else ""
        rows.append(f"  {wording.label(name):<24} {at_least}{wording.amount(trial.used.get(name), name)}")
        for when, told in (
            ("before the start", trial.predicted.get(name)),
            (wording.early_share(trial), trial.predicted_early.get(name)),
        ):
            if told is not None:
                rows.append(f"  {'':<24} predicted {when}: {wording.interval(told, name)}")
    if trial.overhead_seconds is not None:
        own = "tuner's own time"
        rows.append(f"  {own:<24} {quantity(trial.overhead_seconds, 's')}")
    rows += [f"  {'note':<24} {note}" for note in recorded.notes_of(place, [trial])]
    rows.append(f"  {'run':<24} {place.run_of(trial) if trial.folder else '– (never begun)'}")
    return "\n".join(rows)


def intention(study: Study) -> dict[str, Any]:
    """What a study is going to search, as JSON: as study.json is to hold it, and what is the same in all trials."""
    return {
        "name": study.name,
        "title": study.scenario.title,
        "combinations": study.space.count,
        **plain(study),
        "axes": {axis: values[0] for axis, values in study.scenario.axes.items() if axis != TRIAL_AXIS},
    }


def laid_out(study: Study, out: Path) -> str:
    """The same for people, with its ranges, objectives, budget, pruner and packing."""
    rows = sought(records.from_json(StudySettings, plain(study)))
    return "\n".join([intended(study, out), *(f"  {name:<32} {words}" for name, words in rows)])


def intended(study: Study, out: Path) -> str:
    """The same in a line."""
    space, said = study.space, records.from_json(StudySettings, plain(study))
    what = f"{len(space.names)} dimensions" if space.count is None else count(space.count, "combination")
    limits = ", ".join(
        f"{wording.label(name)} {wording.amount(limit, name)}" for name, limit in said.of_a_trial.items()
    )
    return (
        f"{study.name}: {study.search.sampler} over {what} of {', '.join(space.names)}"
        + (f", limits {limits}" if limits else "")
        + f", in {out}"
    )


def stated(said: Mapping[str, Any]) -> str:
    """Where a study stands, as ``tuning.status`` has it, for people."""
    states = ", ".join(f"{said[state]} {state}" for state in STATES if said[state])
    why = f" ({said['message']})" if said["message"] else ""
    rows = [f"{said['name']}: {said['state']}, {states or 'no trial yet'}{why}"]
    if said["stopped_by"]:
        rows.append(
            "stopped by: " + ", ".join(f"{wording.label(n)} {c}" for n, c in said["stopped_by"].items())
        )
    rows += [f"changed {line}" for line in said["changes"]]
    rows.append(f"used: {quantity(said['cpu_seconds'], 's')} of CPU in {quantity(said['wall_seconds'], 's')}")
    left = [_left(name, rest) for name, rest in said["left"].items()]
    if left:
        rows.append(f"left: {', '.join(left)}")
    rows += [f"under way: {_going(one)}" for one in said["under_way"]]
    rows += [f"note: {note} ({count(n, 'trial')})" for note, n in said["notes"].items()]
    rows += ["best: " + line(records.from_json(Trial, trial)) for trial in said["best"]]
    return "\n".join(rows)


def _left(name: str, left: float) -> str:
    if name == "trials":
        return count(int(left), "trial")
    return f"{quantity(left, 's')} of {'CPU' if name == 'cpu_seconds' else 'wall time'}"


def _going(one: Mapping[str, Any]) -> str:
    """A trial under way in one line."""
    share, value, cpu = one["share"], one["value"], one["cpu_seconds"]
    told = [
        *([] if share is None else [f"{100 * share:.0f} % done"]),
        *([] if value is None else [f"{one['objective']} {wording.amount(value, one['objective'])}"]),
        *([] if cpu is None else [f"{quantity(cpu, 's')} of CPU"]),
    ]
    return f"{one['name']}  {wording.parameters(one['parameters'])}  {', '.join(told) or 'nothing told yet'}"
