"""The image of an ordinary task in a container: of its stack, and derived from that with what the task lists beyond.

Built once for all tasks that list the same, whoever of several at once comes first; found again without network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from stackyard.errors import BadInputError
from stackyard.machine import docker_engine
from stackyard.ordinary import choice, making
from stackyard.ordinary.choice import Offer
from stackyard.settings import Settings
from stackyard.stacks import definition, derived, images, locks
from stackyard.stacks.definition import StackSpec
from stackyard_task.wishes import Choice, Settled, Wish


def made(wish: Wish, how: Settled, settings: Settings, say: Callable[[str], None]) -> Choice:
    """The image for a task, and the Python in it; what is missing is built now.

    Args:
        wish: what the task wants.
        how: what the operator settled for its queue.
        settings: where stacks and images are.
        say: called with one line whenever there is something new to show.

    Raises:
        BadInputError: the wish cannot be met with the queue's images.
        NotRunnableError: nor can it be had from an index, or there is no engine.
        StackyardError: building failed.
    """
    chosen = choice.choose(
        offer(how, wish.stack, settings),
        named=wish.stack,
        named_by=wish.stack_from,
        python=wish.python,
        torch=making.torch_wanted(wish),
    )
    stack = making.with_packages(chosen.stack, wish, settings, say)
    image = _image(stack, settings, say)
    return Choice(
        images.STACK_PYTHON,
        stack.pin,
        {**stack.environment, **stack.tunables},
        making.pins_of(stack, wish),
        [*chosen.said, *making.replaced_in(stack, chosen.stack), *making.other_sdk(stack, wish)],
        image=image.image_id,
    )


def offer(how: Settled, named: str | None, settings: Settings) -> Offer:
    """The stacks whose images the queue allows, each for the Python that its image has.

    Args:
        how: what the operator settled.
        named: the stack that the task names: of those that were made for a task and have no name of their own, it
            alone counts.
        settings: where stacks and images are.
    """
    defined, recorded = derived.load(settings=settings), images.recorded(settings)
    found = []
    for name in how.images or {}:
        stack = defined.get(name)
        if stack is None and name == named:
            with contextlib.suppress(
                BadInputError
            ):  # derived from another version of its base: nothing runs on it
                stack = derived.without_name(name, settings)
        if stack is not None:
            found.append(_as_in(stack, recorded.get(name)))
    # a stack's own image goes before those derived from it: what a task does not list, it is not given
    order = list(defined)
    found.sort(key=lambda stack: order.index(stack.name) if stack.name in order else len(order))
    # one that has an image, and whose queue does not allow it, is no matter of building
    lacking = [name for name in order if name not in recorded]
    return Offer(
        found, how.stacks, how.default_stack, how.queue, how.gpu, lacking, "stackyard stack image build"
    )


def _as_in(stack: StackSpec, image: images.StackImage | None) -> StackSpec:
    if image is None or stack.base is not None or stack.python == image.python:
        return stack
    return definition.read(stack.folder, running=image.python)


def _image(stack: StackSpec, settings: Settings, say: Callable[[str], None]) -> images.StackImage:
    """The image of a stack; of several processes that need a new one, one builds and the others wait for it."""
    engine = docker_engine.connect()
    if images.why_not(stack, settings, engine) is not None:
        path = settings.home / "images" / f".{stack.digest[:16]}.wanted"
        path.parent.mkdir(parents=True, exist_ok=True)
        with locks.held(path, lambda: say("waiting for another task that builds the same image")):
            try:
                if images.why_not(stack, settings, engine) is not None:
                    return making.with_sdk(
                        stack,
                        settings,
                        lambda wheels: images.build(stack, settings, images.BuildOptions(wheels=wheels), say),
                    )
            finally:
                path.unlink(missing_ok=True)
    return images.recorded(settings)[stack.name]
