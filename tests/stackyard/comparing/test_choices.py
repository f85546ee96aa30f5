"""What can be chosen from in a project."""

from __future__ import annotations

import pytest

from stackyard.comparing import choices as choosing
from stackyard.comparing.choices import choices, tasks
from stackyard.errors import BadInputError
from tests.stackyard.comparing.lab import Lab


def test_a_project_offers_what_its_tasks_have(lab: Lab) -> None:
    lab.task({"Args/lr": 1}, {"loss/val": [1.0], "Summary/accuracy": [1.0]}, tags=["a"])
    lab.task({"General/net": 1}, {"loss/train": [1.0]}, tags=["b"], below="inner")
    found = choices(lab.client, lab.project)
    assert found.tags == ["a", "b"]
    assert found.parameters == ["Args/lr", "General/net"]
    assert found.scalars == ["Summary/accuracy", "loss/train", "loss/val"]
    assert found.users == ["tester"]
    assert "stack" in found.keys
    assert found.measured["wall_seconds"] == "Wall time"
    with pytest.raises(BadInputError, match="no project is named"):
        choices(lab.client, "nowhere")


def test_what_only_archived_and_hidden_tasks_have_is_not_offered(lab: Lab) -> None:
    lab.task({"Args/lr": 1}, {"loss/val": [1.0]}, tags=["a"])
    lab.task({"Args/net": 1}, {"loss/train": [1.0]}, tags=["b"], below="inner", name="inner")
    lab.task({"data/n": 1}, {"rows/n": [1.0]}, tags=["c"], below=".datasets/digits")
    lab.task({"steps/n": 1}, {"steps/n": [1.0]}, tags=["d"], below="secret")
    lab.task({"old/n": 1}, {"old/n": [1.0]}, tags=["e"], system_tags=["archived"])
    lab.hide("secret")
    found = choices(lab.client, lab.project)
    assert found.tags == ["a", "b"]
    assert found.parameters == ["Args/lr", "Args/net"]
    assert found.scalars == ["loss/train", "loss/val"]
    assert [name for _, name, _ in tasks(lab.client, lab.project)] == ["inner", "train"]
    # somebody names the project
    found = choices(lab.client, f"{lab.project}/secret")
    assert (found.tags, found.parameters, found.scalars) == (["d"], ["steps/n"], ["steps/n"])


def test_of_very_many_tasks_the_newest_say_what_there_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        lab.task({f"Args/p{n}": 1}, {f"loss/s{n}": [1.0]})
    monkeypatch.setattr(choosing, "_AT_ONCE", 1)
    assert choices(lab.client, lab.project).scalars == ["loss/s0", "loss/s1", "loss/s2"]
    monkeypatch.setattr(choosing, "MOST_READ", 2)
    found = choices(lab.client, lab.project)
    assert (found.parameters, found.scalars) == (["Args/p1", "Args/p2"], ["loss/s1", "loss/s2"])
