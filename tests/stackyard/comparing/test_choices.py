"""What can be chosen from in a project."""

from __future__ import annotations

import pytest

from stackyard.comparing.choices import choices
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
