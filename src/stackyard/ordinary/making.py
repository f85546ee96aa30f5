"""The environment of an ordinary task: its stack, and on top of it what the task lists beyond.

Made once for all tasks that list the same; found again without network.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from stackyard.errors import AwayError, BadInputError, StackyardError
from stackyard.ordinary import choice, sdk
from stackyard.ordinary.choice import Offer
from stackyard.settings import Settings
from stackyard.stacks import contents, definition, derived, environment, requirements
from stackyard.stacks.definition import StackSpec, canonical
from stackyard.stacks.refusals import RuledOutError
from stackyard.stacks.wanted import Requirements, Wanted
from stackyard_task.wishes import Choice, Settled, Wish

_Got = TypeVar("_Got")
#: What says to pip that no index is to be asked.
NO_INDEX_VARIABLE = "PIP_NO_INDEX"
#: Of replaced packages, so many are named in a sentence.
_MOST_NAMED = 8


def made(wish: Wish, how: Settled, settings: Settings, say: Callable[[str], None]) -> Choice:
    """The Python for a task; whatever is missing is built now.

    Args:
        wish: what the task wants.
        how: what the operator settled for its queue.
        settings: where stacks are.
        say: called with one line whenever there is something new to show.

    Raises:
        BadInputError: the wish cannot be met here.
        AwayError: no index can be reached.
        StackyardError: building failed.
    """
    torch = torch_wanted(wish)
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
    stack = with_packages(chosen.stack, wish, settings, say)
    python = with_sdk(
        stack, settings, lambda wheels: environment.build(stack, settings, wheels, progress=say)
    )
    environment.tend(python)  # one that was built long ago has an older one
    return Choice(
        str(python),
        stack.pin,
        {**stack.environment, **stack.tunables},
        pins_of(stack, wish),
        [*chosen.said, *replaced_in(stack, chosen.stack), *other_sdk(stack, wish), *_brought(python)],
    )


def _brought(python: Path) -> list[str]:
    """What the environment has besides, because a task that still runs in it installed that, as a sentence."""
    more = contents.changes(python.parent.parent)
    return [] if more is None else [f"another task runs in the same environment and changed it: {more}"]


def offer(how: Settled, python: str | None, settings: Settings) -> Offer:
    """The stacks that are built on this machine.

    Args:
        how: what the operator settled.
        python: a Python that stacks which can have several are to have, where that is built.
        settings: where stacks are.
    """
    defined = derived.load(settings=settings)
    found = [
        one
        for stack in defined.values()
        for one in _variants(stack, python)
        if environment.python_of(one, settings) is not None
    ]
    return Offer([*found, definition.NONE], how.stacks, how.default_stack, how.queue, how.gpu, list(defined))


def _variants(stack: StackSpec, python: str | None) -> list[StackSpec]:
    """The stack, after the same for another Python where it can have that."""
    if python is None or stack.python == python or stack.base is not None:
        return [stack]
    other = definition.read(stack.folder, running=python)
    return [other, stack] if other.python == python else [stack]


def _asked(wish: Wish, python: str) -> Requirements:
    return requirements.read_text(wish.requirements or "", wish.requirements_from, python=python)


def torch_wanted(wish: Wish) -> Wanted | None:
    """What the task requires of torch, for whichever Python it then gets."""
    asked = _asked(wish, wish.python or definition.NONE.python)
    return next((one for one in asked.wanted if one.name == "torch"), None)


def with_packages(stack: StackSpec, wish: Wish, settings: Settings, say: Callable[[str], None]) -> StackSpec:
    """The stack with what the task lists; the SDK too, where it lists none: the agent's version, or one that fits."""
    asked = _asked(wish, stack.python)

    def defined(wheels: Path | None) -> StackSpec:
        def also(sdks: str) -> StackSpec:
            return derived.defined(
                stack, asked, settings, wheels=wheels, progress=say, replacing=True, also=[sdks]
            )

        try:
            return also(f"{sdk.NAME}=={metadata.version(sdk.NAME)}")
        except RuledOutError:
            if any(one.name == sdk.NAME for one in asked.wanted):
                raise
            say(
                f"{sdk.NAME} {metadata.version(sdk.NAME)} does not go together with it; looking for one that does"
            )
            return also(sdk.NAME)

    return with_sdk(stack, settings, defined)


def with_sdk(stack: StackSpec, settings: Settings, make: Callable[[Path | None], _Got]) -> _Got:
    """What ``make`` makes; where no index can be asked, from this installation's own SDK besides.

    Args:
        stack: what it is made of: the packages that are there anyway.
        settings: where wheels of the SDK are kept.
        make: called with a folder of wheels; ``None``: the user's, if there is one.

    Raises:
        StackyardError: what ``make`` raises; of a second try only where pip was told to ask no index.
    """
    told = os.environ.get(NO_INDEX_VARIABLE, "").lower() in ("1", "true", "yes", "on")
    users = environment.wheel_folder(None)
    try:
        return make(None)
    except RuledOutError:
        raise
    except StackyardError as error:
        if not told and not (isinstance(error, AwayError)):
            raise
        first = error
    if users is None or not any(users.glob(f"{sdk.NAME}-*.whl")):
        pinned = {canonical(package.name) for package in definition.packages(environment.root(stack))}
        try:
            return make(sdk.wheels(settings, pinned, users))
        except StackyardError as error:
            # what lacks without a network is told as before: nobody knows the folder that we made
            first = error if told else first
    if told and isinstance(first, BadInputError):
        raise BadInputError(f"{first}; {NO_INDEX_VARIABLE} is set here, so no index was asked") from None
    raise first


def other_sdk(stack: StackSpec, wish: Wish) -> list[str]:
    """That the SDK is another than the agent's, where the task did not ask for that."""
    held = next((one.version for one in definition.packages(stack) if canonical(one.name) == sdk.NAME), None)
    own = metadata.version(sdk.NAME)
    if held in (None, own) or any(one.name == sdk.NAME for one in _asked(wish, stack.python).wanted):
        return []
    return [
        f"{sdk.NAME} {held} instead of the agent's {own}, which does not go together with what the task lists"
    ]


def pins_of(stack: StackSpec, wish: Wish) -> dict[str, str]:
    """What the environment has of what the task lists."""
    listed = {one.name for one in _asked(wish, stack.python).wanted}
    held = {canonical(package.name): package.version for package in definition.packages(stack)}
    return {name: held[name] for name in sorted(listed) if name in held}


def replaced_in(stack: StackSpec, base: StackSpec) -> list[str]:
    """What in the environment is other than the stack pins, as a sentence."""
    told = [f"{name} {new} for {old}" for name, (old, new) in sorted(stack.replaced.items())]
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return [f"other than {base.name} pins: {', '.join(told[:_MOST_NAMED])}{more}"] if told else []
