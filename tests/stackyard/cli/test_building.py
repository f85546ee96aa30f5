"""What is shown of a build."""

from __future__ import annotations

import pytest

from stackyard.cli.building import Watch, sparsely


def test_a_step_is_one_line_however_often_the_build_speaks_of_it() -> None:
    told: list[str] = []
    tell = sparsely(told.append)
    for line in (
        "looking for packages",
        "looking for packages: pandas>=2",
        "looking for packages: pandas-3.1.1.whl",
        "installing 9 packages",
        "installing 9 packages: unpacking",
        "installing 9 packages · 20 MB on disk",
        "passed over: an index",
        "installing 9 packages",
        "verifying",
    ):
        tell(line)
    assert told == ["looking for packages", "installing 9 packages", "passed over: an index", "verifying"]


def test_a_step_that_takes_long_is_told_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    now = [1000.0]
    monkeypatch.setattr("stackyard.cli.building.time.monotonic", lambda: now[0])
    tell = sparsely(told.append)
    for seconds in (0, 10, 10, 10):
        now[0] += seconds
        tell("compiling 9 packages")
    assert len(told) == 2


def test_without_a_terminal_a_watch_prints_as_little(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch("mine") as watch:
        for line in ("installing a", "installing a: unpacking", "verifying"):
            watch.say(line)
    assert capsys.readouterr().err.splitlines() == ["mine: installing a", "mine: verifying"]
