"""Projects of a server by their names."""

from __future__ import annotations

import pytest

from stackyard.comparing import projects
from stackyard.errors import BadInputError
from tests.stackyard.comparing.lab import Lab


def test_a_project_is_found_by_its_whole_name(lab: Lab) -> None:
    lab.task({}, {}, below="inner")
    assert {lab.project, f"{lab.project}/inner"} <= set(projects.names(lab.client))
    ids, known = projects.ids_of(lab.client, lab.project)
    assert (len(ids), known) == (1, [])
    assert projects.ids_here(lab.client, lab.project) == ids
    missing = f"{lab.project} too"
    assert lab.project in projects.ids_of(lab.client, missing)[1]
    with pytest.raises(BadInputError, match=f"^no project is named '{missing}'; near it: "):
        projects.ids_here(lab.client, missing)
