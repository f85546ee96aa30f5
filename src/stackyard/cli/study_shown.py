"""What of a study is shown on a terminal: what is searched, each trial in a line, how far it is, the best."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from stackyard.cli.lines import Lines, Watcher, lines
from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard.tuning import fronts
from stackyard.tuning.folder import StudyFile, StudyFolder, name_of
from stackyard.tuning.prediction import readings
from stackyard.tuning.report import recorded
from stackyard.tuning.report import said as said_of
from stackyard.tuning.report.told import Told
from stackyard.tuning.report.told import read as read_told
from stackyard.tuning.report.wording import (
    LABELS,
    STATES,
    UNITS,
    amount,
    early_share,
    interval,
    label,
    reason,
)
from stackyard.tuning.space import Space
from stackyard.tuning.study import Study, plain
from stackyard.tuning.trial import Trial, best
from stackyard_task import records

#: Trials under way that are told of.
MOST_UNDER_WAY = 64
_BUDGET = ("trials", "cpu_seconds", "wall_seconds")


class TrialWatcher(Watcher):
    """One line per trial, with a star where it is the best so far, or on the front; below them how far it is."""

    def __init__(self, lines: Lines, study: Study) -> None:
        super().__init__(lines)
        self._study = study

    def begun(self, trial: Trial) -> None:
        """Trials are told when they end."""

    def look(self, running: Sequence[Trial], trials: Sequence[Trial], wall_seconds: float) -> None:
        """How far it is, what runs, and the best so far."""
        done, words = share(self._study, trials, wall_seconds)
        found = self._best(trials)
        first = self._study.objectives[0].name
        said = "" if found is None else f"  best {first} {found.values[first]:.6g} ({name_of(found.number)})"
        self._lines.show(f"{words}  {', '.join(name_of(t.number) for t in running)}{said}", done, 1.0)

    def over(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """One line."""
        objectives = {objective.name: objective.maximise for objective in self._study.objectives}
        best = fronts.front(trials, objectives)
        self.message(line(trial) + (" *" if any(one is trial for one in best) else ""))

    def _best(self, trials: Sequence[Trial]) -> Trial | None:
        first = self._study.objectives[0]
        return best(trials, first.name, first.maximise)


def watcher(console: Console, study: Study) -> TrialWatcher:
    """The watcher that suits where ``console`` prints to."""
    return TrialWatcher(lines(console), study)


def share(study: Study, trials: Sequence[Trial], wall_seconds: float) -> tuple[float, str]:
    """How much of the nearest bound of a study is used, from 0 to 1, and how far it is in words."""
    budget = study.budget
    over = sum(t.over and t.state != "skipped" for t in trials)
    cpu = sum(t.spent_cpu_seconds for t in trials)
    most = budget.trials or (study.space.count if study.search.sampler == "grid" else None)
    bounds = [
        (float(over), most, f"{over} of {most} trials"),
        (cpu, budget.cpu_seconds, f"{quantity(cpu, 's')} of {quantity(budget.cpu_seconds, 's')} of CPU"),
        (
            wall_seconds,
            budget.wall_seconds,
            f"{quantity(wall_seconds, 's')} of {quantity(budget.wall_seconds, 's')}",
        ),
    ]
    shares = [used / bound for used, bound, _ in bounds if bound]
    said = [words for _, bound, words in bounds if bound]
    return min(1.0, max(shares, default=0.0)), ", ".join(said) or count(over, "trial")


def line(trial: Trial) -> str:
    """A trial in one line."""
    if trial.state == "completed":
        return _found(trial)
    why = "" if trial.reason is None else trial.reason.message
    # "stopped at its limit of ...", "skipped: its ...": the state is said once
    said = why.removeprefix(trial.state) if why.startswith(trial.state) else f": {why}" if why else ""
    return f"{_found(trial)}  {trial.state.upper()}{said}"


def _found(trial: Trial) -> str:
    """What a trial was given, found and used."""
    given = " ".join(f"{name}={_value(value)}" for name, value in trial.parameters.items())
    values = "  ".join(
        f"{LABELS[name]} {quantity(value, UNITS[name])}" if name in UNITS else f"{name} {value:.6g}"
        for name, value in trial.values.items()
    )
    costs = ", ".join(
        f"{quantity(trial.used[name], UNITS[name])} of {of}"
        for name, of in (("cpu_seconds", "CPU"), ("ram_bytes", "RAM"), ("gpu_memory_bytes", "GPU memory"))
        if name in trial.used and name not in trial.values
    )
    return "  ".join(part for part in (name_of(trial.number), given, values, costs) if part)


def whole(trial: Trial, place: StudyFolder) -> str:
    """A trial with all that is known of it."""
    rows = [_found(trial), f"  {'state':<24} {trial.state}"]
    if trial.reason is not None:
        rows.append(f"  {'reason':<24} {trial.reason.kind}: {reason(trial)}")
    named = dict.fromkeys([*trial.used, *trial.predicted, *trial.predicted_early])
    for name in named:
        at_least = "at least " if trial.state == "stopped" and name in trial.used else ""
        rows.append(f"  {LABELS[name]:<24} {at_least}{quantity(trial.used.get(name), UNITS[name])}")
        for when, told in (
            ("before the start", trial.predicted.get(name)),
            (early_share(trial), trial.predicted_early.get(name)),
        ):
            if told is not None:
                rows.append(f"  {'':<24} predicted {when}: {interval(told, name)}")
    if trial.overhead_seconds is not None:
        own = "tuner's own time"
        rows.append(f"  {own:<24} {quantity(trial.overhead_seconds, 's')}")
    rows += [f"  {'note':<24} {note}" for note in recorded.notes_of(place, [trial])]
    rows.append(f"  {'run':<24} {place.run_of(trial) if trial.folder else '– (never begun)'}")
    return "\n".join(rows)


def as_json(trial: Trial) -> dict[str, Any]:
    """A trial as JSON, with its name."""
    return {"name": name_of(trial.number), **records.to_json(trial)}


def intention(study: Study) -> dict[str, Any]:
    """What a study is going to search, as JSON."""
    return {
        "name": study.name,
        "title": study.scenario.title,
        "combinations": study.space.count,
        "dimensions": list(study.space.names),
        "space": plain(study)["space"],
        "objectives": {o.name: "maximise" if o.maximise else "minimise" for o in study.objectives},
        "sampler": study.search.sampler,
        "pruner": study.search.pruner,
        "pruner_settings": dict(study.search.pruner_settings),
        "seed": study.search.seed,
        "limits": {**study.bounds(), **_slowing(study)},
        "budget": {
            name: value
            for name, value in (
                ("trials", study.budget.trials),
                ("cpu_seconds", study.budget.cpu_seconds),
                ("wall_seconds", study.budget.wall_seconds),
            )
            if value is not None
        },
        "packing": dataclasses.asdict(study.packing),
        "axes": {axis: values[0] for axis, values in study.scenario.axes.items() if axis != "trial"},
    }


def _slowing(study: Study) -> dict[str, float]:
    """The limit that is no quantity, where there is one."""
    return {} if study.limits.slowing is None else {"slowing": study.limits.slowing}


def laid_out(study: Study, out: Path) -> str:
    """What a study is going to search for people, with its ranges, objectives, budget, pruner and packing."""
    rows = said_of.sought(records.from_json(Told, plain(study)))
    return "\n".join([intended(intention(study), out), *(f"  {name:<32} {words}" for name, words in rows)])


def intended(said: Mapping[str, Any], out: Path) -> str:
    """The same for people."""
    combinations = said["combinations"]
    space = (
        f"{len(said['dimensions'])} dimensions"
        if combinations is None
        else count(combinations, "combination")
    )
    limits = ", ".join(f"{LABELS[name]} {amount(limit, name)}" for name, limit in said["limits"].items())
    return (
        f"{said['name']}: {said['sampler']} over {space} of {', '.join(said['dimensions'])}"
        + (f", limits {limits}" if limits else "")
        + f", in {out}"
    )


def status(study: StudyFile, trials: Sequence[Trial], place: StudyFolder) -> dict[str, Any]:
    """How far a study is, as JSON.

    Raises:
        BadInputError: its file says what no tuner writes.
    """
    told = read_told(study)
    states = {state: sum(t.state == state for t in trials) for state in STATES}
    stopped: dict[str, int] = {}
    for trial in trials:
        if trial.state == "stopped" and trial.reason is not None:
            name = trial.reason.quantity or trial.reason.kind
            stopped[name] = stopped.get(name, 0) + 1
    running = _under_way(study, trials, place, next(iter(told.objectives), ""))
    # the file of a trial under way does not have what it uses yet
    cpu = sum(t.spent_cpu_seconds for t in trials) + sum(one["cpu_seconds"] or 0.0 for one in running)
    budget = _bounds(told)
    used = {
        "trials": sum(t.state != "skipped" for t in trials),
        "cpu_seconds": cpu,
        "wall_seconds": study.wall_seconds,
    }
    return {
        "name": study.name,
        "title": study.title,
        "state": study.state,
        "message": study.message,
        "trials": len(trials),
        **states,
        "stopped_by": stopped,
        "cpu_seconds": cpu,
        "wall_seconds": study.wall_seconds,
        "budget": study.study.get("budget", {}),
        "left": {name: max(0, bound - used[name]) for name, bound in budget.items()},
        "under_way": running,
        "notes": recorded.notes_of(place, trials),
        "changes": study.changes,
        "best": [as_json(trial) for trial in front(study, trials)],
    }


def _bounds(told: Told) -> dict[str, float]:
    """The bounds of a study's budget; of a grid without one its combinations."""
    found = {name: bound for name, bound in told.budget.items() if bound is not None}
    space = Space(tuple(one.dimension for one in told.space))
    if "trials" not in found and told.search.sampler == "grid" and space.count is not None:
        found["trials"] = space.count
    return found


def _under_way(
    study: StudyFile, trials: Sequence[Trial], place: StudyFolder, first: str
) -> list[dict[str, Any]]:
    """What trials under way have done, as their runs tell; ``None``: not told yet."""
    found = []
    for trial in [trial for trial in trials if trial.state == "running"][:MOST_UNDER_WAY]:
        try:
            progress = records.read_json(records.Progress, place.run_of(trial) / records.PROGRESS_FILE)
        except (records.RecordError, OSError):
            if study.state != "running":
                continue  # nobody is at it any more
            progress = records.Progress()
        reading = readings.of(progress)
        point = progress.metrics.get(first)
        found.append(
            {
                "name": name_of(trial.number),
                "number": trial.number,
                "parameters": trial.parameters,
                "share": reading.share,
                "objective": first,
                "value": None if point is None else point.value,
                "cpu_seconds": reading.used.get("cpu_seconds"),
            }
        )
    return found


def stated(said: Mapping[str, Any]) -> str:
    """The same for people."""
    states = ", ".join(f"{said[state]} {state}" for state in STATES if said[state])
    why = f" ({said['message']})" if said["message"] else ""
    rows = [f"{said['name']}: {said['state']}, {states or 'no trial yet'}{why}"]
    if said["stopped_by"]:
        rows.append("stopped by: " + ", ".join(f"{label(n)} {c}" for n, c in said["stopped_by"].items()))
    rows += [f"changed {line}" for line in said["changes"]]
    rows.append(f"used: {quantity(said['cpu_seconds'], 's')} of CPU in {quantity(said['wall_seconds'], 's')}")
    left = [_left(name, said["left"][name]) for name in _BUDGET if name in said["left"]]
    if left:
        rows.append(f"left: {', '.join(left)}")
    rows += [f"under way: {_going(one)}" for one in said["under_way"]]
    rows += [f"note: {note} ({count(n, 'trial')})" for note, n in said["notes"].items()]
    for trial in said["best"]:
        rows.append("best: " + line(records.from_json(Trial, trial)))
    return "\n".join(rows)


def _left(name: str, left: float) -> str:
    if name == "trials":
        return count(int(left), "trial")
    return f"{quantity(left, 's')} of {'CPU' if name == 'cpu_seconds' else 'wall time'}"


def _going(one: Mapping[str, Any]) -> str:
    """A trial under way in one line."""
    given = " ".join(f"{name}={_value(value)}" for name, value in one["parameters"].items())
    share, value, cpu = one["share"], one["value"], one["cpu_seconds"]
    told = [
        *([] if share is None else [f"{100 * share:.0f} % done"]),
        *([] if value is None else [f"{one['objective']} {value:.6g}"]),
        *([] if cpu is None else [f"{quantity(cpu, 's')} of CPU"]),
    ]
    return f"{one['name']}  {given}  {', '.join(told) or 'nothing told yet'}"


def front(study: StudyFile, trials: Sequence[Trial]) -> list[Trial]:
    """The best trial, or with several objectives those that no other beats in all of them."""
    directions = {name: word == "maximise" for name, word in study.study.get("objectives", {}).items()}
    return fronts.front(trials, directions)


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
