"""Installing a stack into a folder: the venv, torch from its source, the rest of the lock, the checks.

A derived stack shares the files of its base's environment and gets its own packages on top. Knows nothing of digests
or locks between builders: that is ``environment``, which calls ``install``.
"""

from __future__ import annotations

import csv
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stackyard.counting import count
from stackyard.errors import StackyardError
from stackyard.machine import hardware
from stackyard.stacks import hook, indexes, process, pythons, sharing, verification
from stackyard.stacks.definition import LOCK_FILE, MARKER, LockedPackage, StackSpec, canonical, read_lock
from stackyard.stacks.sizes import size_bytes

#: Free disk a build needs, as a multiple of the built size: the downloads lie beside it until it is done.
_ROOM = 1.6

#: First words of the lines of pip's output that a waiting user wants to see.
_WORTH_SHOWING = ("Downloading", "Using", "Installing", "Building", "Processing")

Progress = Callable[[str], None]


def install(
    stack: StackSpec,
    folder: Path,
    wheels: Path | None,
    say: Progress,
    keep_open: list[int],
    base: Path | None = None,
) -> dict[str, Any]:
    """Make the environment of ``stack`` in ``folder``, checked; what it is and where it came from.

    Args:
        stack: what to install.
        folder: where; whatever is there is cleared away.
        wheels: a local folder of wheels, or ``None``.
        say: called with one line whenever there is something new to show.
        keep_open: descriptors that the commands inherit.
        base: the built environment of ``stack.base``, whose files are shared; ``None``: it stands on its own.

    Raises:
        NotRunnableError: no Python, or no source with the wanted build.
        StackyardError: no disk space, pip failed, or what got installed is not what is pinned.
    """
    locked = read_lock(stack.folder / LOCK_FILE, may_be_empty=base is not None)
    interpreter = pythons.find(stack.python) if base is None else (base / "bin" / "python").resolve()
    _check_disk(stack, folder)
    if folder.exists():
        say("clearing what an interrupted build left")
        shutil.rmtree(folder)
    log_path = folder.with_name(folder.name + ".log")
    temporary = folder / "tmp"
    facts: dict[str, Any] = {}
    with log_path.open("w", encoding="utf-8") as log:

        def run(what: str, command: list[str]) -> None:
            say(what)
            shown = _Shown(what, folder if base is None else None, say)
            done = process.run(command, log, shown.line, shown.tick, keep_open=keep_open, temporary=temporary)
            if done.exit_code != 0:
                raise StackyardError(
                    f"{stack.name}: {what} failed: {complaint(done.lines)}; whole output: {log_path}"
                )

        source = None
        with_torch = base is None and stack.torch is not None
        if with_torch:
            say(f"looking for torch {stack.torch} ({indexes.build_name(stack.cuda)})")
            if pythons.has_pip(interpreter):
                source = indexes.choose(stack, interpreter, wheels, say)
        folder.mkdir()
        temporary.mkdir()
        venv = [str(interpreter), "-m", "venv", *(["--without-pip"] if base else []), str(folder)]
        run(f"making an environment with Python {stack.python}", venv)
        python = folder / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "--no-deps", "--progress-bar", "off"]
        if base is not None:
            say(f"sharing the files of {base.name}")
            try:
                facts["shared_by"] = sharing.share(base, folder, without=[MARKER])
            except OSError as error:
                raise StackyardError(
                    f"{stack.name}: the files of {base} cannot be shared with {folder} ({error.strerror})"
                ) from error
        if with_torch:
            source = source or indexes.choose(stack, python, wheels, say)
            size = f" ({source.bytes / 1e6:,.0f} MB)" if source.bytes else ""
            run(f"installing torch {source.version}{size}", [*pip, f"torch @ {source.url}"])
            facts |= {"source": indexes.without_login(source.index), "file": source.filename}
            locked = [package for package in locked if canonical(package.name) != "torch"]
        held = source.folder if source else wheels
        for what, options in _rest(stack, locked, held, temporary):
            run(what, [*pip, *(["--no-compile"] if base else []), *options])
        if base is not None:
            _compile(folder, locked, run, temporary)
        run("checking that the packages fit each other", [str(python), "-m", "pip", "check"])
        shutil.rmtree(temporary)
        finishing(folder)
        say("verifying: versions, a tensor operation, every package")
        checked = verification.verify(stack, python)
        if not checked.ok:
            raise StackyardError(f"{stack.name}: {'; '.join(map(str, checked.mismatches))}{_blamed(stack)}")
    facts |= {name: checked.seen.get(name) for name in ("python", "torch", "cuda")}
    return facts


def _blamed(stack: StackSpec) -> str:
    """What a stack that does not work has in the place of its base's packages, which do."""
    if stack.base is None or not stack.replaced:
        return ""
    instead = ", ".join(
        f"{name} {version} instead of {of_base}" for name, (of_base, version) in stack.replaced.items()
    )
    return f"; base {stack.base.name} works, and here is {instead}"


def _compile(
    folder: Path, added: list[LockedPackage], run: Callable[[str, list[str]], None], temporary: Path
) -> None:
    """Compile what was added, as pip would, but on every core and without the packages' own tests.

    Those are half of what pandas and SciPy bring, and nobody imports them.
    """
    names = {canonical(package.name) for package in added}
    (site,) = folder.glob("lib/python3*/site-packages")
    sources = []
    for record in site.glob("*.dist-info/RECORD"):
        if canonical(record.parent.name.split("-")[0]) in names:
            with record.open(encoding="utf-8", newline="") as file:
                paths = [site / row[0] for row in csv.reader(file) if row and row[0].endswith(".py")]
            sources += [
                str(path) for path in paths if "tests" not in path.parts and path.is_relative_to(site)
            ]
    if sources:
        listed = temporary / "sources.txt"
        listed.write_text("\n".join(sources) + "\n", encoding="utf-8")
        # Files for another Python do not compile; whoever imports them will see it.
        script = "import compileall, sys; compileall.main()"
        python = str(folder / "bin" / "python")
        run(
            f"compiling {count(len(names), 'package')}",
            [python, "-c", script, "-qq", "-j", "0", "-i", str(listed)],
        )


def finishing(folder: Path) -> None:
    """What every finished environment gets beside its packages, before it is verified: the start-up hook.

    Args:
        folder: the environment.
    """
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    hook.install(site_packages)
    (site_packages / "__pycache__").mkdir(
        exist_ok=True
    )  # what a task compiles there changes nothing else then


class _Shown:
    """Turns pip's output and the growth of a folder, where one is given, into lines for a waiting user."""

    def __init__(self, what: str, folder: Path | None, say: Progress) -> None:
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
        there = f" · {size_bytes(self._folder) / 1e6:,.0f} MB on disk" if self._folder else ""
        self._say(self._latest + there)


def _rest(
    stack: StackSpec, rest: list[LockedPackage], wheels: Path | None, temporary: Path
) -> Iterator[tuple[str, list[str]]]:
    """pip's options for everything but torch: from the wheel folder what it has, else from an index.

    Two steps, because pip prefers an index to a local folder that has the same file. A wheel folder may hold files
    its owner built: hashes hold for files of an index.
    """
    held, asked = [], rest
    if wheels is not None:
        lacking = _lacking(rest, wheels)
        held, asked = [p for p in rest if p not in lacking], lacking
    other = "other " if stack.torch is not None and stack.base is None else ""
    if held:
        listed = requirements_file(temporary / "held.txt", held, hashed=False)
        options = ["--no-index", "--find-links", str(Path(wheels or ".").absolute()), "-r", listed]
        yield f"installing {count(len(held), other + 'package')} from the wheel folder", options
    if asked:
        what = f"installing {count(len(asked), other + 'package')}"
        if wheels is not None:
            what = f"installing {', '.join(p.name for p in asked)} (not in the wheel folder)"
        listed = requirements_file(temporary / "asked.txt", asked, hashes_hold(stack, asked))
        yield what, [*(indexes.options(stack.indexes) if stack.base else []), "-r", listed]


def hashes_hold(stack: StackSpec, asked: list[LockedPackage]) -> bool:
    """Whether pip can be asked for the hashes of ``asked``: for all or for none.

    The locks of the house are made for Linux x86_64; that of a derived stack is made where it is used.
    """
    return all(p.hashes for p in asked) and (stack.base is not None or platform.machine() == "x86_64")


def requirements_file(path: Path, packages: list[LockedPackage], hashed: bool) -> str:
    """The path of a file, written now, that asks pip for ``packages``."""
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


def complaint(lines: tuple[str, ...]) -> str:
    """The line of pip's output that says what went wrong."""
    errors = [line for line in lines if line.startswith(("ERROR", "Error", "error"))] or list(lines[-1:])
    return indexes.without_login(errors[-1] if errors else "no output")[:300]
