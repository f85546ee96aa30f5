"""The environment of an ordinary task: its stack, and on top of it what the task lists beyond.

Made once for all tasks that list the same; found again without network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from stackyard.errors import BadInputError
from stackyard.ordinary import choice
from stackyard.ordinary.choice import Chosen, Offer
from stackyard.settings import Settings
from stackyard.stacks import definition, derived, environment, requirements
from stackyard.stacks.definition import StackSpec
from stackyard.stacks.wanted import Wanted
from stackyard_task.wishes import Choice, Settled, Wish

#: Scripts of tasks import the SDK, whether they list it or not.
SDK = "clearml"


def made(wish: Wish, how: Settled, settings: Settings, say: Callable[[str], None]) -> Choice:
    """The Python for a task; whatever is missing is built now.

    Args:
        wish: what the task wants.
        how: what the operator settled for its queue.
        settings: where stacks are.
        say: called with one line whenever there is something new to show.

    Raises:
        BadInputError: the wish cannot be met here.
        NotRunnableError: nor can it be had from an index, for that cannot be reached or has it not.
        StackyardError: building failed.
    """
    torch = _torch_wanted(wish)
    chosen = choice.choose(
        offer(how, wish.python, settings),
        named=wish.stack,
        named_by=wish.stack_from,
        python=wish.python,
        torch=torch,
    )
    if chosen.stack is definition.NONE:
        if wish.requirements is not None:
            raise BadInputError(
                f"{wish.requirements_from} cannot be had: stack none is the Python of this machine's agents as it is; "
                "name a stack in Run/stack"
            )
        return Choice(how.python, said=list(chosen.said))
    stack = _with_packages(chosen, wish, settings, say)
    python = environment.build(stack, settings, progress=say)
    return Choice(
        str(python),
        stack.pin,
        {**stack.environment, **stack.tunables},
        list(chosen.said),
    )


def offer(how: Settled, python: str | None, settings: Settings) -> Offer:
    """The stacks that are built on this machine.

    Args:
        how: what the operator settled.
        python: a Python that stacks which can have several are to have, where that is built.
        settings: where stacks are.
    """
    found = [
        one
        for stack in derived.load(settings=settings).values()
        for one in _variants(stack, python)
        if environment.python_of(one, settings) is not None
    ]
    return Offer([*found, definition.NONE], how.stacks, how.default_stack, how.queue, how.gpu)


def _variants(stack: StackSpec, python: str | None) -> list[StackSpec]:
    """The stack, after the same for another Python where it can have that."""
    if python is None or stack.python == python or stack.base is not None:
        return [stack]
    other = definition.read(stack.folder, running=python)
    return [other, stack] if other.python == python else [stack]


def _torch_wanted(wish: Wish) -> Wanted | None:
    if wish.requirements is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(wish.requirements, encoding="utf-8")
        asked = requirements.read(file, wish.python or "3.11")
    return next((one for one in asked.wanted if one.name == "torch"), None)


def _with_packages(chosen: Chosen, wish: Wish, settings: Settings, say: Callable[[str], None]) -> StackSpec:
    text = wish.requirements or ""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        sdk = "" if SDK in text else f"\n{SDK}=={metadata.version(SDK)}\n"
        file.write_text(text + sdk, encoding="utf-8")
        return derived.defined(chosen.stack, file, settings, progress=say)
