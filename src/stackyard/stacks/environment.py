"""The environment of a stack: one venv per lock digest below ``home/stacks``; built, found, removed.

A venv cannot be renamed into place (its scripts carry its path), so it is built where it stays and counts
only once its marker file, written last, is there. Whatever has no marker is a leftover, cleared away by
the next build. Builders of one stack wait for each other on a file lock, which the commands of a build
inherit: it is free only when nothing builds any more, even if the builder itself was killed.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from stackyard import hardware
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.hardware import Machine
from stackyard.settings import Settings
from stackyard.specs import StackSpec
from stackyard.stacks import indexes, process, pythons, verification
from stackyard.stacks.definition import LOCK_FILE, LockedPackage, canonical, read_lock
from stackyard_task.records import write_json

#: Written last; without it an environment does not count.
MARKER = "stackyard-complete.json"

#: A local folder of wheels to build from, where --wheels is not given.
WHEELS_VARIABLE = "STACKYARD_WHEELS"

#: Free disk a build needs, as a multiple of the built size: the downloads lie beside it until it is done.
_ROOM = 1.6

#: First words of the lines of pip's output that a waiting user wants to see.
_WORTH_SHOWING = ("Downloading", "Using", "Installing", "Building", "Processing")

Progress = Callable[[str], None]


def location(stack: StackSpec, settings: Settings) -> Path:
    """Where the environment of ``stack`` is, or will be."""
    return _top(settings) / f"{stack.name}-{stack.digest[:12]}"


def python_of(stack: StackSpec, settings: Settings) -> Path | None:
    """The interpreter of the built environment; ``None``: not built, or its Python is gone."""
    folder = location(stack, settings)
    python = folder / "bin" / "python"
    return python if marker(folder).get("digest") == stack.digest and python.exists() else None


def marker(folder: Path) -> dict:
    """What the marker of an environment says; empty: the environment is not complete."""
    try:
        return dict(json.loads((folder / MARKER).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


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
    if reason is None and python_of(stack, settings) is None:
        reason = _why_not_built(stack, settings)
    return reason


def can_be_built(stack: StackSpec, settings: Settings) -> bool:
    """Whether a build has a chance: its Python is here, and the last try (if any) was not refused."""
    if _refusal(stack, settings) is not None:
        return False
    return _why_no_python(stack.python) is None


def build(
    stack: StackSpec,
    settings: Settings,
    wheels: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """The interpreter of the stack's environment, built now unless it is there already.

    Interrupted or failed, it leaves nothing that counts as built. Files pip has downloaded completely stay in
    pip's cache, so a second try repeats only what is missing.

    Args:
        stack: what to build.
        settings: where environments are.
        wheels: a local folder of wheels, tried first; ``None``: $STACKYARD_WHEELS, if set.
        progress: called with one line whenever there is something new to show.

    Raises:
        NotRunnableError: no Python, no source with the wanted build, or no disk space; the reason is kept for
            ``why_not``.
        StackyardError: pip failed, or what was installed is not what is pinned.
    """
    say = progress or (lambda text: None)
    python = python_of(stack, settings)
    if python is not None:
        return python
    wheels = _wheels(wheels)
    folder = location(stack, settings)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{folder.parent}: stacks cannot be kept there ({error.strerror})") from error
    refusal = _refusal_path(folder)
    with _locked(folder, say) as lock:
        python = python_of(stack, settings)  # another builder may have finished while we waited
        if python is not None:
            return python
        try:
            _build(stack, folder, wheels, say, lock)
        except indexes.NoSourceError as error:
            write_json({"at": _now(), "reason": str(error)}, refusal)
            raise
        finally:
            if not marker(folder):
                shutil.rmtree(folder, ignore_errors=True)
        refusal.unlink(missing_ok=True)
    return folder / "bin" / "python"


def remove(folder: Path, settings: Settings) -> int:
    """Remove one environment; the bytes it took.

    Raises:
        BadInputError: ``folder`` is not an environment below home/stacks, or is being built or used.
    """
    top = _top(settings)
    if folder.parent != top or folder.is_symlink() or not folder.is_dir():
        raise BadInputError(f"{folder}: not a stack's environment; those are right below {top}")
    user = _used_by(folder)
    if user is not None:
        raise BadInputError(f"{folder.name} is in use by process {user}; end that first")
    with _locked(folder, wait=False):
        size = size_bytes(folder)
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


def size_bytes(folder: Path) -> int:
    """Disk space a folder takes; a file with several names counts once."""
    seen = set()
    total = 0
    for parent, _folders, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # removed while we look
                status = os.lstat(os.path.join(parent, name))
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
    return total


class _Shown:
    """Turns pip's output and the growth of a folder into lines for a waiting user."""

    def __init__(self, what: str, folder: Path, say: Progress) -> None:
        self._what = what
        self._latest = what
        self._folder = folder
        self._say = say

    def line(self, text: str) -> None:
        """Take one line of pip's output."""
        words = text.split()
        if words and words[0] in _WORTH_SHOWING:
            doing = "unpacking" if words[0] == "Installing" else f"{words[0].lower()} {words[-1]}"
            file = next((word for word in words if word.endswith((".whl", ".tar.gz"))), None)
            if file is not None:
                doing = f"{words[0].lower()} {file.rpartition('/')[2].replace('%2B', '+')}"
            self._latest = f"{self._what}: {doing}"
            self._say(self._latest)

    def tick(self) -> None:
        """Say how much there is by now."""
        self._say(f"{self._latest} · {size_bytes(self._folder) / 1e6:,.0f} MB on disk")


def _build(stack: StackSpec, folder: Path, wheels: Path | None, say: Progress, lock: int) -> None:
    started = time.monotonic()
    packages = read_lock(stack.folder / LOCK_FILE)
    base = pythons.find(stack.python)
    _check_disk(stack, folder)
    if folder.exists():
        say("clearing what an interrupted build left")
        shutil.rmtree(folder)
    log_path = folder.with_name(folder.name + ".log")
    temporary = folder / "tmp"
    with log_path.open("w", encoding="utf-8") as log:

        def run(what: str, command: list[str]) -> None:
            say(what)
            shown = _Shown(what, folder, say)
            done = process.run(command, log, shown.line, shown.tick, keep_open=[lock], temporary=temporary)
            if done.exit_code != 0:
                raise StackyardError(
                    f"{stack.name}: {what} failed: {_complaint(done.lines)}; whole output: {log_path}"
                )

        say(f"looking for torch {stack.torch} ({indexes.build_name(stack.cuda)})")
        asker = base if pythons.has_pip(base) else None
        source = indexes.choose(stack, asker, wheels, say) if asker else None
        folder.mkdir()
        temporary.mkdir()
        run(f"making an environment with Python {stack.python}", [str(base), "-m", "venv", str(folder)])
        python = folder / "bin" / "python"
        source = source or indexes.choose(stack, python, wheels, say)
        size = f" ({source.bytes / 1e6:,.0f} MB)" if source.bytes else ""
        pip = [str(python), "-m", "pip", "install", "--no-deps", "--progress-bar", "off"]
        run(f"installing torch {source.version}{size}", [*pip, f"torch @ {source.url}"])
        rest = [package for package in packages if canonical(package.name) != "torch"]
        for what, options in _rest(rest, source, temporary):
            run(what, [*pip, *options])
        run("checking that the packages fit each other", [str(python), "-m", "pip", "check"])
        say("verifying: versions, a tensor operation, every package")
        checked = verification.verify(stack, python)
        if not checked.ok:
            raise StackyardError(f"{stack.name}: " + "; ".join(str(m) for m in checked.mismatches))
        shutil.rmtree(temporary)
        write_json(
            {
                "name": stack.name,
                "digest": stack.digest,
                "python": checked.seen["python"],
                "torch": checked.seen["torch"],
                "cuda": checked.seen["cuda"],
                "source": source.index,
                "file": source.filename,
                "built_at": _now(),
                "seconds": round(time.monotonic() - started, 1),
                "bytes": size_bytes(folder),
            },
            folder / MARKER,
        )


def _rest(
    rest: list[LockedPackage], source: indexes.Source, temporary: Path
) -> Iterator[tuple[str, list[str]]]:
    """pip's options for everything but torch: from the wheel folder what it has, else from pip's own index.

    Two steps, because pip prefers an index to a local folder that has the same file. Hashes hold for files of
    an index on the platform the lock was made on; a wheel folder may hold files its owner built.
    """
    held, asked = [], rest
    if source.folder is not None:
        lacking = _lacking(rest, source.folder)
        held, asked = [p for p in rest if p not in lacking], lacking
    if held:
        listed = _requirements(temporary / "held.txt", held, hashed=False)
        folder = str(Path(source.folder or ".").absolute())
        options = ["--no-index", "--find-links", folder, "-r", listed]
        yield f"installing {len(held)} other packages from the wheel folder", options
    if asked:
        what = f"installing {len(asked)} other packages"
        if source.folder is not None:
            what = f"installing {', '.join(p.name for p in asked)} (not in the wheel folder)"
        hashed = all(p.hashes for p in asked) and platform.machine() == "x86_64"
        yield what, ["-r", _requirements(temporary / "asked.txt", asked, hashed)]


def _requirements(path: Path, packages: list[LockedPackage], hashed: bool) -> str:
    lines = [p.line + "".join(f" --hash={h}" for h in p.hashes if hashed) for p in packages]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _lacking(packages: list[LockedPackage], folder: Path) -> list[LockedPackage]:
    """Pinned packages that ``folder`` has no wheel of."""
    held = set()
    for path in folder.glob("*.whl"):
        name, version = [*path.name.split("-"), ""][:2]
        held.add((canonical(name), version))
    return [p for p in packages if (canonical(p.name), p.version) not in held]


def _why_not_built(stack: StackSpec, settings: Settings) -> str:
    folder = location(stack, settings)
    if marker(folder):
        return f"its Python is gone; build it again: stackyard stack build {stack.name}"
    refusal = _refusal(stack, settings)
    if refusal is not None:
        return refusal
    return _why_no_python(stack.python) or f"not built; build it: stackyard stack build {stack.name}"


@functools.cache
def _why_no_python(minor: str) -> str | None:
    """Why there is no such Python; looked for once, because a matrix asks for every cell."""
    try:
        pythons.find(minor)
    except NotRunnableError as error:
        return str(error)
    return None


def _refusal(stack: StackSpec, settings: Settings) -> str | None:
    """Why the last build was refused, and when; ``None``: it was not."""
    try:
        said = json.loads(_refusal_path(location(stack, settings)).read_text(encoding="utf-8"))
        return f"{said['reason']} (tried {said['at']})"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refusal_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".refused.json")


def _why_no_gpu(stack: StackSpec, machine: Machine, gpus: int) -> str | None:
    if gpus == 0:
        return None
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


def _check_disk(stack: StackSpec, folder: Path) -> None:
    if stack.installed_bytes is None:
        return
    free = hardware.disk_free_bytes(folder.parent)
    needed = int(stack.installed_bytes * _ROOM)
    if free < needed:
        raise StackyardError(
            f"{stack.name} needs {needed / 1e9:.1f} GB of disk to be built, {free / 1e9:.1f} GB are free at "
            f"{folder.parent}; free some, or set STACKYARD_HOME to a larger disk"
        )


def _wheels(wheels: Path | None) -> Path | None:
    given = wheels or (Path(os.environ[WHEELS_VARIABLE]) if os.environ.get(WHEELS_VARIABLE) else None)
    if given is not None and not given.is_dir():
        raise BadInputError(
            f"{given}: no such folder; --wheels (or {WHEELS_VARIABLE}) names a folder of wheels"
        )
    return given


@contextlib.contextmanager
def _locked(folder: Path, say: Progress | None = None, wait: bool = True) -> Iterator[int]:
    """Hold the lock of an environment; yields its descriptor."""
    path = _lock_path(folder)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise BadInputError(f"{folder.name} is being built just now; try again later") from None
                if say is not None:
                    say("another build of this stack is running; waiting for it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(descriptor, path):  # removed while we waited: it guards nothing now
                continue
            yield descriptor
            return
        finally:
            os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _used_by(folder: Path) -> int | None:
    """A process that was started with the environment's interpreter, where /proc tells."""
    start = os.fsencode(str(folder) + os.sep)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes().startswith(start):
                return int(entry.parent.name)
    return None


def _complaint(lines: tuple[str, ...]) -> str:
    errors = [line for line in lines if line.startswith(("ERROR", "Error", "error"))] or list(lines[-1:])
    return indexes.without_login(errors[-1] if errors else "no output")[:300]


def _top(settings: Settings) -> Path:
    return settings.home.absolute() / "stacks"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
