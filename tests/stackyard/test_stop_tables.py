"""The table [stop]: each limit said once, in words people write, or refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard import stop_tables
from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields
from stackyard_task.criteria import Criteria


def read(**table: Any) -> Criteria:
    return stop_tables.read(Fields("a.toml", {"stop": table}), table, "stop")


def test_each_key_sets_its_criterion() -> None:
    found = read(
        max_ram="2 GB",
        max_ram_minus_shared="512 MiB",
        max_gpu_memory="8 GB",
        max_step_seconds=0.2,
        max_cpu_seconds=100,
        max_wall_seconds=60,
        max_energy_joules=5000,
        slowing=1.5,
    )
    assert found == Criteria(2_000_000_000, 512 << 20, 8_000_000_000, 0.2, 100.0, 60.0, 5000.0, 1.5)
    assert read() == Criteria()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"max_ram": "9 MB"},
            "a.toml: stop.max_ram is '9 MB', expected at least 10 MB, which an idle interpreter needs",
        ),
        ({"max_rem": "2 GB"}, "a.toml: stop.max_rem is an unknown key, expected one of max_ram, "),
        ({"max_ram": -1}, "a.toml: stop.max_ram is -1, expected a size above 0 such as "),
        ({"max_cpu_seconds": 0}, "a.toml: stop.max_cpu_seconds is 0, expected a number above 0"),
        (
            {"max_wall_seconds": float("inf")},
            "a.toml: stop.max_wall_seconds is inf, expected a number above 0",
        ),
        ({"slowing": 1}, "a.toml: stop.slowing is 1, expected a factor above 1, such as 2.0"),
    ],
)
def test_what_limits_nothing_is_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(**table)
    assert str(refused.value).startswith(sentence)


def test_limits_that_are_never_reached_contradict_each_other() -> None:
    criteria = Criteria(ram_bytes=2_000_000_000, wall_seconds=60.0)
    assert stop_tables.contradiction(criteria, 61.0, 3_000_000_000) is None
    assert stop_tables.contradiction(criteria, 60.0, None) == (
        "max_wall_seconds is 60, and a run fails at its time limit of 60 s"
    )
    assert stop_tables.contradiction(criteria, None, 1_000_000_000) == (
        "max_ram is 2 GB, and a run fails at its memory of 1 GB"
    )
