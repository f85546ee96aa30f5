"""The environment of a stack: one venv per digest below ``home/stacks``; built, found, removed.

A derived stack's is found by its digest alone: what is called otherwise and asks for the same has it too.

A venv cannot be renamed into place (its scripts carry its path), so it is built where it stays and counts
only once its marker file, written last, is there. Whatever has no marker is a leftover, cleared away by
the next build. Builders of one stack wait for each other on a file lock, which the commands of a build
inherit: it is free only when nothing builds any more, even if the builder itself was killed.

What runs in an environment can install into it. The marker says what was there (``contents``): a derived environment
that has something else is built anew, and one that others stand on is refused until somebody builds it again.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.settings import Settings
from stackyard.stacks import contents, hook, locks, sharing
from stackyard.stacks.contents import marker
from stackyard.stacks.definition import MARKER, NONE, StackSpec
from stackyard.stacks.sizes import size_bytes, sizes
from stackyard_task import installed
from stackyard_task.records import RecordError, read_json, write_json

# Whether an environment is there is asked where a task's start waits: what builds one is loaded when one is built.
if TYPE_CHECKING:
    from stackyard.machine.hardware import Machine
    from stackyard.stacks.installation import Progress

#: A local folder of wheels to build from, where --wheels is not given.
WHEELS_VARIABLE = "STACKYARD_WHEELS"
#: An environment that is to be built anew is waited for so long, where something runs in it; looked at so often.
_USED_SECONDS, _LOOK_SECONDS = 300.0, 0.5


def location(stack: StackSpec, settings: Settings) -> Path:
    """Where the environment of ``stack`` is, or will be."""
    name = f"{stack.name}-" if stack.base is None else f"{root(stack).name}+"
    return _top(settings) / f"{name}{stack.digest[:12]}"


def root(stack: StackSpec) -> StackSpec:
    """The stack that stands on its own, below all that is derived."""
    while stack.base is not None:
        stack = stack.base
    return stack


def python_of(stack: StackSpec, settings: Settings) -> Path | None:
    """The interpreter of the built environment; ``None``: not built, or its Python is gone."""
    if stack is NONE:
        return Path(sys.executable)
    folder = location(stack, settings)
    python = folder / "bin" / "python"
    return python if marker(folder).get("digest") == stack.digest and python.exists() else None


def changed(stack: StackSpec, settings: Settings) -> str | None:
    """What its environment has otherwise than it was built with, and what mends it; ``None``: nothing."""
    if stack is NONE or python_of(stack, settings) is None:
        return None
    what = contents.changes(location(stack, settings))
    return None if what is None else _was_changed(stack, what)


def why_not(stack: StackSpec, settings: Settings, machine: Machine, gpus: int = 0) -> str | None:
    """Why ``stack`` cannot run here and now; ``None``: it can.

    Starts no build and asks no index: that an index is unreachable is known from the last build that tried.

    Args:
        stack: the stack.
        settings: where environments are.
        machine: what this machine is.
        gpus: how many GPUs the run needs; CUDA builds run on the CPU as well.
    """
    reason = _why_no_gpu(stack, machine, gpus)
    if reason is None:
        unbuilt = python_of(stack, settings) is None
        reason = _why_not_built(stack, settings) if unbuilt else changed(stack, settings)
    return reason


def can_be_built(stack: StackSpec, settings: Settings) -> bool:
    """Whether a build has a chance: its Python is here, and the last try (if any) was not refused; its base's too."""
    if _refusal(stack, settings) is not None:
        return False
    if stack.base is not None and python_of(stack.base, settings) is None:
        return can_be_built(stack.base, settings)
    return _why_no_python(stack.python) is None


def build(
    stack: StackSpec,
    settings: Settings,
    wheels: Path | None = None,
    progress: Progress | None = None,
    mend: bool = False,
) -> Path:
    """The interpreter of the stack's environment, built now unless it is there already; its base's first.

    One that has other packages than it was built with is built anew, where it stands on a base.

    Interrupted or failed, it leaves nothing that counts as built. Files pip has downloaded completely stay in
    pip's cache, so a second try repeats only what is missing.

    Args:
        stack: what to build.
        settings: where environments are.
        wheels: a local folder of wheels, tried first; ``None``: $STACKYARD_WHEELS, if set.
        progress: called with one line whenever there is something new to show.
        mend: also build one anew that stands on its own.

    Raises:
        NotRunnableError: no Python, no source with the wanted build, or no disk space; the reason is kept for
            ``why_not``.
        StackyardError: pip failed, or what was installed is not what is pinned; or what is there has other packages
            than it was built with, and stays.
    """
    say = progress or (lambda text: None)
    python, folder = python_of(stack, settings), location(stack, settings)
    if stack is NONE and python is not None:
        return python
    if python is not None and contents.is_known(folder, marker(folder)):
        with contextlib.suppress(OSError):  # when it was last wanted; nothing hangs on it but what may go
            os.utime(folder / MARKER)
        return python
    from stackyard.stacks import indexes, installation

    if python is not None:
        writable = os.access(folder.parent, os.W_OK)
        with _locked(folder, say) if writable else contextlib.nullcontext():
            python = _as_built(stack, settings, say, mend)
        if python is not None:
            return python
    wheels = wheel_folder(wheels)
    if stack.base is not None:
        build(stack.base, settings, wheels, progress)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{folder.parent}: stacks cannot be kept there ({error.strerror})") from error
    refusal = _refusal_path(folder)
    with _locked(folder, say) as lock:
        python = _as_built(stack, settings, say, mend)  # another builder may have finished while we waited
        if python is not None:
            return python
        try:
            started = time.monotonic()
            with _held_base(stack, settings, say) as base:
                facts = installation.install(stack, folder, wheels, say, [lock], base)
            built = {"name": stack.name, "digest": stack.digest, **facts, "built_at": _now()}
            size, own = sizes(folder)
            if base is not None:
                shared = size - own if facts["shared_by"] == "hard links" else None
                built |= {"base": base.name, "shared_bytes": shared}
            took = {"seconds": round(time.monotonic() - started, 1), "bytes": size}
            write_json({**built, **took, **contents.noted(folder)}, folder / MARKER)
        except indexes.NoSourceError as error:
            write_json({"at": _now(), "reason": str(error)}, refusal)
            raise
        finally:
            if not marker(folder):
                shutil.rmtree(folder, ignore_errors=True)
        refusal.unlink(missing_ok=True)
    return folder / "bin" / "python"


def _as_built(stack: StackSpec, settings: Settings, say: Progress, mend: bool) -> Path | None:
    """The interpreter of an environment that is as it was built; ``None``: it is to be built. Its lock is held.

    One that has more than that is as good, as long as something runs in it.

    Raises:
        StackyardError: it is not, and stays so.
    """
    python, folder = python_of(stack, settings), location(stack, settings)
    if python is None or contents.is_known(folder, marker(folder)):
        return python
    what = contents.differs(stack, folder)
    if what is None:  # copied from elsewhere, by an older Stackyard, or put back by hand
        _tended(python, folder, marker(folder))
        return python
    if stack.base is None and not mend:
        raise StackyardError(f"{stack.name}: {_was_changed(stack, what)}")
    say(f"{folder.name} has other packages than it was built with ({what}); it is built anew")
    deadline = time.monotonic() + _USED_SECONDS
    while (user := used_by(folder)) is not None:
        if installed.has_all(str(folder), marker(folder)):
            return python  # what runs in it brought more, and took nothing away: whoever comes next is told
        if time.monotonic() > deadline:
            raise StackyardError(
                f"{folder.name} has other packages than it was built with ({what}), and process {user} still runs in "
                "it; try again when that has ended, and list what a task needs among its packages"
            )
        say(f"{folder.name} has other packages than it was built with ({what}); waiting for process {user}")
        time.sleep(_LOOK_SECONDS)
    (folder / MARKER).unlink(missing_ok=True)
    return None


def tend(python: Path) -> None:
    """Renew what an environment that we built has beside its packages: start-up hook, and what starts its programs.

    The marker goes on to say what is installed. Where a build is under way, nothing is done.

    Args:
        python: its interpreter; any other's is left alone.
    """
    folder = python.parent.parent
    told = marker(folder)
    if not told:
        hook.ensure(python)
    elif not (contents.is_known(folder, told) and hook.installed(python)):
        with contextlib.suppress(BadInputError, OSError), _locked(folder, wait=False):
            told = marker(folder)
            _tended(
                python, folder, told if contents.tells(told) and contents.changes(folder) is None else None
            )


def _tended(python: Path, folder: Path, told: dict[str, Any] | None) -> None:
    """The same, with the environment's lock held.

    Args:
        python: its interpreter.
        folder: the environment.
        told: what its marker says, where what is there is known to be right; ``None``: it stays as it is.
    """
    hook.ensure(python)
    with contextlib.suppress(OSError):  # a home that cannot be written is looked at again the next time
        sharing.mend_scripts(folder)
        noted = contents.noted(folder)
        if told is not None and contents.agree(told, noted):  # else somebody installs just now
            write_json({**told, **noted}, folder / MARKER)


def remove(folder: Path, settings: Settings) -> int:
    """Remove one environment; the bytes that this gives back. What was derived from it keeps the files it shares.

    Raises:
        BadInputError: ``folder`` is not an environment below home/stacks, or is being built or used.
    """
    top = _top(settings)
    if folder.parent != top or folder.is_symlink() or not folder.is_dir():
        raise BadInputError(f"{folder}: not a stack's environment; those are right below {top}")
    user = used_by(folder)
    if user is not None:
        raise BadInputError(f"{folder.name} is in use by process {user}; end that first")
    with _locked(folder, wait=False):
        size = size_bytes(folder, only_here=True)
        (folder / MARKER).unlink(missing_ok=True)  # first: half a removal must not count as built
        shutil.rmtree(folder)
        for suffix in (".refused.json", ".log"):
            folder.with_name(folder.name + suffix).unlink(missing_ok=True)
    _lock_path(folder).unlink(missing_ok=True)
    return size


def environments(settings: Settings) -> list[Path]:
    """Every environment below home/stacks, complete or not."""
    top = _top(settings)
    return sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() else []


def unused(stacks: Mapping[str, StackSpec], settings: Settings) -> list[Path]:
    """Environments that no defined stack points to any more, and leftovers of interrupted builds."""
    wanted = {location(stack, settings) for stack in stacks.values()}
    return [path for path in environments(settings) if path not in wanted or not marker(path)]


def last_used(folder: Path) -> float:
    """When an environment was built or last asked for, in epoch seconds; of a leftover, when it was last written."""
    for place in (folder / MARKER, folder):
        with contextlib.suppress(OSError):
            return place.stat().st_mtime
    return 0.0


def _was_changed(stack: StackSpec, what: str) -> str:
    return (
        f"its environment has other packages than it was built with ({what}); build it again: "
        f"stackyard stack build {stack.name}"
    )


def _why_not_built(stack: StackSpec, settings: Settings) -> str:
    folder = location(stack, settings)
    if marker(folder):
        return f"its Python is gone; build it again: stackyard stack build {stack.name}"
    refusal = _refusal(stack, settings)
    if refusal is not None:
        return refusal
    if (
        stack.base is not None
        and python_of(stack.base, settings) is None
        and not can_be_built(stack.base, settings)
    ):
        return f"its base {stack.base.name}: {_why_not_built(stack.base, settings)}"
    return _why_no_python(stack.python) or f"not built; build it: stackyard stack build {stack.name}"


@functools.cache
def _why_no_python(minor: str) -> str | None:
    """Why there is no such Python; looked for once, because a matrix asks for every cell."""
    from stackyard.stacks import pythons

    try:
        pythons.find(minor)
    except NotRunnableError as error:
        return str(error)
    return None


def _refusal(stack: StackSpec, settings: Settings) -> str | None:
    """Why the last build was refused, and when; ``None``: it was not."""
    try:
        said = read_json(dict[str, str], _refusal_path(location(stack, settings)))
        return f"{said['reason']} (tried {said['at']})"
    except (RecordError, KeyError):
        return None


def _refusal_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".refused.json")


def _why_no_gpu(stack: StackSpec, machine: Machine, gpus: int) -> str | None:
    if gpus == 0:
        return None
    if stack.cuda is None:
        return "no GPU: this stack has no torch"
    if stack.capability_range is None:
        return "no GPU: this is a CPU build"
    if not machine.gpus:
        return f"no GPU: {machine.gpu_obstacle or 'none here'}"
    low, high = stack.capability_range
    fitting = [gpu for gpu in machine.gpus if gpu.capability is not None and low <= gpu.capability <= high]
    if len(fitting) >= gpus:
        return None
    for gpu in machine.gpus:
        if gpu.capability is not None and not low <= gpu.capability <= high:
            side = "new" if gpu.capability > high else "old"
            return (
                f"GPU too {side} for CUDA {stack.cuda}: {gpu.name} has compute capability {gpu.capability}, "
                f"the build has code for {low} to {high}"
            )
    return f"{gpus} GPUs wanted, {len(fitting)} here"


def wheel_folder(wheels: Path | None) -> Path | None:
    """The folder of wheels to build from: the given one, else $STACKYARD_WHEELS; ``None``: none.

    Raises:
        BadInputError: there is no such folder.
    """
    given = wheels or (Path(os.environ[WHEELS_VARIABLE]) if os.environ.get(WHEELS_VARIABLE) else None)
    if given is not None and not given.is_dir():
        raise BadInputError(
            f"{given}: no such folder; --wheels (or {WHEELS_VARIABLE}) names a folder of wheels"
        )
    return given


@contextlib.contextmanager
def _locked(
    folder: Path, say: Progress | None = None, wait: bool = True, what: str | None = None
) -> Iterator[int]:
    """Hold the lock of an environment; yields its descriptor.

    Args:
        folder: the environment.
        say: told where somebody else holds it.
        wait: whether it is waited for; else it is refused.
        what: of what another build is then running; ``None``: of this environment.
    """

    def busy() -> None:
        if not wait:
            raise BadInputError(
                f"{folder.name}, or a stack on top of it, is being built just now; try again later"
            )
        if say is not None:
            say(f"another build {what or f'of {folder.name}'} is running; waiting for it")

    with locks.held(_lock_path(folder), busy) as descriptor:
        yield descriptor


@contextlib.contextmanager
def _held_base(stack: StackSpec, settings: Settings, say: Progress) -> Iterator[Path | None]:
    """The environment of the stack's base, which nobody removes meanwhile; ``None``: it has none.

    Raises:
        StackyardError: it was removed since it was built.
    """
    if stack.base is None:
        yield None
        return
    folder = location(stack.base, settings)
    # held by whoever builds the base, and by every build that shares its files
    with _locked(folder, say, what=f"of {stack.base.name}, or on top of it,"):
        if python_of(stack.base, settings) is None:
            raise StackyardError(
                f"{stack.name}: the environment of {stack.base.name} was removed; build again"
            )
        yield folder


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def used_by(folder: Path) -> int | None:
    """A process that was started with the environment's interpreter, where /proc tells."""
    start = os.fsencode(str(folder) + os.sep)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes().startswith(start):
                return int(entry.parent.name)
    return None


def _top(settings: Settings) -> Path:
    return settings.home.absolute() / "stacks"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
