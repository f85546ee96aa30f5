"""What a reader should know of compared tasks before believing a number. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from stackyard.comparing import metrics
from stackyard.comparing.grouping import KEYS, Groups
from stackyard.comparing.metrics import Wanted
from stackyard.comparing.near import printable
from stackyard.comparing.reading import Found
from stackyard.comparing.task import MOST_PARAMETERS, Task
from stackyard.counting import count
from stackyard.reports.cells import natural
from stackyard.reports.loading import Remark

#: Codes of ``reports.warning_codes`` -> the advice for tasks; ``None``: of tasks something else is said here.
ADVICE: Mapping[str, str | None] = {
    "failed-runs": "They are counted, and in no figure: look at their consoles on the server.",
    "too-few-runs": "Run more of them, with other seeds: a verdict needs 6 in each group.",
    "infrastructure-failures": "These say nothing about the work: reset and enqueue them once the cause is mended.",
    "duplicate-records": "Two servers have the same task; it counts once.",
    "stack-pin-missing": None,
    "no-stack": None,
    "code-differs": None,
    "dirty-code": None,
    "environment-differs": "What was loaded, or the machine, differs within a group: group by environment or machine.",
    "parameters-differ": None,
    "several-machines": None,
    "results-differ": None,
    "drift": None,
    "slow-first-block": None,
    "slow-after-warm-up": None,
}
#: Names and values that one sentence shows.
_MOST_NAMES = 6
#: Reasons that one sentence tells apart.
_MOST_REASONS = 3


def remarks(
    found: Found,
    tasks: Sequence[Task],
    groups: Groups,
    own: Sequence[Wanted],
    values: Mapping[str, Sequence[float | None]],
    odd: Mapping[str, int],
    left_out: Sequence[str],
    pairs: Sequence[int | None] | None = None,
) -> list[Remark]:
    """Everything to be said.

    Args:
        found: what was read.
        tasks: those of it that have ended.
        groups: how they are grouped.
        own: metrics that are no figures of the record's.
        values: of each of those, by its name among the results, each task's value.
        odd: metric -> tasks in which it is no finite number.
        left_out: scalars that are not compared, for there are too many.
        pairs: of each task which pair it belongs to; ``None``: nobody asked for pairs.
    """
    together = groups.together()
    said: list[Remark] = []

    def add(code: str, severity: str, message: str, advice: str) -> None:
        said.append(Remark(code, severity, message, advice))

    alone = sorted((name for name, places in together.items() if len(places) == 1), key=_order)
    if alone and len(together) > 1:
        names = _some(" · ".join(name) for name in alone)
        add(
            "groups-of-one",
            "warning",
            f"{len(alone)} of {count(len(together), 'group')} with one task alone: {names}.",
            "One task shows no spread: run it again with other seeds, or group by fewer keys.",
        )
    if pairs is not None:
        twice = sum(
            len(found) - len(set(found)) for places in together.values() for found in [_known(pairs, places)]
        )
        unpaired = sum(pair is None for pair in pairs)
        if twice or unpaired:
            parts = [f"{count(twice, 'task')} with the value of another in its group"] if twice else []
            parts += [f"{count(unpaired, 'task')} without a value"] if unpaired else []
            advice = "Ratios are of the last started of those with one value; medians and means are of all."
            add("not-paired", "warning", f"Not in pairs: {', '.join(parts)}.", advice)
    unmeasured = [task for task in tasks if task.record is None]
    if unmeasured:
        of = (
            "None of the tasks"
            if len(unmeasured) == len(tasks)
            else f"{len(unmeasured)} of {count(len(tasks), 'task')}"
        )
        verb = "has" if len(unmeasured) == len(tasks) else ("has no" if len(unmeasured) == 1 else "have no")
        add(
            "not-measured",
            "note",
            f"{of} {verb} {'a' if len(unmeasured) == len(tasks) else ''} measured record.".replace("  ", " "),
            "What they cost is unknown, and told nowhere: run them on a queue that measures.",
        )
    if found.unreadable:
        reasons: dict[str, list[str]] = {}
        for name, why in found.unreadable:
            reasons.setdefault(printable(why), []).append(name)
        each = [f"{_some(names)} ({why})" for why, names in list(reasons.items())[:_MOST_REASONS]]
        more = [f"{len(reasons) - _MOST_REASONS} more reasons"] if len(reasons) > _MOST_REASONS else []
        add(
            "unreadable-records",
            "warning",
            f"{count(len(found.unreadable), 'record')} cannot be read: {'; '.join(each + more)}.",
            "Those tasks are compared by what they reported themselves; their costs are unknown.",
        )
    shortened = sum(task.left_out > 0 for task in tasks)
    if shortened:
        add(
            "parameters-left-out",
            "note",
            f"Of {count(shortened, 'task')} the first {MOST_PARAMETERS:,} parameters are read.",
            "Nothing is grouped by the others, nor told where they differ.",
        )
    waiting = sum(task.status != "created" for task in found.tasks) - len(tasks)
    if waiting:
        add(
            "not-ended",
            "note",
            f"{count(waiting, 'task')} not ended yet: left out.",
            "Compare again once they have.",
        )
    if odd:
        names = _some(f"{label} in {count(number, 'task')}" for label, number in odd.items())
        add(
            "not-finite",
            "warning",
            f"No numbers to compare (NaN, infinite, beyond 1e100), and left out: {names}.",
            "A run that diverged is a result too: count those tasks apart.",
        )
    have = {each.label: sum(value is not None for value in values[each.result]) for each in own}
    partly = [f"{label} (by {number})" for label, number in have.items() if 0 < number < len(tasks)]
    if partly:
        message = f"Not told by all {count(len(tasks), 'task')}: {_some(partly)}."
        add("metrics-missing", "note", message, "Their figures are of those alone.")
    known = [f"{title}/{variant}" for task in tasks for title, variant in task.series]
    for stem, several in metrics.units(dict.fromkeys(known)).items():
        if any(each.name in several or f"{metrics.SINGLE}/{each.name}" in several for each in own):
            add(
                "units-differ",
                "warning",
                f"{stem} is told in several units: {', '.join(sorted(several))}.",
                "They are compared apart, never converted: let every task report one of them.",
            )
    said += _mixed(tasks, groups, together)
    said += _differing("code-differs", "versions of the code", _code, tasks, together, _CODE_ADVICE)
    said += _differing("data-differ", "sets of inputs", _data, tasks, together, _DATA_ADVICE)
    said += _differing(
        "machines-differ",
        "machines",
        lambda task: KEYS["machine"](task),
        tasks,
        together,
        _MACHINE_ADVICE,
        groups,
    )
    said += _differing(
        "tunables-differ",
        "sets of variables that change speed or memory",
        _tunables,
        tasks,
        together,
        _TUNABLES_ADVICE,
    )
    if found.unlooked:
        add(
            "code-not-compared",
            "note",
            f"The changes of {count(found.unlooked, 'task')} are too much to be read; their code may differ.",
            "Narrow the tasks with a tag or a filter.",
        )
    if found.broken:
        add(
            "broken-tasks",
            "warning",
            f"{count(len(found.broken), 'task')} not of the form of tasks: {printable(found.broken[0])}.",
            "They are left out: look at them on the server.",
        )
    if found.too_large:
        message = f"{count(found.too_large, 'task')} too large to be read: left out."
        add("too-large", "warning", message, "Look at them on the server.")
    if left_out:
        add(
            "metrics-left-out",
            "note",
            f"{count(len(left_out), 'further scalar')} not compared: {_some(left_out)}.",
            "Name the metrics that matter.",
        )
    return said


_CODE_ADVICE = "A difference may come from the code: commit, and run all of them with one version."
_DATA_ADVICE = "A difference may come from the data: group by it, or run all of them on one."
_TUNABLES_ADVICE = (
    "Stacks set variables of their own, such as MALLOC_TRIM_THRESHOLD_: a difference may come from those. The records "
    "have them."
)
_MACHINE_ADVICE = (
    "Times of different machines differ for other reasons too: group by machine, or repeat on one."
)


def _mixed(
    tasks: Sequence[Task], groups: Groups, together: Mapping[tuple[str, ...], Sequence[int]]
) -> list[Remark]:
    """Parameters that are not grouped by and differ within groups: seeds, or something forgotten."""
    found = []
    for name in dict.fromkeys(name for task in tasks for name in task.parameters):
        if name in groups.keys:
            continue
        most = max(len({tasks[i].parameters.get(name) for i in places}) for places in together.values())
        if most > 1:
            found.append(f"{name} (up to {most} values)")
    if not found:
        return []
    return [
        Remark(
            "parameters-mixed",
            "note",
            f"Not grouped by, and different within groups: {_some(found)}.",
            "Right for a seed; group by any other that matters, or filter.",
        )
    ]


def _differing(
    code: str,
    what: str,
    read: Callable[[Task], str | None],
    tasks: Sequence[Task],
    together: Mapping[tuple[str, ...], Sequence[int]],
    advice: str,
    groups: Groups | None = None,
) -> list[Remark]:
    """That something differs: within groups, where it makes their spread; or between them, where it may explain."""
    every = {read(task) for task in tasks} - {None}
    if len(every) < 2 or (groups is not None and {"machine", "worker"} & set(groups.keys)):
        return []
    mixed = [name for name, places in together.items() if len({read(tasks[i]) for i in places} - {None}) > 1]
    where = f"within {count(len(mixed), 'group')}" if mixed else "between groups"
    return [Remark(code, "warning", f"{len(every)} {what}, {where}.", advice)]


def _code(task: Task) -> str | None:
    """What tells one version of a task's code from another; a measured command has it in its record.

    Of a commit without changes every script is of one version.
    """
    if task.repository and task.commit and task.diff is None:
        return f"{task.repository} {task.commit}"
    if task.record is not None:
        environment = task.record.environment
        measured = environment.code_own_digest or environment.code_own_version
        if measured:
            return measured
    return task.code


def _tunables(task: Task) -> str | None:
    if task.record is None or task.record.measurement.wall_seconds is None:
        return None
    held = task.record.environment.tunables or {}
    return "\n".join(f"{name}={value}" for name, value in sorted(held.items()))


def _data(task: Task) -> str | None:
    return "\n".join(f"{name}={value}" for name, value in sorted(task.data.items())) or None


def _known(pairs: Sequence[int | None], places: Sequence[int]) -> list[int]:
    return [pair for place in places if (pair := pairs[place]) is not None]


def _order(name: Sequence[str]) -> list[list[tuple[int, float, str]]]:
    return [natural(value) for value in name]


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(found[:_MOST_NAMES]) + more
