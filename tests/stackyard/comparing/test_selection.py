"""Which tasks are asked for, and which a server gives."""

from __future__ import annotations

import pytest

from stackyard.comparing import task
from stackyard.comparing.selection import filters, number
from stackyard.errors import BadInputError
from tests.stackyard.comparing.lab import Lab, measured


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status", "expected NAME=VALUE"),
        ("=x", "expected NAME=VALUE"),
        ("status=", "expected NAME=VALUE"),
        ("status=done", "no task has that status; there are: "),
        ("status=complete", "no task has that status; near it: completed"),
        ("lr=0.1", "nothing is filtered by 'lr'"),
        ("statu=failed", "nothing is filtered by 'statu'; near it: status"),
    ],
)
def test_a_filter_that_means_nothing_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        filters([text])


def test_the_same_name_twice_means_either() -> None:
    assert filters(["status=failed", "Args/a=b=c", "status=stopped"]) == {
        "status": ["failed", "stopped"],
        "Args/a": ["b=c"],
    }


def test_a_number_is_one_however_it_is_written() -> None:
    assert number("1e-3") == number("0.001") == number(".0010")
    assert number("3") == number("3.0")
    assert number("9007199254740993") != number("9007199254740992")
    assert number("adam") is number("nan") is None


def test_a_filter_takes_a_number_in_every_spelling_that_a_group_takes(lab: Lab) -> None:
    for lr in ("0.2", "2e-1", "20e-2", "0.3"):
        lab.task({"Args/lr": lr, "Args/n": lr})
    for asked in ("0.2", "2e-1", "+.20"):
        assert labels(lab, filters=filters([f"Args/lr={asked}"])) == {"0.2": 3}
    assert labels(lab, filters=filters(["Args/lr=0.2", "Args/lr=3e-1"])) == {"0.2": 3, "0.3": 1}


def test_a_filter_finds_a_parameter_behind_very_many_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "MOST_PARAMETERS", 1)
    lab.task({"Args/n": "yes", "Args/lr": "0.10"})
    lab.task({"Args/n": "no", "Args/lr": "0.2"})
    assert labels(lab, filters=filters(["Args/lr=0.1"])) == {"yes": 1}


def test_what_tasks_are_grouped_by_is_read_behind_very_many_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "MOST_PARAMETERS", 1)
    lab.task({"Args/a": "1", "Args/n": "yes"})
    assert labels(lab) == {"yes": 1}


def labels(lab: Lab, **selection: object) -> dict[str, int]:
    """Parameter -> how many tasks of it were compared."""
    report = lab.compared("Args/n", **selection)  # type: ignore[arg-type]
    return {cell.axes["Args/n"]: cell.completed for cell in report.workloads[0].cells}


def test_a_server_gives_those_that_fit_everything(lab: Lab) -> None:
    one = lab.task({"Args/n": "one", "Args/lr": "0.1"}, tags=["a", "b"])
    lab.task({"Args/n": "two", "Args/lr": "0.10"}, tags=["a"], name="other")
    lab.task({"Args/n": "three", "Args/lr": "0.1"}, below="inner")
    lab.task({"Args/n": "failed", "Args/lr": "0.1"}, end="failed")
    lab.task({"Args/n": "archived"}, system_tags=["archived"])
    lab.task({"Args/n": "dotted", "Args/net.layers": "3"})
    everything = {"dotted": 1, "failed": 0, "one": 1, "three": 1, "two": 1}
    assert labels(lab) == everything
    assert labels(lab, tags=["a"]) == {"one": 1, "two": 1}
    assert labels(lab, tags=["a", "b"]) == {"one": 1}
    assert labels(lab, filters=filters(["Args/lr=0.10"])) == {"failed": 0, "one": 1, "three": 1, "two": 1}
    assert labels(lab, filters=filters(["Args/lr=.1", "status=failed"])) == {"failed": 0}
    assert labels(lab, filters=filters(["name=other"])) == {"two": 1}
    assert labels(lab, filters=filters(["Args/net.layers=3"])) == {"dotted": 1}
    assert labels(lab, ids=[one], project=None) == {"one": 1}
    assert labels(lab, filters=filters([f"project={lab.project}/inner"])) == {"three": 1}


def test_the_beginning_of_an_id_names_a_task(lab: Lab) -> None:
    one, two = lab.task({"Args/n": "one"}), lab.task({"Args/n": "two"})
    assert labels(lab, ids=[one[:12], two], project=None) == {"one": 1, "two": 1}
    assert labels(lab, ids=[one[:12], one], project=None) == {"one": 1}
    for wrong in ("0" * 12, one[:3], "train"):
        with pytest.raises(BadInputError, match=f"task {wrong}: no server that was asked has that task"):
            labels(lab, ids=[wrong], project=None)


def test_what_a_record_says_is_filtered_by_too(lab: Lab) -> None:
    for stack in ("old", "new"):
        run = measured()
        run.environment.stack = stack
        lab.task({"Args/n": stack}, run=run)
    assert labels(lab, filters=filters(["stack=old"])) == {"old": 1}
    with pytest.raises(BadInputError, match=r"none has the stack ol; near it: old$"):
        labels(lab, filters=filters(["stack=ol"]))
    assert labels(lab, filters=filters(["stack=old", "stack=new", "machine=yard-1"])) == {"new": 1, "old": 1}


def test_what_begins_as_an_operator_of_the_api_is_a_value_like_others(lab: Lab) -> None:
    lab.task({"Args/n": "minus", "Args/x": "-1"}, tags=["-old"])
    lab.task({"Args/n": "plus", "Args/x": "1"}, tags=["old"])
    lab.task({"Args/n": "odd", "Args/x": "__$all"})
    assert labels(lab, filters=filters(["Args/x=-1"])) == {"minus": 1}
    assert labels(lab, filters=filters(["Args/x=-1.0", "Args/x=1"])) == {"minus": 1, "plus": 1}
    assert labels(lab, filters=filters(["Args/x=__$all"])) == {"odd": 1}
    assert labels(lab, tags=["-old"]) == {"minus": 1}
    lab.task({"Args/n": "long", "Args/x": "x" * 300})
    assert labels(lab, filters=filters([f"Args/x={'x' * 300}"])) == {"long": 1}
    with pytest.raises(BadInputError, match="no task has such a type"):
        filters(["type=-training"])


def test_where_nothing_fits_what_is_there_is_told(lab: Lab) -> None:
    lab.task({"Args/lr": "0.1"}, tags=["sweep"])
    for asked, said in (
        ({"tags": ["sweeps"]}, "no task fits: .*; none has the tag sweeps; near it: sweep"),
        ({"filters": {"Args/lrr": ["0.1"]}}, "none has the parameter Args/lrr; near it: Args/lr"),
        ({"filters": {"Args/lr": ["5"]}}, "no task fits: .*Args/lr=5$"),
    ):
        with pytest.raises(BadInputError, match=said):
            labels(lab, **asked)  # type: ignore[arg-type]
