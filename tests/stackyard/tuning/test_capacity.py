"""What the trials of a study share: no more than the machine has, and than the study file lets them have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from stackyard.errors import NotRunnableError
from stackyard.tuning import capacity
from stackyard.tuning.trial import Interval, Trial
from tests.stackyard.tuning.study_text import TEXT, study

GB = 10**9


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trials run on a machine of four cores and 10 GB."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10 * GB))
    machine = SimpleNamespace(usable_cores=4.0, ram_limit_bytes=None, gpus=())
    return SimpleNamespace(elsewhere=False, premises=SimpleNamespace(machine=machine))


def beside_each_other(deployment: Any, packing: str) -> int:
    """How many trials of 2 GB begin."""
    text = TEXT.replace("400 MB", "4 GB")
    room = capacity.room_of(study(f"{text}\n[packing]\n{packing}"), deployment, None)
    told = {"ram_bytes": Interval(2 * GB, 2 * GB, 2 * GB)}
    waiting, running = [Trial(n, {}, predicted=told) for n in range(9)], list[Trial]()
    while (chosen := room.next(waiting, running)) is not None:
        waiting.remove(chosen)
        running.append(chosen)
    return len(running)


@pytest.mark.parametrize(
    ("packing", "trials"),
    [
        ('at_once = "auto"', 4),
        ("at_once = 3", 3),
        ('at_once = "auto"\ntotal_cores = 2', 2),
        ('at_once = "auto"\ncores = 0.5', 4),
        ('at_once = "auto"\ncores = 0.5\nmemory = "2 GB"', 1),
        ("", 1),
    ],
)
def test_the_study_file_makes_the_machine_smaller(deployment: Any, packing: str, trials: int) -> None:
    assert beside_each_other(deployment, packing) == trials


def test_a_trial_that_takes_more_cores_than_there_are_is_refused(deployment: Any) -> None:
    with pytest.raises(NotRunnableError, match="a trial takes 5 cores and there are 4"):
        beside_each_other(deployment, "cores = 5")


def test_of_a_queue_as_many_wait_as_at_once_says(deployment: Any) -> None:
    deployment.elsewhere = True
    assert beside_each_other(deployment, "at_once = 6") == 6
    assert beside_each_other(deployment, 'at_once = "auto"') == 1
