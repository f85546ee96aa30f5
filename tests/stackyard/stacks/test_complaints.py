"""pip's complaints as one sentence: both sides of a conflict, what is missing, and what cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.stacks import complaints, definition, requirements
from stackyard.stacks.complaints import RuledOutError

IMPOSSIBLE = "ERROR: ResolutionImpossible: for help visit"


def sentence(lines: list[str], text: str = "small==2\n", replacing: bool = True) -> StackyardError:
    base = definition.load()[definition.DEFAULT]
    pins = {definition.canonical(package.name): package for package in definition.packages(base)}
    asked = complaints.Asked(
        base,
        requirements.read_text(text, python=base.python),
        pins,
        {"torch"} if replacing else pins,
        Path("pip.log"),
    )
    return complaints.sentence(lines, asked)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [
                "The user requested numpy==9",
                "The user requested numpy",
                "    torch 2.13.0+cpu depends on numpy<9",
            ],
            "the task's requirements, line 2 asks for numpy==9, but torch 2.13.0+cpu of base torch-2.13.0-cpu needs "
            "numpy<9; ask for another version of numpy",
        ),
        (
            [
                "The user requested numpy==9",
                "drain3 0.9.11 depends on numpy<9",
                "drain3 0.9.1 depends on numpy<8",
            ],
            "line 2 asks for numpy==9, but drain3 0.9.11 of base torch-2.13.0-cpu needs numpy<9, and no other drain3 "
            "that was found fits; ask for",
        ),
        (
            ["The user requested numpy==9", "new 1.0 depends on numpy<9"],
            "line 2 asks for numpy==9, but new 1.0 needs numpy<9, and no other new that was found fits",
        ),
        (
            ["new 1.0 depends on torch==1.0"],
            "new 1.0 needs torch==1.0, but base torch-2.13.0-cpu pins torch 2.13.0; ask for another version of new, or "
            "choose a stack with that torch",
        ),
        (
            ["one 1.0 depends on sub<2", "one 0.9 depends on sub<2", "drain3 0.9.11 depends on sub>=2"],
            "the task's requirements: nothing satisfies all of: one 1.0 needs sub<2; drain3 0.9.11 needs sub>=2",
        ),
    ],
)
def test_two_sides_that_contradict_each_other_are_both_named(lines: list[str], said: str) -> None:
    error = sentence([*lines, IMPOSSIBLE], "\nnumpy == 9\nnew\none\n")
    assert isinstance(error, RuledOutError)
    assert said in str(error)
    assert "\n" not in str(error)


def test_what_an_index_that_does_not_answer_may_have_is_no_contradiction() -> None:
    retrying = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: refused'"
    for last in ("ERROR: No matching distribution found for small==2", IMPOSSIBLE):
        assert isinstance(sentence([retrying, last]), NotRunnableError)
    assert isinstance(sentence([retrying, "a 1 depends on b<1", IMPOSSIBLE]), BadInputError)


def test_what_nobody_has_is_named_with_what_there_is() -> None:
    error = sentence(
        [
            "ERROR: Could not find a version that satisfies the requirement small==2 (from versions: 0.9, 1.0)",
            "ERROR: No matching distribution found for small==2",
        ]
    )
    assert "the task's requirements: no file of small==2 was found that fits Python" in str(error)
    assert str(error).endswith("; there are 0.9, 1.0")


def test_versions_that_there_are_are_whole_and_the_newest() -> None:
    few = "0.9, 1.0rc1, 1.0"
    assert complaints.latest(few) == few
    many = ", ".join(f"1.{number}.0rc1" for number in range(40))
    said, _, older = complaints.latest(many).partition(" and ")
    shown = said.split(", ")
    assert shown == many.split(", ")[-len(shown) :]
    assert older == f"{40 - len(shown)} older"
    assert len(said) <= 120
