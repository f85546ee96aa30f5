"""Whether a run has broken a limit: said in one sentence, and only of what was seen."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

import pytest

from stackyard_task import criteria
from stackyard_task.criteria import NAMES, STEPS_SEEN, Criteria, Use, broken, not_judged, problem

SEEN = {
    "ram_bytes": "rss_bytes",
    "ram_minus_shared_bytes": "rss_minus_shared_bytes",
    "gpu_memory_bytes": "gpu_memory_bytes",
    "step_seconds": "step_seconds",
    "cpu_seconds": "cpu_seconds",
    "wall_seconds": "elapsed_seconds",
    "energy_joules": "energy_joules",
    "slowing": "slowing",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_above_its_limit_is_a_breach_and_what_is_at_it_is_none(name: str) -> None:
    criteria = Criteria(**{name: 20_000_000})  # type: ignore[arg-type]
    use: Dict[str, Any] = {"elapsed_seconds": 3.0, SEEN[name]: 20_000_000}
    assert broken(criteria, Use(**use)) is None
    use[SEEN[name]] = 20_000_001
    found = broken(criteria, Use(**use))
    assert found is not None
    assert (found.criterion, found.limit, found.seen) == (name, 20_000_000, 20_000_001)
    assert found.message.startswith("stopped at its limit of ")
    assert broken(Criteria(), Use(**use)) is None


def test_what_is_not_known_breaks_nothing() -> None:
    assert broken(Criteria(*(1 for _ in dataclasses.fields(Criteria))), Use(elapsed_seconds=0.5)) is None


def test_a_step_that_does_not_end_breaks_the_mean_alone() -> None:
    criteria = Criteria(step_seconds=0.2)
    assert broken(criteria, Use(step_seconds=0.1, silent_seconds=STEPS_SEEN * 0.2)) is None
    found = broken(criteria, Use(step_seconds=0.1, silent_seconds=STEPS_SEEN * 0.2 + 1))
    assert found is not None
    assert "has not ended" in found.message


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        (Criteria(ram_bytes=9_000_000), "idle interpreter"),
        (Criteria(ram_minus_shared_bytes=1), "idle interpreter"),
        (Criteria(wall_seconds=0), "above 0"),
        (Criteria(cpu_seconds=float("nan")), "above 0"),
        (Criteria(slowing=1.0), "above 1"),
    ],
)
def test_a_limit_that_holds_nothing_is_refused(criteria: Criteria, words: str) -> None:
    why = problem(criteria)
    assert why is not None
    assert words in why


def test_what_could_not_be_judged_is_said() -> None:
    criteria = Criteria(gpu_memory_bytes=1, cpu_seconds=1)
    assert not_judged(criteria, {"gpu_memory_bytes": "there is no GPU", "energy_joules": "nothing"}) == [
        "the limit of GPU memory held nothing: there is no GPU"
    ]


def test_what_is_seen_and_what_is_allowed_are_never_written_alike() -> None:
    assert criteria.beyond(0.10021, 0.1, "step_seconds") == "0.1002 s seen, 0.1 s allowed"
    assert criteria.beyond(0.00225, 0.002, "step_seconds") == "2.25 ms seen, 2 ms allowed"
    assert criteria.beyond(3e9, 2e9, "ram_bytes") == "3 GB seen, 2 GB allowed"
