"""The image of an ordinary task: which stacks count, and that it is built once, whoever asks."""

from __future__ import annotations

import shutil
import threading
from importlib import metadata
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.machine.docker_engine import Engine
from stackyard.ordinary import imaging
from stackyard.stacks import images
from stackyard.stacks.definition import StackSpec
from stackyard.stacks.images import STACK_PYTHON, BuildOptions
from stackyard_task.wishes import Choice, Settled, Wish
from tests.stackyard.fake_stacks import Depot, wheel
from tests.stackyard.stacks.test_images import AGENTS, NAME, base, fake, tidy  # noqa: F401 fixtures


def test_only_stacks_with_an_image_that_the_queue_allows_count(fake: StackSpec, depot: Depot) -> None:  # noqa: F811
    assert imaging.offer(Settled("python", images={}), None, depot.settings).usable == []
    found = imaging.offer(
        Settled("python", images={NAME: "sha256:1", "gone": "sha256:2"}), None, depot.settings
    )
    assert [stack.name for stack in found.usable] == [NAME]
    with pytest.raises(BadInputError, match="no stack can be had here on queue boxes"):
        imaging.made(Wish(), Settled("python", queue="boxes", images={}), depot.settings, print)
    with pytest.raises(BadInputError, match="Run/stack names 'gone', which is no stack here"):
        imaging.made(
            Wish(stack="gone", stack_from="Run/stack"), Settled("python", images={}), depot.settings, print
        )
    with pytest.raises(
        BadInputError, match=f"{NAME}, which is not built here; build it: stackyard stack image build"
    ):
        imaging.made(
            Wish(stack=NAME, stack_from="Run/stack"), Settled("python", images={}), depot.settings, print
        )


@pytest.mark.engine
@pytest.mark.long
def test_of_two_tasks_that_need_the_same_image_one_builds_it_and_later_ones_find_it(
    fake: StackSpec,  # noqa: F811
    depot: Depot,
    base: str,  # noqa: F811
    tidy: Engine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(AGENTS / "derived.Dockerfile", depot.definitions.parent)
    wheel(depot.wheels, "clearml", metadata.version("clearml"), {"clearml/__init__.py": ""})
    wheel(depot.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    below = images.build(fake, depot.settings, BuildOptions(base=base))
    how = Settled("python", queue="boxes", images={NAME: below.image_id})
    wish = Wish(requirements="small==2.0\n")
    built: list[str] = []
    build = images.build

    def counted(stack: StackSpec, *rest: object, **more: object) -> images.StackImage:
        built.append(stack.name)
        return build(stack, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "build", counted)
    found: list[Choice] = []

    def ask() -> None:
        found.append(imaging.made(wish, how, depot.settings, lambda text: None))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    ask()
    assert len(built) == 1
    assert len(found) == 3
    assert len({one.image for one in found}) == 1
    choice = found[0]
    assert choice.image is not None
    assert choice.image != below.image_id
    assert (choice.python, choice.pins) == (STACK_PYTHON, {"small": "2.0"})
    assert choice.said == [
        f"stack {NAME}: the first that is here; the task asks for no torch",
        f"other than {NAME} pins: small 2.0 for 1.0",
    ]
    script = "import clearml, small; print(small.x)"
    assert tidy.output(choice.image, [STACK_PYTHON, "-c", script])[:2] == (0, "2\n")
    assert choice.stack is not None
    assert choice.stack.digest == images.recorded(depot.settings)[choice.stack.name].stack_digest
    assert not list(Path(depot.settings.home, "images").glob("*/context")), "nothing half-made is left"
    assert not list(Path(depot.settings.home, "images").glob(".*.wanted")), "nor what was waited for"
