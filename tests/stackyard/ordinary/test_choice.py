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


def test_on_a_gpu_the_builds_for_it_go_first(offer: Offer) -> None:
    assert choose(offered(offer, gpu=True), torch=asks("torch==2.13.0")).stack.name == "new-gpu"


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
        ({"torch": asks("torch==1.10.2"), "python": "3.11"}, "here are Python 3.9 (old)"),
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
