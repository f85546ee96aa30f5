"""How a matrix that is continued differs from the one that began, and what becomes of the cells that it changes.

A run is comparable with another of its cell only where code, packages, inputs and settings are the same. So a matrix
that differs is refused, by the names of what differs. Whoever accepts changes gets new cells for the workloads that
changed; the runs of the earlier ones stay as they are. Pure. May import scenarios and the records of the seam.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.matrix.plan import Change, Plan
from stackyard.scenarios import Scenario, differences
from stackyard.workloads import folder
from stackyard_task import records
from stackyard_task.records import StackPin
from stackyard_task.workloads import Workload

#: Differences that one sentence names.
_MOST_SHOWN = 5
#: Characters that a plan keeps of one line on what changed.
_LONGEST_LINE = 300
#: Characters of a digest that people are shown.
_SHOWN_OF_DIGEST = 19


def refuse_if_different(old: Plan, new: Plan, path: Path) -> None:
    """Refuse to continue ``old`` as ``new`` where their runs would not be comparable.

    More repeats, another title or another time limit are allowed: they change no run that was made.

    Raises:
        BadInputError: with the keys that differ.
    """
    accepted = {name: new.renamed[name] for name in new.renamed if new.renamed[name] != old.renamed.get(name)}
    earlier = {old.renamed.get(name, name): later for name, later in accepted.items()}
    lines = _not_comparable(old, new, earlier)
    reasons = {cell.name: cell.reason for cell in new.not_runnable}
    gone = [cell.name for cell in old.cells if reasons.get(cell.name)]
    if gone:
        raise BadInputError(
            f"{path}: {count(len(gone), 'cell')} that began there cannot run now ({reasons[gone[0]]}); "
            "mend that and resume again"
        )
    if new.repeats < old.repeats:
        if not lines:
            raise BadInputError(
                f"{path}: the matrix there has {count(old.repeats, 'repeat')}, and "
                f"{new.repeats} {'is' if new.repeats == 1 else 'are'} fewer: "
                "its runs are not taken away; give as many or more, or choose another --out"
            )
        lines.append(f"repeats: {old.repeats} then, {new.repeats} now")
    if lines:
        more = f"; and {len(lines) - _MOST_SHOWN} more" if len(lines) > _MOST_SHOWN else ""
        accept = "start new cells for what changed with --accept-changes, " if _acceptable(old, new) else ""
        raise BadInputError(
            f"{path}: the scenario is not the one that began there ({'; '.join(lines[:_MOST_SHOWN])}{more}); "
            f"give the same one, {accept}replace its runs with --fresh, or choose another --out"
        )


def _not_comparable(old: Plan, new: Plan, accepted: Mapping[str, str]) -> list[str]:
    """What of two plans makes their runs no repetitions of each other, without what is accepted to differ.

    Args:
        old: what began.
        new: what is to go on.
        accepted: workloads that are accepted to differ: what ``old`` calls them -> what ``new`` does.
    """
    return [
        *differences(_comparable(old.scenario, accepted), _comparable(new.scenario, accepted)),
        *differences(old.only, new.only, "--only"),
        *_stack_lines(old, new, accepted),
        *differences(old.inputs, new.inputs, "inputs (bytes)"),
        *differences(old.measure, new.measure, "measure"),
        *differences(*_declarations(old, new, accepted), "workloads.toml"),
        *(
            line
            for name in new.folders
            if name not in accepted.values()
            for line in _folder_lines(old, new, name)
        ),
        *_read_lines(old, new, accepted),
        # another snapshot is made only for functions that changed, and were accepted
        *(
            []
            if accepted and old.code.own_digest != new.code.own_digest
            else differences(_code(old), _code(new))
        ),
    ]


def _acceptable(old: Plan, new: Plan) -> bool:
    """Whether ``new`` would go on where the workloads that changed were accepted to differ."""
    found = changed(old, new)
    return (
        bool(found)
        and new.repeats >= old.repeats
        and not _not_comparable(old, new, {name: name for name in found})
    )


def changed(old: Plan, new: Plan) -> dict[str, list[str]]:
    """The workloads of ``new`` whose code, packages, inputs or settings are not those of ``old``: name -> lines."""
    was, now = _workloads(old), _workloads(new)
    digests = _digests(old.stacks), _digests(new.stacks)
    stacks = _differing(*digests)
    declarations = _declarations(old, new)
    found = {}
    for name in now:
        if name not in was:
            continue
        workload = str(now[name].get("workload"))
        is_function = now[name].get("declared") is None and ":" in workload
        lines = [
            *differences(_as_written(was[name]), _as_written(now[name]), f"workloads.{name}"),
            *(
                f"stack {stack}: {_packages(old, new, stack)}"
                for stack in sorted(stacks & _stacks_of(new, [name]))
            ),
            *(
                differences(
                    declarations[0][workload], declarations[1][workload], f"workloads.toml.{workload}"
                )
                if workload in _differing(*declarations)
                else []
            ),
            *_folder_lines(old, new, name),
            *(
                f"input {path}: {old.read[path]} then, {mark} now"
                for path, mark in new.read.items()
                if path in _inputs(now[name]) and old.read.get(path, mark) != mark
            ),
            *(["your own functions"] if is_function and old.code.own_digest != new.code.own_digest else []),
        ]
        if lines or was[name] != now[name]:
            found[name] = lines or [f"workloads.{name}"]
    return found


def changes(earlier: Plan, names: Mapping[str, str], found: Mapping[str, list[str]]) -> dict[str, Change]:
    """Why cells began anew, those of earlier times included: what a workload is called since -> what differed then.

    Args:
        earlier: the plan that is continued.
        names: what workloads are called from now on, by the file's name.
        found: what ``changed`` has found.
    """
    kept = dict(earlier.changes)
    for first, later in names.items():
        before = earlier.renamed.get(first, first)
        if later != before:
            lines = found[before]
            more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
            kept[later] = Change(before, [line[:_LONGEST_LINE] for line in lines[:_MOST_SHOWN]] + more)
    return kept


def named_anew(scenario: Scenario, names: Mapping[str, str]) -> Scenario:
    """A scenario in which workloads have other names, in its cells and in its rules."""
    if not names:
        return scenario

    def new(name: str) -> str:
        return names.get(name, name)

    axes = dict(scenario.axes)
    axes["workload"] = tuple(map(new, axes["workload"]))
    return dataclasses.replace(
        scenario,
        axes=axes,
        workloads={
            new(name): dataclasses.replace(spec, name=new(name)) for name, spec in scenario.workloads.items()
        },
        stacks={
            next((f"{name[: -len(w)]}{n}" for w, n in names.items() if name.endswith(f"+{w}")), name): table
            for name, table in scenario.stacks.items()
        },
        excludes=tuple(
            {axis: tuple(map(new, values)) if axis == "workload" else values for axis, values in rule.items()}
            for rule in scenario.excludes
        ),
    )


def next_names(earlier: Mapping[str, str], changed: Collection[str]) -> dict[str, str]:
    """What workloads are called from now on: the file's name -> "NAME.2", "NAME.3"..., for those that changed too.

    Args:
        earlier: the file's name -> what it is called by now.
        changed: names as they are by now.
    """
    names = dict(earlier)
    for name in changed:
        first = next((one for one, later in earlier.items() if later == name), name)
        number = int(name.rpartition(".")[2]) + 1 if first != name else 2
        names[first] = f"{first}.{number}"
    return names


def _packages(old: Plan, new: Plan, stack: str) -> str:
    """What differs of a stack, by its packages where both plans know them, else by its locks."""
    was, now = old.added.get(stack), new.added.get(stack)
    found = [] if was is None or now is None else differences(was, now)
    if not found:
        digests = [_short(_digests(plan.stacks)[stack]) for plan in (old, new)]
        return f"other packages (lock {digests[0]} then, {digests[1]} now)"
    more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    return ", ".join(line.replace(": ", " ", 1).replace("'", "") for line in found[:_MOST_SHOWN]) + more


def _short(digest: str | None) -> str:
    return (digest or "unknown")[:_SHOWN_OF_DIGEST]


def _differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    """The keys of both whose values differ."""
    return {name for name in was if name in now and was[name] != now[name]}


def _stacks_of(plan: Plan, names: Collection[str]) -> set[str]:
    """The stacks that cells of these workloads run on, with a command's own packages and without."""
    cells = [cell for cell in [*plan.cells, *plan.not_runnable] if cell.axes.get("workload") in names]
    bases = {(cell.axes["stack"], cell.axes["workload"]) for cell in cells}
    return {stack for stack, _ in bases} | {f"{stack}+{workload}" for stack, workload in bases}


def _inputs(spec: Mapping[str, Any]) -> list[str]:
    command = (spec.get("declared") or {}).get("command") or {}
    return [str(text) for text in (command.get("inputs") or {}).values()]


def _folder_lines(old: Plan, new: Plan, name: str) -> Iterator[str]:
    was, now = old.folders.get(name), new.folders.get(name)
    if was is None or now is None:
        return
    if was.digest is None and now.digest is None:
        if was.commit != now.commit:
            yield f"folder of {name}: commit {was.commit} then, {now.commit} now"
        elif was.files != now.files and None not in (was.dirty, now.dirty):
            yield f"folder of {name}: its files differ otherwise from commit {(now.commit or '')[:12]} than then"
    elif was.digest != now.digest:
        found = folder.differences(was.files, now.files) or ["its files"]
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        yield f"code of {name}: {', '.join(found[:_MOST_SHOWN])}{more}"


def _read_lines(old: Plan, new: Plan, accepted: Mapping[str, str]) -> Iterator[str]:
    workloads = _workloads(new)
    free = {path for name in accepted.values() for path in _inputs(workloads.get(name, {}))}
    for path, mark in new.read.items():
        if path not in free and old.read.get(path, mark) != mark:
            yield f"input {path}: {old.read[path]} then, {mark} now"


def _comparable(scenario: Mapping[str, Any], accepted: Mapping[str, str]) -> dict[str, Any]:
    """What of a scenario decides its runs, without the workloads that are accepted to differ."""
    free = ("repeats", "title", "time_limit_seconds")
    left = {key: value for key, value in scenario.items() if key not in free}
    if isinstance(left.get("workloads"), dict):
        left["workloads"] = {name: _as_written(spec) for name, spec in left["workloads"].items()}
    gone = {*accepted, *accepted.values()}
    if gone and isinstance(left.get("workloads"), dict) and isinstance(left.get("axes"), dict):
        left["workloads"] = {name: spec for name, spec in left["workloads"].items() if name not in gone}
        axes = left["axes"]
        left["axes"] = {**axes, "workload": [name for name in axes.get("workload", []) if name not in gone]}
        left.pop("excludes", None)
        left.pop("stacks", None)
    return left


def _as_written(spec: Any) -> Any:
    """A workload as its file has it: of one that it declares itself the command; its parameters stand beside that."""
    if not isinstance(spec, dict) or not isinstance(spec.get("declared"), dict):
        return spec
    return {key: value for key, value in spec.items() if key != "declared"} | {
        "command": spec["declared"].get("command")
    }


def _workloads(plan: Plan) -> dict[str, Any]:
    """The workloads that a plan's scenario says, by name; a file that was changed by hand may say anything."""
    found = plan.scenario.get("workloads")
    return (
        {name: spec for name, spec in found.items() if isinstance(spec, dict)}
        if isinstance(found, dict)
        else {}
    )


def _preparations(plan: Plan) -> list[dict[str, Any]]:
    found = plan.scenario.get("preparations")
    known = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [each for each in known if {"name", "workload", "stack"} <= set(each)]


def _declarations(
    old: Plan, new: Plan, accepted: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two plans' declarations say of a run, of the workloads that both use and that stand beside their files."""
    was, now = old.declared or {}, new.declared or {}
    specs = [(name, spec) for plan in (old, new) for name, spec in _workloads(plan).items()]
    inside = {name for name, spec in specs if isinstance(spec, dict) and spec.get("declared") is not None}
    anew = set((accepted or {}).values())
    free = {spec.get("workload") for name, spec in specs if name in anew} - {
        *(spec.get("workload") for name, spec in specs if name not in anew and name not in (accepted or {})),
        *(p["workload"] for p in _preparations(new) if p["name"] in new.preparations),
    }
    names = [name for name in was if name in now and name not in inside and name not in free]
    return {name: _called(was[name]) for name in names}, {name: _called(now[name]) for name in names}


def _called(workload: Workload) -> dict[str, Any]:
    """What is called with what: words and places on a form change no run."""
    keys = ("kind", "default", "low", "high", "choices", "required")
    parameters = {p.name: {key: getattr(p, key) for key in keys} for p in workload.parameters}
    called: dict[str, Any] = {"entry": workload.entry, "parameters": parameters}
    if workload.command is not None:
        called["command"] = records.to_json(workload.command)
    return called


def _code(plan: Plan) -> dict[str, str | None]:
    return {"digest of the measured code": plan.code.digest, "your own functions": plan.code.own_digest}


def _digests(stacks: Mapping[str, StackPin]) -> dict[str, str | None]:
    return {name: pin.digest for name, pin in stacks.items()}


def _stack_lines(old: Plan, new: Plan, accepted: Mapping[str, str]) -> Iterator[str]:
    """What differs of the stacks that are to stay: packages where both plans know them, else digests."""
    was, now = _stacks_that_stay(old, new, accepted)
    known = {name for name in _differing(was, now) if old.added.get(name) != new.added.get(name)}
    known &= old.added.keys() & new.added.keys()
    for name in was:
        if name in known:
            yield f"stacks.{name}: {_packages(old, new, name)}"
    left = [{name: digest for name, digest in side.items() if name not in known} for side in (was, now)]
    yield from differences(left[0], left[1], "stacks")


def _stacks_that_stay(
    old: Plan, new: Plan, accepted: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The digests of two plans' stacks, without those on which only workloads run that are accepted to differ."""
    was, now = _digests(old.stacks), _digests(new.stacks)
    if not accepted:
        return was, now
    others = [name for name in _workloads(new) if name not in accepted.values()]
    kept = _stacks_of(new, others) | {p["stack"] for p in _preparations(new) if p["name"] in new.preparations}
    return {name: was[name] for name in was if name in kept}, {
        name: now[name] for name in now if name in kept
    }
