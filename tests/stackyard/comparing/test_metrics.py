"""What is compared, as it is typed and as tasks say it."""

from __future__ import annotations

import math

import pytest

from stackyard.comparing import metrics
from stackyard.comparing.metrics import Wanted, wanted
from stackyard.comparing.task import task_of
from stackyard.errors import BadInputError


def test_a_metric_says_its_choice_and_its_direction() -> None:
    assert wanted("loss/val") == Wanted("loss/val")
    assert wanted("loss/val:min") == Wanted("loss/val", "min")
    assert wanted("acc:more") == Wanted("acc", "last", False)
    assert wanted("loss/val:min:less") == wanted("loss/val:less:min") == Wanted("loss/val", "min", True)
    assert wanted(":monitor:gpu/0 mem").name == ":monitor:gpu/0 mem"
    with pytest.raises(BadInputError, match="is empty"):
        wanted(" ")
    with pytest.raises(BadInputError, match="one figure whose direction is known"):
        wanted("wall_seconds:min")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss/val", 1.0),
        ("a/b/c", 2.0),
        ("accuracy", 3.0),
        ("Summary/accuracy", 3.0),
        ("loss", None),
        ("text/one", None),
        ("flag/one", None),
    ],
)
def test_a_task_s_value_is_found_by_its_name(name: str, value: float | None) -> None:
    series = [
        ("loss", "val", 1.0),
        ("a/b", "c", 2.0),
        ("Summary", "accuracy", 3.0),
        ("text", "one", "1"),
        ("flag", "one", True),
    ]
    document = {
        "id": "0",
        "status": "completed",
        "last_metrics": {
            str(n): {"x": {"metric": title, "variant": variant, "value": value}}
            for n, (title, variant, value) in enumerate(series)
        },
    }
    assert metrics.value_of(task_of(document, 0), wanted(name)) == value


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan, 10**400])
def test_what_is_no_finite_number_is_told_as_such(odd: float) -> None:
    held = {"a": {"b": {"metric": "loss", "variant": "val", "value": odd}}}
    task = task_of({"id": "0", "status": "completed", "last_metrics": held}, 0)
    found = metrics.value_of(task, wanted("loss/val"))
    assert found is not None
    assert not math.isfinite(found)


def test_a_name_that_no_task_has_is_answered_with_those_that_tasks_chose() -> None:
    known = ["Summary/CPU time (s)", ":monitor:machine/cpu", "wall_seconds", "server_seconds", "loss/val"]
    said = str(metrics.unknown(wanted("accuracy"), [*known, "Summary/gap"]))
    assert said.startswith("metric accuracy: no task has it; there are: loss/val, Summary/gap, ")


def test_an_ending_that_means_nothing_is_told_from_a_name_that_is_not_there() -> None:
    said = str(metrics.unknown(wanted("gap:bettr"), ["Summary/gap"]))
    assert said == (
        "metric gap:bettr: gap is there, but 'bettr' behind it means nothing; there are: less, max, min, more"
    )
    assert "'mn' behind it means nothing; near it: min" in str(
        metrics.unknown(wanted("loss/val:mn"), ["loss/val"])
    )
    assert "no task has it" in str(metrics.unknown(wanted("a:b"), ["loss/val"]))


def test_names_that_differ_in_their_unit_alone_are_found() -> None:
    known = ["lat/p50 (ms)", "lat/p50 (s)", "lat/p50", "wall_s", "wall_ms", "loss/val", "size [MB]"]
    assert metrics.units(known) == {"lat/p50": ["lat/p50 (ms)", "lat/p50 (s)"], "wall": ["wall_s", "wall_ms"]}


def test_a_metric_counts_once_and_has_one_direction() -> None:
    assert metrics.read(["a", "a:last", "a:min"]) == [Wanted("a"), Wanted("a", "min")]
    with pytest.raises(BadInputError, match="a is given twice, and not alike"):
        metrics.read(["a:less", "a:more"])
    with pytest.raises(BadInputError, match="60 metrics are more than the 50"):
        metrics.read([f"m{n}" for n in range(60)])
