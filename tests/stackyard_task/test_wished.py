"""What a task's document wishes of its environment, and what of it nobody follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard_task import wished
from stackyard_task.wishes import Settled, Wish


def document(**script: Any) -> dict[str, Any]:
    return {"id": "one", "name": "work", "script": script}


def test_a_wish_is_read_from_the_task_else_from_its_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "requirements.txt").write_text("tabulate\n")
    listed = document(
        requirements={"pip": "# Python 3.11\n\nnumpy == 1\n"}, repository="r", binary="python3.9"
    )
    wish = wished.wish_of(listed, tmp_path / "sub")
    assert (wish.requirements, wish.python) == ("# Python 3.11\n\nnumpy == 1\n", "3.9")
    comments = document(requirements={"pip": "# only\n"}, repository="r", binary="/usr/bin/python3")
    wish = wished.wish_of(comments, tmp_path / "sub")
    assert (wish.requirements, wish.requirements_from, wish.python) == (
        "tabulate\n",
        "the repository's requirements.txt",
        None,
    )
    assert wished.wish_of(document(requirements={}), tmp_path).requirements is None, "there is no repository"
    (tmp_path / "sub" / "requirements.txt").write_text("six\n")
    assert wished.wish_of(document(repository="r"), tmp_path / "sub").requirements == "six\n"


@pytest.mark.parametrize(
    ("sections", "stack", "said"),
    [
        (
            {"Run": {"stack": {"value": "mine"}}, "properties": {"stack": {"value": "other"}}},
            "mine",
            "Run/stack",
        ),
        ({"properties": {"stack": {"value": " mine "}}}, "mine", "the user property stack"),
        ({"Run": {"stack": {"value": ""}}, "Args": None, "odd": "text"}, None, ""),
    ],
)
def test_a_stack_is_named_by_the_form_or_by_a_property(
    tmp_path: Path, sections: dict[str, Any], stack: str | None, said: str
) -> None:
    wish = wished.wish_of({**document(), "hyperparams": sections}, tmp_path)
    assert (wish.stack, wish.stack_from) == (stack, said)


_REST = "of section Run, Stackyard reads stack and time_limit_seconds"


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"stack": "mine", "time_limit_seconds": "60"}, []),
        (
            {"stak": "mine", "Stack": "mine", "time_limit": "9"},
            [
                "Run/Stack is no parameter of Stackyard's and changes nothing here; is Run/stack meant?",
                "Run/stak is no parameter of Stackyard's and changes nothing here; is Run/stack meant?",
                "Run/time_limit is no parameter of Stackyard's and changes nothing here; is Run/time_limit_seconds "
                "meant?",
            ],
        ),
        (
            {"lr": "0.1", "threads": "4"},
            [f"left to the script: Run/lr, Run/threads; {_REST}"],
        ),
        (
            {f"p{i}": "1" for i in range(9)},
            [f"left to the script: Run/p0, Run/p1, Run/p2, Run/p3, Run/p4 and 4 more; {_REST}"],
        ),
    ],
)
def test_what_nobody_follows_of_the_section_run_is_said(run: dict[str, str], said: list[str]) -> None:
    task = {**document(), "hyperparams": {"Run": {name: {"value": value} for name, value in run.items()}}}
    settled = Settled("python", queue="cpu")
    assert wished.not_followed(task, wished.wish_of(task, None), settled) == said
    assert wished.not_followed(task, Wish(), None) == [], "another's machine: nobody reads the section"


def test_a_stack_that_is_named_where_the_agent_makes_environments_is_said() -> None:
    task = {**document(), "hyperparams": {"Run": {"stack": {"value": "mine"}, "lr": {"value": "1"}}}}
    settled = Settled("python", queue="anything", environment="agent")
    assert wished.not_followed(task, wished.wish_of(task, None), settled) == [
        "Run/stack is not followed: tasks of queue anything run in the environment of their agent"
    ]


@pytest.mark.parametrize(
    ("value", "seconds", "said"),
    [
        ("60", 60.0, []),
        (" ", None, []),
        ("soon", None, ["Run/time_limit_seconds is 'soon', expected a number above 0; no limit is held"]),
        ("-1", None, ["Run/time_limit_seconds is '-1', expected a number above 0; no limit is held"]),
        ("inf", None, ["Run/time_limit_seconds is 'inf', expected a number above 0; no limit is held"]),
    ],
)
def test_a_limit_that_cannot_be_read_is_said(value: str, seconds: float | None, said: list[str]) -> None:
    task = {**document(), "hyperparams": {"Run": {"time_limit_seconds": {"value": value}}}}
    assert wished.time_limit_of(task) == (seconds, said)


def test_changes_of_what_is_read_of_a_repository_go_with_the_wish() -> None:
    for diff, changes in (("+++ b/requirements.txt\n", "+++ b/requirements.txt\n"), ("+++ b/x.py\n", "")):
        task = document(repository="r", diff=diff, requirements={})
        repository = wished.wish_of(task, None).repository
        assert repository is not None
        assert repository.changes == changes
