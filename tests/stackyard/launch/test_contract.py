"""The launchers' contract, held by all three of ours; what is measured in one is measured in the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from stackyard.launch.contract import Contract, Done, Ground


class TestBare(Contract):
    name = "bare"

    @pytest.fixture
    def ground(self, bare: Ground) -> Ground:
        return bare


class TestAgent(Contract):
    name = "agent"

    @pytest.fixture
    def ground(self, on_agent: Ground) -> Ground:
        return on_agent

    def test_every_record_has_the_same_shape(
        self, bare: Ground, done: Done, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        """What is measured in one deployment is measured in the other, but for its way there."""
        shapes = []
        for one in (self.completed(bare, inputs, tmp_path / "bare"), done.record):
            record = dataclasses.asdict(one)
            record["dispatch"] = None
            record["environment"].pop("code_wheel")
            shapes.append(known(record))
        assert shapes[0] == shapes[1]


@pytest.mark.engine
class TestContainer(Contract):
    name = "container"

    @pytest.fixture
    def ground(self, in_container: Ground) -> Ground:
        return in_container


def known(value: Any) -> Any:
    """The keys of a record and whether each is known."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items() if key != "tunables"}
    return value is not None
