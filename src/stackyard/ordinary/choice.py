"""Which stack an ordinary task runs on, and why: named, or told by the torch and the Python that it pins.

Pure: stacks and wishes in, one stack and its reason out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackyard.errors import BadInputError
from stackyard.stacks.definition import NONE, StackSpec
from stackyard.stacks.refusals import fits_torch
from stackyard.stacks.wanted import Wanted

#: Of stacks, so many are named in a sentence.
_MOST_NAMED = 6


@dataclass(frozen=True)
class Offer:
    """What is built here, and ``NONE``, which nobody gets who does not ask for it."""

    #: In order of preference.
    stacks: Sequence[StackSpec]
    #: Names that the queue serves; ``None``: all.
    served: Sequence[str] | None = None
    default: str | None = None
    queue: str | None = None
    #: Whether there is a GPU: then builds for it go first, after the default.
    gpu: bool = False
    #: Names of stacks that are defined, whether they can be had here or not.
    defined: Sequence[str] = ()
    #: What makes one of them one that can be had.
    build: str = "stackyard stack build"

    @property
    def usable(self) -> list[StackSpec]:
        """Those that the queue serves, the default first."""
        found = [
            stack
            for stack in self.stacks
            if (self.served is None or stack.name in self.served)
            and (stack is not NONE or self.default == NONE.name)
        ]
        if self.gpu:
            found.sort(key=lambda stack: stack.capability_range is None)
        found.sort(key=lambda stack: stack.name != self.default)
        return found


@dataclass(frozen=True)
class Chosen:
    """A stack, and sentences on why it was taken and what in it is other than the task says."""

    stack: StackSpec
    said: tuple[str, ...]


def choose(
    offer: Offer,
    *,
    named: str | None = None,
    named_by: str = "",
    python: str | None = None,
    torch: Wanted | None = None,
) -> Chosen:
    """The stack for a task.

    Args:
        offer: what can be had.
        named: the stack that the task names.
        named_by: where: "Run/stack".
        python: the Python that its script names, such as "3.11". The SDK writes there whichever ran the script, so a
            stack that is named, or the default, is taken although it has another, and that is said.
        torch: what it requires of torch.

    Raises:
        BadInputError: no stack here has what it wants.
    """
    if named is not None:
        return _named(offer, named, named_by, python)
    usable = offer.usable
    if not usable:
        raise BadInputError(
            f"no stack can be had here{_on(offer.queue)}; build one: stackyard stack build NAME"
        )
    if torch is not None:
        usable = [stack for stack in usable if fits_torch(torch, stack)]
        if not usable:
            raise BadInputError(
                f"{torch.where} asks for {torch.text}; {_here(offer.usable, _torch_of)}; change the line, name a "
                "stack in Run/stack, or have such a stack defined here"
            )
    if python is not None:
        fitting = [stack for stack in usable if stack.python == python]
        default = [stack for stack in usable if stack.name == offer.default]
        # of a default that can have several Pythons, the one that the script names goes first
        fitting = [*(one for one in default if one in fitting), *default, *fitting]
        if not fitting:
            those = "" if torch is None else f"of those with {torch.text}, "
            raise BadInputError(
                f"the task's script names Python {python}; {those}{_here(usable, _python_of)}; set its binary to "
                "python3 for any of them, or name a stack in Run/stack"
            )
        usable = fitting
    stack = usable[0]
    if torch is not None:
        why = f"the task asks for {torch.text}"
    elif stack.name == offer.default:
        why = f"the default of queue {offer.queue}" if offer.queue else "the default here"
    else:
        why = "the first that is here; the task asks for no torch"
    return Chosen(stack, (f"stack {stack.name}: {why}", *_other_python(stack, python)))


def _named(offer: Offer, named: str, named_by: str, python: str | None) -> Chosen:
    found = [stack for stack in offer.stacks if stack.name == named]
    if not found and named in offer.defined and (offer.served is None or named in offer.served):
        raise BadInputError(
            f"{named_by} names {named}, which is not built here; build it: {offer.build} {named}"
        )
    if not found and named not in offer.defined:
        names = ", ".join(dict.fromkeys(stack.name for stack in offer.usable)) or "none"
        raise BadInputError(f"{named_by} names {named[:60]!r}, which is no stack here; here are: {names}")
    if offer.served is not None and named not in offer.served:
        raise BadInputError(
            f"{named_by} names {named}, which queue {offer.queue} does not serve; it serves "
            f"{', '.join(offer.served)}"
        )
    stack = next((one for one in found if one.python == python), found[0])
    return Chosen(stack, (f"stack {stack.name}: named by {named_by}", *_other_python(stack, python)))


def _other_python(stack: StackSpec, python: str | None) -> list[str]:
    if python is None or stack.python == python:
        return []
    return [f"runs with Python {stack.python}, the task's script names {python}"]


def _here(stacks: Iterable[StackSpec], about: Callable[[StackSpec], str]) -> str:
    told: Mapping[str, None] = dict.fromkeys(f"{about(stack)} ({stack.name})" for stack in stacks)
    shown = list(told)[:_MOST_NAMED]
    more = f" and {len(told) - len(shown)} more" if len(told) > len(shown) else ""
    return f"here are {', '.join(shown)}{more}" if shown else "here is no stack"


def _torch_of(stack: StackSpec) -> str:
    if stack.torch is None:
        return "no torch"
    return f"torch {stack.torch} for {'the CPU' if stack.cuda == 'cpu' else f'CUDA {stack.cuda}'}"


def _python_of(stack: StackSpec) -> str:
    return f"Python {stack.python}"


def _on(queue: str | None) -> str:
    return f" on queue {queue}" if queue else ""
