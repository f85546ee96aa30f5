"""What of a matrix that is continued differs, in words, and what the cells of what changed are called."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import BadInputError
from stackyard.matrix import resuming
from stackyard.matrix.plan import Change, Plan, PlannedCell, PlannedFolder
from stackyard_task.records import Code, StackPin
from stackyard_task.workloads import Workload

FILE = """
name = "s"
repeats = 1
[axes]
stack = ["new"]
[workloads.w]
command = ["python", "t.py", "{lr}", "{inputs.data}"]
inputs = { data = "data" }
parameters = { lr = 0.1 }
metrics = { a = "line:a=(?P<value>.*)" }
[workloads.other]
command = ["true"]
"""


def plan(yard: Any, text: str = FILE, **fields: Any) -> Any:
    return dataclasses.replace(yard.plan(text)[1], **fields)


def refusal(old: Any, new: Any) -> str:
    with pytest.raises(BadInputError) as refused:
        resuming.refuse_if_different(old, new, Path("o"))
    assert "--accept-changes" in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_same_goes_on_and_so_do_more_repeats_and_another_title(yard: Any) -> None:
    old = plan(yard)
    assert resuming.changed(old, old) == {}
    for text in (FILE, FILE.replace("repeats = 1", 'repeats = 3\ntitle = "T"\ntime_limit_seconds = 5')):
        resuming.refuse_if_different(old, plan(yard, text), Path("o"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("lr = 0.1", "lr = 0.2", "workloads.w.parameters.lr: 0.1 then, 0.2 now"),
        ("a=(?P", "b=(?P", "workloads.w.command.metrics.a: 'line:a=(?P<value>.*)' then"),
        ('"t.py"', '"u.py"', "workloads.w.command.words"),
    ],
)
def test_what_differs_of_a_command_is_said_once(yard: Any, before: str, after: str, said: str) -> None:
    old, new = plan(yard), plan(yard, FILE.replace(before, after))
    told = refusal(old, new)
    assert said in told
    assert "workloads.toml" not in told
    assert "help" not in told
    assert list(resuming.changed(old, new)) == ["w"]


def test_changed_inputs_are_named_and_belong_to_who_reads_them(yard: Any) -> None:
    old, new = plan(yard, read={"data": "1 bytes"}), plan(yard, read={"data": "2 bytes"})
    assert "input data: 1 bytes then, 2 bytes now" in refusal(old, new)
    assert list(resuming.changed(old, new)) == ["w"]


def test_names_count_on_from_what_they_were(yard: Any) -> None:
    first = resuming.next_names({}, ["w"])
    assert first == {"w": "w.2"}
    assert resuming.next_names(first, ["w.2"]) == {"w": "w.3"}
    assert resuming.next_names(first, ["other"]) == {"w": "w.2", "other": "other.2"}
    assert resuming.next_names({}, ["a.7"]) == {"a.7": "a.7.2"}  # a name of the user's own


def test_a_scenario_with_other_names_has_the_other_cells_as_they_were(yard: Any) -> None:
    scenario = yard.plan(FILE)[0]
    other = resuming.named_anew(scenario, {"w": "w.2"})
    assert set(other.axes["workload"]) == {"w.2", "other"}
    assert other.workloads["w.2"].name == "w.2"
    assert other.workloads["other"] == scenario.workloads["other"]
    assert resuming.named_anew(scenario, {}) is scenario


CALLED = Workload("called", "m:called", "")
IN_PLACE = PlannedFolder(None, {}, "c" * 40, False)


def worked_in(**changed: Any) -> Plan:
    spec = {"name": "w", "workload": "w", "parameters": {}, "declared": {"command": {"inputs": {}}}}
    called = {"name": "v", "workload": "called", "parameters": {}, "declared": None}
    cells = [PlannedCell(f"s-{name}", {"stack": "s", "workload": name}, name) for name in ("w", "v")]
    held = Plan(
        *("s", "s", "", 1, 0, 0, {}, cells, [], 0, [], []),
        scenario={"axes": {"workload": ["w", "v"]}, "workloads": {"w": spec, "v": called}},
        only={},
        stacks={"s": StackPin("s", digest="1")},
        code=Code(digest="1"),
        inputs={},
        declared={"called": CALLED},
        folders={"w": IN_PLACE},
    )
    return replace(held, **changed)


@pytest.mark.parametrize(
    ("now", "said", "acceptable"),
    [
        ({"folders": {"w": replace(IN_PLACE, commit="d" * 40)}}, "folder of w: commit ccc", True),
        ({"folders": {"w": replace(IN_PLACE, files={"x": "1"}, dirty=True)}}, "differ otherwise", True),
        ({"folders": {"w": PlannedFolder("2", {"a": "1"})}}, "code of w: new: a", True),
        ({"stacks": {"s": StackPin("s", digest="2")}}, "stacks.s: ", True),
        ({"declared": {"called": replace(CALLED, entry="m:other")}}, "workloads.toml.called.entry", True),
        ({"code": Code(digest="2")}, "digest of the measured code", False),
    ],
)
def test_what_changed_is_named_and_accepting_is_offered_only_where_that_helps(
    now: dict[str, Any], said: str, acceptable: bool
) -> None:
    old, new = worked_in(), worked_in(**now)
    with pytest.raises(BadInputError, match=said) as refused:
        resuming.refuse_if_different(old, new, Path("o"))
    assert ("--accept-changes" in str(refused.value)) is acceptable
    assert bool(resuming.changed(old, new)) is acceptable


def test_a_plan_from_before_there_were_commands_is_continued() -> None:
    old = worked_in(folders={}, read={}, renamed={}, declared=None)
    resuming.refuse_if_different(old, worked_in(read={"data": "1 bytes"}), Path("o"))
    unknown = replace(IN_PLACE, dirty=None)
    resuming.refuse_if_different(worked_in(folders={"w": unknown}), worked_in(), Path("o"))


def test_accepting_one_change_lets_no_other_code_in() -> None:
    old = worked_in(code=Code(digest="1", own_digest="a"))
    accepted = replace(old, renamed={"w": "w.2"})
    resuming.refuse_if_different(old, accepted, Path("o"))
    resuming.refuse_if_different(old, replace(accepted, code=Code(digest="2", own_digest="b")), Path("o"))
    with pytest.raises(BadInputError, match="digest of the measured code: '1' then, '2' now"):
        resuming.refuse_if_different(old, replace(accepted, code=Code(digest="2", own_digest="a")), Path("o"))


def renamed_in(plan: Plan, names: dict[str, str]) -> Plan:
    """The plan in which workloads have other names, as planning makes it anew."""
    scenario = {
        "axes": {"workload": [names.get(name, name) for name in plan.scenario["axes"]["workload"]]},
        "workloads": {
            names.get(n, n): {**spec, "name": names.get(n, n)}
            for n, spec in plan.scenario["workloads"].items()
        },
    }
    cells = [
        replace(c, axes={**c.axes, "workload": names.get(c.axes["workload"], c.axes["workload"])})
        for c in plan.cells
    ]
    return replace(plan, scenario=scenario, cells=cells, renamed=names)


def test_a_changed_stack_is_accepted_where_all_that_runs_on_it_begins_anew() -> None:
    old, new = worked_in(), worked_in(stacks={"s": StackPin("s", digest="2")})
    assert list(resuming.changed(old, new)) == ["w", "v"]
    resuming.refuse_if_different(old, renamed_in(new, {"w": "w.2", "v": "v.2"}), Path("o"))
    with pytest.raises(BadInputError, match=r"stacks\.s: '1' then, '2' now"):
        resuming.refuse_if_different(old, renamed_in(new, {"w": "w.2"}), Path("o"))


def test_a_changed_declaration_is_accepted_for_the_workload_that_it_declares() -> None:
    old, new = worked_in(), worked_in(declared={"called": replace(CALLED, entry="m:other")})
    assert list(resuming.changed(old, new)) == ["v"]
    resuming.refuse_if_different(old, renamed_in(new, {"v": "v.2"}), Path("o"))
    with pytest.raises(BadInputError, match=r"workloads\.toml\.called\.entry"):
        resuming.refuse_if_different(old, renamed_in(new, {"w": "w.2"}), Path("o"))


@pytest.mark.parametrize("further", [{"only": {"stack": ["s"]}}, {"repeats": 0}, {"measure": "alike"}])
def test_accepting_is_not_offered_where_something_else_differs_too(further: dict[str, Any]) -> None:
    now = {"folders": {"w": PlannedFolder("2", {"a": "1"})}}
    old = worked_in(folders={"w": PlannedFolder("1", {"a": "0"})})
    with pytest.raises(BadInputError, match="--accept-changes"):
        resuming.refuse_if_different(old, worked_in(**now), Path("o"))
    with pytest.raises(BadInputError, match="choose another --out") as refused:
        resuming.refuse_if_different(old, worked_in(**now, **further), Path("o"))
    assert "--accept-changes" not in str(refused.value)


def test_an_axis_that_changed_with_a_file_is_not_accepted_and_accepting_is_not_advised(yard: Any) -> None:
    old = plan(yard, folders={"w": PlannedFolder("1", {"a": "0"})})
    axis = FILE.replace('stack = ["new"]', 'stack = ["new", "old"]')
    with pytest.raises(BadInputError, match="code of w: ") as refused:
        resuming.refuse_if_different(
            old, plan(yard, axis, folders={"w": PlannedFolder("2", {"a": "1"})}), Path("o")
        )
    assert "axes.stack" in str(refused.value)
    assert "--accept-changes" not in str(refused.value)


def test_packages_that_changed_are_named_where_they_are_known() -> None:
    old = worked_in(added={"s": {"six": "1.16.0", "gone": "1", "same": "2"}})
    new = worked_in(
        stacks={"s": StackPin("s", digest="2")}, added={"s": {"six": "1.17.0", "more": "3", "same": "2"}}
    )
    said = "six 1.16.0 then, 1.17.0 now, gone 1 then, absent now, more absent then, 3 now"
    with pytest.raises(BadInputError, match=f"stacks.s: {said}"):
        resuming.refuse_if_different(old, new, Path("o"))
    assert resuming.changed(old, new)["w"] == [f"stack s: {said}"]
    unknown = replace(new, added={})  # not resolved, or a plan from before
    assert resuming.changed(old, unknown)["w"] == ["stack s: other packages (lock 1 then, 2 now)"]


def test_what_differed_is_kept_by_each_new_name() -> None:
    old = worked_in()
    new = worked_in(stacks={"s": StackPin("s", digest="2")})
    names = resuming.next_names({}, resuming.changed(old, new))
    begun = resuming.changes(old, names, resuming.changed(old, new))
    assert begun["w.2"] == Change("w", ["stack s: other packages (lock 1 then, 2 now)"])
    later = renamed_in(replace(new, changes=begun), names)
    third = replace(
        later, scenario={**later.scenario, "workloads": {**later.scenario["workloads"], "w.2": {"x": 1}}}
    )
    found = resuming.changed(later, third)
    kept = resuming.changes(later, resuming.next_names(names, found), found)
    assert list(kept) == ["w.2", "v.2", "w.3"]
    assert kept["w.3"].of == "w.2"
    assert any("workloads.w.2" in line for line in kept["w.3"].differs)
