"""Projects of a server by their names."""

from __future__ import annotations

import pytest

from stackyard.comparing import projects
from stackyard.errors import BadInputError
from tests.stackyard.comparing.lab import Lab


def test_a_project_is_found_by_its_whole_name(lab: Lab) -> None:
    lab.task({}, {}, below="inner")
    assert {lab.project, f"{lab.project}/inner"} <= set(projects.names(lab.client))
    scope, known = projects.ids_of(lab.client, lab.project)
    assert (len(scope.ids), scope.hidden, known) == (2, (), [])
    assert projects.ids_here(lab.client, lab.project) == scope
    missing = f"{lab.project} too"
    assert lab.project in projects.ids_of(lab.client, missing)[1]
    with pytest.raises(BadInputError, match=f"^no project is named '{missing}'; near it: "):
        projects.ids_here(lab.client, missing)


def test_hidden_projects_are_not_offered_but_found_by_name(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for below in ("inner", ".datasets/digits", "secret", "secret/deeper"):
        lab.task({}, {}, below=below)
    lab.hide("secret")
    offered = [name for name in projects.names(lab.client) if name.startswith(lab.project)]
    assert offered == [lab.project, f"{lab.project}/inner"]
    assert [name.removeprefix(lab.project) for name in projects.ids_here(lab.client, lab.project).hidden] == [
        "/.datasets",
        "/.datasets/digits",
        "/secret",
        "/secret/deeper",
    ]
    assert projects.ids_here(lab.client, f"{lab.project}/secret").hidden == ()
    monkeypatch.setattr(projects, "MOST_BELOW", 4)
    with pytest.raises(BadInputError, match="more than 4 projects lie below"):
        projects.ids_here(lab.client, lab.project)
