"""What of a study is shown on a terminal: what is searched, each trial in a line, how far it is, the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from stackyard.cli.lines import Lines, lines
from stackyard.counting import count
from stackyard.reports.quantities import quantity
from stackyard.tuning import fronts
from stackyard.tuning.folder import StudyFile, name_of
from stackyard.tuning.report.wording import LABELS, STATES, UNITS
from stackyard.tuning.study import Study
from stackyard.tuning.trial import Trial, best
from stackyard_task import records


class TrialWatcher:
    """One line per trial, with a star where it is the best so far; below them how far the study is."""

    def __init__(self, lines: Lines, study: Study) -> None:
        self._lines, self._study = lines, study

    def __enter__(self) -> TrialWatcher:
        self._lines.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is shown as under way any more."""
        self._lines.__exit__(kind, error, trace)

    def message(self, text: str) -> None:
        """One line worth knowing."""
        self._lines.message(text)

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
        self.message(line(trial) + (" *" if self._best(trials) is trial else ""))

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
    given = " ".join(f"{name}={_value(value)}" for name, value in trial.parameters.items())
    values = "  ".join(f"{name} {value:.6g}" for name, value in trial.values.items() if name not in UNITS)
    costs = ", ".join(
        quantity(trial.used[name], UNITS[name]) + (" of CPU" if name == "cpu_seconds" else "")
        for name in ("cpu_seconds", "ram_bytes", "gpu_memory_bytes")
        if name in trial.used
    )
    state = "" if trial.state == "completed" else f"  {trial.state.upper()}"
    reason = f": {trial.reason.message}" if trial.reason is not None else ""
    return "  ".join(part for part in (name_of(trial.number), given, values, costs) if part) + state + reason


def whole(trial: Trial, run: Path) -> str:
    """A trial with all that is known of it."""
    rows = [line(trial), f"  state       {trial.state}"]
    if trial.reason is not None:
        rows.append(f"  reason      {trial.reason.kind}: {trial.reason.message}")
    for name, used in trial.used.items():
        at_least = "at least " if trial.state == "stopped" else ""
        rows.append(f"  {LABELS[name]:<18} {at_least}{quantity(used, UNITS[name])}{_predicted(trial, name)}")
    for name in trial.predicted:
        if name not in trial.used:
            rows.append(f"  {LABELS[name]:<18} –{_predicted(trial, name)}")
    if trial.overhead_seconds is not None:
        rows.append(f"  beyond its run     {quantity(trial.overhead_seconds, 's')}")
    rows.append(f"  run         {run if trial.folder else '– (never begun)'}")
    return "\n".join(rows)


def _predicted(trial: Trial, name: str) -> str:
    interval = trial.predicted.get(name)
    if interval is None:
        return ""
    low, value, high = (quantity(x, UNITS[name]) for x in (interval.low, interval.value, interval.high))
    return f"   predicted {value} [{low}, {high}]"


def intention(study: Study) -> dict[str, Any]:
    """What a study is going to search, as JSON."""
    return {
        "name": study.name,
        "title": study.scenario.title,
        "combinations": study.space.count,
        "dimensions": list(study.space.names),
        "objectives": {o.name: "maximise" if o.maximise else "minimise" for o in study.objectives},
        "sampler": study.search.sampler,
        "pruner": study.search.pruner,
        "limits": study.bounds(),
        "budget": {
            name: value
            for name, value in (
                ("trials", study.budget.trials),
                ("cpu_seconds", study.budget.cpu_seconds),
                ("wall_seconds", study.budget.wall_seconds),
            )
            if value is not None
        },
        "axes": {axis: values[0] for axis, values in study.scenario.axes.items() if axis != "trial"},
    }


def intended(said: Mapping[str, Any], out: Path) -> str:
    """The same for people."""
    combinations = said["combinations"]
    space = (
        f"{len(said['dimensions'])} dimensions"
        if combinations is None
        else count(combinations, "combination")
    )
    limits = ", ".join(
        f"{LABELS[name]} {quantity(limit, UNITS[name])}" for name, limit in said["limits"].items()
    )
    return (
        f"{said['name']}: {said['sampler']} over {space} of {', '.join(said['dimensions'])}"
        + (f", limits {limits}" if limits else "")
        + f", in {out}"
    )


def status(study: StudyFile, trials: Sequence[Trial]) -> dict[str, Any]:
    """How far a study is, as JSON."""
    states = {state: sum(t.state == state for t in trials) for state in STATES}
    stopped: dict[str, int] = {}
    for trial in trials:
        if trial.state == "stopped" and trial.reason is not None:
            name = trial.reason.quantity or trial.reason.kind
            stopped[name] = stopped.get(name, 0) + 1
    return {
        "name": study.name,
        "title": study.title,
        "state": study.state,
        "message": study.message,
        "trials": len(trials),
        **states,
        "stopped_by": stopped,
        "cpu_seconds": sum(t.spent_cpu_seconds for t in trials),
        "wall_seconds": study.wall_seconds,
        "budget": study.study.get("budget", {}),
        "changes": study.changes,
        "best": [records.to_json(trial) for trial in front(study, trials)],
    }


def stated(said: Mapping[str, Any]) -> str:
    """The same for people."""
    states = ", ".join(f"{said[state]} {state}" for state in STATES if said[state])
    why = f" ({said['message']})" if said["message"] else ""
    rows = [f"{said['name']}: {said['state']}, {states or 'no trial yet'}{why}"]
    if said["stopped_by"]:
        rows.append(
            "stopped by: " + ", ".join(f"{LABELS.get(n, n)} {c}" for n, c in said["stopped_by"].items())
        )
    rows += [f"changed {line}" for line in said["changes"]]
    rows.append(f"used: {quantity(said['cpu_seconds'], 's')} of CPU in {quantity(said['wall_seconds'], 's')}")
    for trial in said["best"]:
        rows.append("best: " + line(records.from_json(Trial, trial)))
    return "\n".join(rows)


def front(study: StudyFile, trials: Sequence[Trial]) -> list[Trial]:
    """The best trial, or with several objectives those that no other beats in all of them."""
    directions = {name: word == "maximise" for name, word in study.study.get("objectives", {}).items()}
    return fronts.front(trials, directions)


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
