"""``store.projects`` and ``store.contents``: the tree of projects, and what is in it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stackyard_server.store import Transaction, contents, projects
from stackyard_server.store.documents import MODEL, PROJECT, TASK

WHO = SimpleNamespace(user="u1", company="c1")


@pytest.fixture
def ids(tx: Transaction) -> dict[str, str]:
    """Three projects, each below the last, and one beside them, by the last part of their names."""
    deepest = projects.create(tx, WHO, "lab/team/run", 1)
    beside = projects.create(tx, WHO, "desk", 1)
    lab, team = (projects.find(tx, name) or "" for name in ("lab", "lab/team"))
    return {"lab": lab, "team": team, "run": deepest, "desk": beside}


def test_parents_that_are_missing_are_made(tx: Transaction, ids: dict[str, str]) -> None:
    assert PROJECT.field(tx, ids["run"], "path") == [ids["lab"], ids["team"]]
    assert set(projects.subtree(tx, [ids["lab"]])) == {ids["lab"], ids["team"], ids["run"]}
    assert projects.children(tx, ids["lab"]) == [(ids["team"], "team")]


def test_a_branch_moves_with_all_that_is_below_it(tx: Transaction, ids: dict[str, str]) -> None:
    assert projects.relocate(tx, ids["team"], projects.require(tx, ids["desk"]), "crew") == 2
    assert projects.find(tx, "desk/crew/run") == ids["run"]
    assert PROJECT.field(tx, ids["run"], "path") == [ids["desk"], ids["team"]]
    assert projects.is_empty(tx, ids["lab"])


def test_hidden_projects_are_below_when_asked_for_only(tx: Transaction, ids: dict[str, str]) -> None:
    PROJECT.update(tx, ids["team"], {"system_tags": ["hidden"]})
    below = projects.descendants(tx, [ids["lab"]], with_hidden=False)
    assert below == {ids["lab"]: [(ids["run"], "lab/team/run")]}
    assert len(projects.descendants(tx, [ids["lab"]], with_hidden=True)[ids["lab"]]) == 2


def test_what_is_archived_counts_by_itself(tx: Transaction, ids: dict[str, str]) -> None:
    for number, tags in enumerate(([], ["archived"], [])):
        task = {"id": f"t{number}", "status": "completed", "type": "training", "system_tags": tags}
        TASK.insert(tx, {**task, "project": ids["run"], "started": 1000, "completed": 3000 * number})
    MODEL.insert(tx, {"id": "m1", "project": ids["run"], "system_tags": []})
    counted = contents.count(tx, [ids["run"]])
    assert (counted.tasks, counted.non_archived_tasks, counted.models) == (3, 2, 1)
    (active,) = contents.count_tasks(tx, [ids["run"], ids["lab"]], "active", [], since=6000)
    # the one that ended before it began took no time
    assert (active.number, active.runtime_ms, active.completed) == (2, 5000, 1)
    assert contents.count_models(tx, [ids["run"]], "archived") == {}


def test_contents_move_to_another_project_or_to_none(tx: Transaction, ids: dict[str, str]) -> None:
    TASK.insert(tx, {"id": "t1", "project": ids["run"]})
    assert contents.move(tx, TASK, [ids["run"]], ids["desk"], most=10) == 1
    assert contents.ids_in(tx, TASK, [ids["desk"]]) == ["t1"]
    assert contents.move(tx, TASK, [ids["desk"]], None, most=10) == 1
    assert TASK.field(tx, "t1", "project") is None


def test_parameters_and_their_values(tx: Transaction, ids: dict[str, str]) -> None:
    for number, rate in enumerate(("0.1", "0.2", "0.1")):
        entry = {"Args": {"lr": {"name": "lr", "value": rate}}}
        TASK.insert(tx, {"id": f"t{number}", "project": ids["run"], "hyperparams": entry})
    inside = [contents.scope(tx, [ids["lab"]], with_children=True)]
    assert contents.parameters(tx, inside) == [("Args", "lr")]
    assert contents.parameter_values(tx, inside, "Args", "lr", most=10) == ["0.1", "0.2"]
    assert contents.parameters(tx, [contents.scope(tx, [ids["lab"]], with_children=False)]) == []
