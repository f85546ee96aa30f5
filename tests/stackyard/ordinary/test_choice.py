"""Which stack an ordinary task gets, and which sentence where none has what it wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.ordinary.choice import Offer, choose
from stackyard.stacks import definition
from stackyard.stacks.definition import NONE, StackSpec
from stackyard.stacks.wanted import Wanted


def stack(
    folder: Path, name: str, torch: str | None, cuda: str | None = "cpu", python: str = "3.11"
) -> StackSpec:
    place = folder / f"{name}-{python}"
    place.mkdir()
    lock = "small==1.0\n" + (f"torch=={torch}\n" if torch else "")
    (place / definition.LOCK_FILE).write_text(lock)
    capability = None if cuda in (None, "cpu") else (3.7, 9.0)
    return StackSpec(
        name, python, torch, cuda if torch else None, "0" * 64, place, capability_range=capability
    )


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    return Offer(
        [
            stack(tmp_path, "new", "2.13.0"),
            stack(tmp_path, "new-gpu", "2.13.0", "12.6"),
            stack(tmp_path, "old", "1.10.2", "10.2", "3.9"),
            stack(tmp_path, "plain", None),
            NONE,
        ],
        queue="cpu",
    )


def asks(text: str) -> Wanted:
    return Wanted(text, "the task's requirements, line 3")


def offered(offer: Offer, **changes: object) -> Offer:
    return Offer(**{**vars(offer), **changes})


@pytest.mark.parametrize(
    ("torch", "name"),
    [
        ("torch==2.13.0", "new"),
        ("torch==2.13.0+cu126", "new-gpu"),
        ("torch>=1.10,<2", "old"),
        ("torch", "new"),
        ("torch==2.13.0+cpu", "new"),
    ],
)
def test_the_torch_that_a_task_lists_chooses(offer: Offer, torch: str, name: str) -> None:
    chosen = choose(offer, torch=asks(torch))
    assert chosen.stack.name == name
    assert chosen.said == (f"stack {name}: the task asks for {torch}",)


def test_a_stack_that_is_named_goes_before_everything_and_what_differs_is_said(offer: Offer) -> None:
    chosen = choose(offer, named="old", named_by="Run/stack", python="3.11", torch=asks("torch==2.13.0"))
    assert chosen.said == (
        "stack old: named by Run/stack",
        "runs with Python 3.9, the task's script names 3.11",
    )
    assert choose(offer, named="none", named_by="Run/stack").stack is NONE


def test_the_default_of_a_queue_is_for_tasks_that_ask_for_nothing_else(offer: Offer) -> None:
    with_default = offered(offer, default="plain")
    assert choose(with_default).said == ("stack plain: the default of queue cpu",)
    assert choose(with_default, torch=asks("torch==1.10.2")).stack.name == "old"
    assert choose(offer).stack.name == "new", "without one, the first that is here"
    assert choose(offered(offer, default="none")).stack is NONE
    assert choose(offered(offer, default="old"), torch=asks("torch")).stack.name == "old"


def test_the_default_of_a_queue_is_taken_whichever_python_ran_the_script_before(offer: Offer) -> None:
    with_default = offered(offer, default="old")
    said = ("stack old: the default of queue cpu", "runs with Python 3.9, the task's script names 3.11")
    assert choose(with_default, python="3.11").said == said
    assert choose(with_default, python="3.13").stack.name == "old", "also one that is nowhere here"
    assert choose(with_default, python="3.9").said == said[:1]
    assert choose(with_default, python="3.11", torch=asks("torch==2.13.0")).said == (
        "stack new: the task asks for torch==2.13.0",
    )
    assert choose(offered(offer, default="none"), python="3.1").stack is NONE
    assert choose(offer, python="3.9").stack.name == "old", (
        "without a default those with that Python go first"
    )


def test_of_a_default_with_several_pythons_the_one_that_is_named_goes_first(
    offer: Offer, tmp_path: Path
) -> None:
    several = [*offer.stacks, stack(tmp_path, "plain", None, python="3.13")]
    for python in ("3.11", "3.13"):
        chosen = choose(offered(offer, stacks=several, default="plain"), python=python)
        assert (chosen.stack.name, chosen.stack.python, len(chosen.said)) == ("plain", python, 1)


def test_on_a_gpu_the_builds_for_it_go_first_after_the_default(offer: Offer) -> None:
    assert choose(offered(offer, gpu=True), torch=asks("torch==2.13.0")).stack.name == "new-gpu"
    assert choose(offered(offer, gpu=True, default="plain")).stack.name == "plain"


def test_a_stack_that_is_defined_and_not_built_says_how_to_build_it(offer: Offer) -> None:
    known = offered(offer, defined=["new", "later"])
    with pytest.raises(BadInputError) as caught:
        choose(known, named="later", named_by="Run/stack")
    assert str(caught.value) == (
        "Run/stack names later, which is not built here; build it: stackyard stack build later"
    )
    with pytest.raises(BadInputError, match="later, which queue cpu does not serve; it serves old"):
        choose(offered(known, served=["old"]), named="later", named_by="Run/stack")


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (
            {"torch": asks("torch==1.13.0")},
            "the task's requirements, line 3 asks for torch==1.13.0; here are torch 2.13.0 for the CPU (new), torch "
            "2.13.0 for CUDA 12.6 (new-gpu), torch 1.10.2 for CUDA 10.2 (old), no torch (plain); change the line, name "
            "a stack in Run/stack, or have such a stack defined here",
        ),
        ({"torch": asks("torch==2.13.0+cu118")}, "here are torch 2.13.0 for the CPU"),
        (
            {"python": "3.13"},
            "the task's script names Python 3.13; here are Python 3.11 (new), Python 3.11 (new-gpu), Python 3.9 (old), "
            "Python 3.11 (plain); set its binary to python3 for any of them, or name a stack in Run/stack",
        ),
        (
            {"named": "newer", "named_by": "the user property stack"},
            "the user property stack names 'newer', which is no stack here; here are: new, new-gpu, old, plain",
        ),
        (
            {"torch": asks("torch==1.10.2"), "python": "3.11"},
            "the task's script names Python 3.11; of those with torch==1.10.2, here are Python 3.9 (old); set",
        ),
    ],
    ids=["torch", "cuda", "python", "name", "python of the fitting torch"],
)
def test_what_cannot_be_met_names_what_is_wanted_and_what_is_here(
    offer: Offer, wish: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        choose(offer, **wish)  # type: ignore[arg-type]
    assert sentence in str(caught.value)


def test_a_queue_serves_what_it_serves(offer: Offer) -> None:
    served = offered(offer, served=["old"])
    assert choose(served).stack.name == "old"
    with pytest.raises(BadInputError, match="new, which queue cpu does not serve; it serves old"):
        choose(served, named="new", named_by="Run/stack")
    with pytest.raises(BadInputError, match="no stack can be had here on queue cpu; build one"):
        choose(offered(offer, served=["other"]))
