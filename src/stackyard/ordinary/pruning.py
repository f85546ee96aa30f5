"""What ordinary tasks had made and nobody wants any more: environments and images, each with when it was last used.

Only derived stacks without a name of their own are looked at, and of images those of an older build as well. What goes
is made again from its lock when a task needs it. What a process or a container uses stays, and so does what was
wanted a moment ago: a task may be about to start in it.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.machine.docker_engine import Engine
from stackyard.settings import Settings
from stackyard.stacks import derived, environment, images
from stackyard.stacks.sizes import size_bytes
from stackyard_task.records import RecordError, read_json
from stackyard_task.wishes import CHOICES_FOLDER, Choice

#: Where agents have ``stackyard_task.chosen`` keep what was chosen: a file is touched whenever a task starts by it.
CHOICES = f"agents/cache/{CHOICES_FOLDER}"
#: What was wanted so lately may be started in just now.
_JUST_NOW_SECONDS = 600.0


@dataclass(frozen=True)
class Made:
    """One environment or image that was made for tasks."""

    #: Of its stack.
    name: str
    #: The environment's folder, or the image's id.
    where: str
    #: What removing it gives back; of an image its whole size, of which it may share layers.
    bytes: int
    #: Epoch seconds.
    used_at: float
    #: Of an image: a later one has taken its place.
    replaced: bool = False
    #: Why it stays whatever its age; ``None``: it may go.
    kept: str | None = None


def environments(settings: Settings) -> list[Made]:
    """The environments of derived stacks without a name, and what interrupted builds of such left; by last use."""
    used = _used(settings)
    found = []
    for folder in environment.unused(derived.load(settings=settings), settings):
        if "+" not in folder.name:  # it stands on its own: another Python's, or of older pins
            continue
        name = str(environment.marker(folder).get("name") or folder.name)
        at = max(environment.last_used(folder), used.get(str(folder / "bin" / "python"), 0.0))
        user = environment.used_by(folder)
        kept = None if user is None else f"process {user} uses it"
        found.append(Made(name, str(folder), size_bytes(folder, only_here=True), at, kept=kept))
    return sorted(found, key=lambda one: one.used_at)


def images_made(settings: Settings, engine: Engine) -> list[Made]:
    """The images of derived stacks without a name, and those that a later build replaced; by last use.

    Images of other installations and images that Stackyard did not build are not among them: labels tell.
    """
    held, defined, used = images.recorded(settings), derived.load(settings=settings), _used(settings)
    names = {image.image_id: name for name, image in held.items()}
    ours = {one.id: one for one in engine.images(label=f"{images.HOME_LABEL}={images.mark(settings)}")}
    for id in names:
        if id not in ours and (image := engine.image(id)) is not None and images.STACK_LABEL in image.labels:
            ours[id] = image
    in_use, below = engine.images_in_use(), {image.base_id for image in held.values()}
    found = []
    for id, image in ours.items():
        name = names.get(id)
        if name is not None and name in defined:
            continue
        kept = None
        if id in in_use:
            kept = "a container uses it"
        elif id in below:
            kept = "another image is built on it"
        at = max(_epoch(image.created_at), _epoch(held[name].built_at if name else None), used.get(id, 0.0))
        shown = name or image.labels.get(images.STACK_LABEL, "?")
        found.append(Made(shown, id, image.size_bytes, at, name is None, kept))
    return sorted(found, key=lambda one: one.used_at)


def pruned(
    found: list[Made], older_than_seconds: float, remove: Callable[[Made], int], now: float | None = None
) -> Iterator[tuple[Made, str | None]]:
    """Remove what may go and was not used for so long; each with the reason why it stays, or ``None``.

    Args:
        found: what there is.
        older_than_seconds: what was used later stays without a word.
        remove: removes one; bytes that this gave back.
        now: epoch seconds; ``None``: the clock's.
    """
    before = (time.time() if now is None else now) - max(older_than_seconds, _JUST_NOW_SECONDS)
    for one in found:
        if one.used_at > before:
            continue
        why = one.kept
        if why is None:
            try:
                remove(one)
            except StackyardError as error:
                why = str(error)
        yield one, why


def remove_environment(one: Made, settings: Settings) -> int:
    """Remove an environment; the bytes that this gives back.

    Raises:
        BadInputError: a process uses it, or builds it.
    """
    given = environment.remove(Path(one.where), settings)
    _forget_choices(settings, str(Path(one.where) / "bin" / "python"))
    return given


def remove_image(one: Made, settings: Settings, engine: Engine) -> int:
    """Remove an image; its bytes.

    Raises:
        StackyardError: a container or another image uses it.
    """
    if one.where in engine.images_in_use():
        raise BadInputError("a container uses it")
    engine.remove_image(one.where)
    if not one.replaced:
        images.forget(one.name, settings)
    _forget_choices(settings, one.where)
    return one.bytes


def forget_old_choices(settings: Settings, older_than_seconds: float, now: float | None = None) -> None:
    """Forget what was chosen for tasks that nobody has run for so long, whether or not its environment stays.

    Args:
        settings: whose.
        older_than_seconds: since the last task that started by it.
        now: epoch seconds; ``None``: the clock's.
    """
    before = (time.time() if now is None else now) - max(older_than_seconds, _JUST_NOW_SECONDS)
    for file in (settings.home / CHOICES).glob("*.json"):
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < before:
                file.unlink()


def _epoch(moment: str | None) -> float:
    with contextlib.suppress(ValueError):
        return datetime.datetime.fromisoformat(moment).timestamp() if moment else 0.0
    return 0.0


def _used(settings: Settings) -> dict[str, float]:
    """Python or image id -> when a task was last started by it, as far as the kept choices tell."""
    found: dict[str, float] = {}
    for file, key in _choices(settings):
        with contextlib.suppress(OSError):
            found[key] = max(file.stat().st_mtime, found.get(key, 0.0))
    return found


def _forget_choices(settings: Settings, gone: str) -> None:
    for file, key in _choices(settings):
        if key == gone:
            file.unlink(missing_ok=True)


def _choices(settings: Settings) -> Iterator[tuple[Path, str]]:
    """(file, the Python or the image's id that was chosen in it)."""
    for file in (settings.home / CHOICES).glob("*.json"):
        with contextlib.suppress(RecordError):
            choice = read_json(Choice, file)
            yield file, choice.image or choice.python
