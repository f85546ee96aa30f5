"""What a list of requirements adds to a base stack, or replaces in it, resolved once into pins with hashes.

pip resolves, in the base's own environment: it sees what is installed there, so what the base satisfies adds nothing,
and the base's pins are constraints. Where packages may be replaced, only the pins of the base's core are, and every
package of the base is asked for without a version: it stays in the environment, in a version that fits, which is the
base's wherever that does. ``pip install --dry-run --report`` installs nothing and says every file's hash.
Keeps nothing: that is ``derived``.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.stacks import complaints, core, environment, indexes, locks, process
from stackyard.stacks.definition import LockedPackage, StackSpec, canonical, packages, public_version
from stackyard.stacks.installation import Progress
from stackyard.stacks.refusals import RuledOutError, check, first_pip, no_torch, old_pip, tag_of
from stackyard.stacks.wanted import Requirements, Wanted, marker_environment
from stackyard_task.records import RecordError, read_json

#: How long pip waits for one answer of an index, and how often it asks again.
ANSWER_SECONDS, RETRIES = 15, 1
#: How long it may look for versions that fit each other: a list that fits only old ones can take very long.
MOST_SECONDS = 1200
#: The report says each file's whole metadata.
_MOST_REPORT_BYTES = 256 << 20


@dataclass(frozen=True)
class Resolved:
    """What is to be added to a base."""

    #: With hashes, sorted by name.
    packages: tuple[LockedPackage, ...]
    #: Where they were found, as ``Requirements.indexes`` says it.
    indexes: tuple[str, ...]


def resolve(
    base: StackSpec,
    python: Path,
    asked: Requirements,
    wheels: Path | None,
    log: Path,
    say: Progress = lambda text: None,
    replacing: bool = False,
) -> Resolved:
    """The packages, with hashes, that ``asked`` needs beyond what ``base`` has.

    Args:
        base: the stack below.
        python: the interpreter of its built environment.
        asked: what is asked for; ``check`` has passed it.
        wheels: a folder of wheels, tried first; where it has everything, no index is asked.
        log: where pip's output is kept; what is under way lies beside it, in a folder as ``locks.UNFINISHED`` says.
        say: called with one line whenever there is something new to show.
        replacing: whether they may be in the place of packages of the base, all but its core.

    Raises:
        RuledOutError: nothing satisfies what is asked for beside the base's pins.
        BadInputError: it cannot be had, or not for this base's torch.
        NotRunnableError: no index can be reached, and the wheel folder lacks something.
        StackyardError: pip failed otherwise.
    """
    pins = {canonical(package.name): package for package in packages(base)}
    kept: Mapping[str, LockedPackage | str] = core.of(base, python) if replacing else pins
    check(base, asked, kept.__contains__)
    wanted = [text for one in asked.wanted if (text := _beyond(one, kept)) is not None]
    if not wanted:
        return Resolved((), asked.indexes)
    if replacing:
        around = marker_environment(base.python)
        named = {one.name for one in asked.wanted if one.applies(around) and one.name not in kept}
        wanted += [name for name in pins if name not in named]
    with tempfile.TemporaryDirectory(prefix=locks.UNFINISHED, dir=log.parent) as folder:
        what = complaints.Asked(base, asked, pins, kept, log)
        asking = _Asking(what, python, wanted, _pins(what, kept), Path(folder), say)
        lacking = None
        if wheels is not None:
            local = ["--no-index", "--find-links", str(wheels.absolute())]
            try:
                found = asking.ask("looking for packages in the wheel folder", local)
                return Resolved(tuple(found), asked.indexes)
            except StackyardError as error:
                first, lacking = error, asking.missing
        try:
            return _from_indexes(asking, base, python, asked, wheels, say)
        except NotRunnableError as error:
            if wheels is None:
                raise
            if lacking is None:
                raise first from error
            raise NotRunnableError(
                f"{asked.name}: the wheel folder {wheels} has no {lacking} for Python {base.python}, and no "
                f"index answers ({error}); put a wheel of it into the folder"
            ) from error


def _from_indexes(
    asking: _Asking, base: StackSpec, python: Path, asked: Requirements, wheels: Path | None, say: Progress
) -> Resolved:
    """What indexes have, and the wheel folder beside them.

    What is built with torch has to be the same build: where another was found, the index of the base's torch is asked
    too, whose files carry the build's tag and so go before those without.
    """
    more = [] if wheels is None else ["--find-links", str(wheels.absolute())]
    torchs = [
        place for place in environment.root(base).indexes if "://" in place and place not in asked.indexes
    ]
    other: str | None
    try:
        found = asking.ask("looking for packages", [*indexes.options(asked.indexes), *more])
        other = _other_build(found, python)
        if other is None:
            return Resolved(tuple(found), asked.indexes)
    except BadInputError:
        other = next((one.text for one in asked.wanted if _is_tagged(one)), None)
        if other is None or not torchs:
            raise
    if torchs:
        say(f"looking for the build of {re.split(r'[^A-Za-z0-9._-]', other)[0]} that fits torch")
        places = (*asked.indexes, *torchs)
        try:
            found = asking.ask("looking where torch comes from", [*indexes.options(places), *more])
        except NotRunnableError as error:
            raise NotRunnableError(
                f"{asked.name}: the build of {other} that fits torch was found nowhere but perhaps at "
                f"{', '.join(torchs)}: {error}"
            ) from error
        if _other_build(found, python) is None:
            return Resolved(tuple(found), places)
    nor = f", and {', '.join(torchs)} has none" if torchs else ""
    name = other.partition("=")[0]
    raise BadInputError(
        f"{asked.name}: {other} that was found is not built for the torch of base {base.name} "
        f"({_torch_of(python)}){nor}; {asked.advice.build.replace('NAME', name)}"
    )


def _is_tagged(one: Wanted) -> bool:
    """Whether a build is asked for by its tag, which often lies only where torch does: torchvision==0.28.0+cpu."""
    return one.name in core.BUILT_WITH_TORCH and tag_of(one.requirement.specifier) is not None


def _other_build(found: list[LockedPackage], python: Path) -> str | None:
    """A package that is built for another build of torch than the base's; ``None``: none is."""
    torch = _torch_of(python)
    if torch is None:
        return None
    tag = torch.partition("+")[2]
    built = [package for package in found if canonical(package.name) in core.BUILT_WITH_TORCH]
    return next((package.line for package in built if package.version.partition("+")[2] != tag), None)


def _torch_of(python: Path) -> str | None:
    """torch's version with its local tag, as the base's environment loads it."""
    return environment.marker(python.parent.parent).get("torch")


def _pins(what: complaints.Asked, kept: Mapping[str, LockedPackage | str]) -> list[str]:
    """The constraints: what stays as it is, and what the list itself has of them.

    Of a core, as it is installed: pip may choose no other file of the same version, whose build could be another.
    """
    lines = [f"{name}==={one}" if isinstance(one, str) else one.line for name, one in kept.items()]
    return lines + [one.text for one in what.requirements.constraints if one.name not in kept]


class _Asking:
    """pip, asked once or twice."""

    def __init__(
        self,
        what: complaints.Asked,
        python: Path,
        wanted: list[str],
        pins: list[str],
        folder: Path,
        say: Progress,
    ) -> None:
        self._what, self._python, self._say, self._folder = what, python, say, folder
        self._base, self._asked = what.base, what.requirements
        #: What the last try found no file of.
        self.missing: str | None = None
        (folder / "wanted.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
        (folder / "pins.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")

    def ask(self, what: str, where: list[str]) -> list[LockedPackage]:
        """What pip would install."""
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        command = [str(self._python), "-m", "pip", "install", "--dry-run", "--report", str(report)]
        command += ["--progress-bar", "off", "--retries", str(RETRIES), "--timeout", str(ANSWER_SECONDS)]
        command += [*self._asked.options, *where]
        if self._what.replacing:
            # none comes as a source: what is installed is the only file of the core that pip looks at
            command += [f"--no-binary={name}" for name in self._what.kept]
        command += ["-r", str(self._folder / "wanted.txt"), "-c", str(self._folder / "pins.txt")]
        self._say(what)
        began = time.monotonic()

        def show(line: str) -> None:
            words = line.split()
            if len(words) > 1 and words[0] in ("Collecting", "Downloading", "Processing"):
                self._say(f"{what}: {words[1].rpartition('/')[2].replace('%2B', '+')}")

        def tick() -> None:
            if time.monotonic() - began > MOST_SECONDS:
                raise StackyardError(
                    f"{self._asked.name}: no versions that fit each other were found within "
                    f"{MOST_SECONDS // 60} minutes; ask for fewer or newer ones"
                )

        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        with self._what.log.open("a", encoding="utf-8") as log:
            done = process.run(command, log, show, tick, temporary=temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        self.missing = None
        if done.exit_code != 0:
            self.missing = complaints.missing(done.lines)
            raise complaints.sentence(done.lines, self._what)
        return self._found(report)

    def _found(self, report: Path) -> list[LockedPackage]:
        name_of, base = self._asked.name, self._base
        try:
            answer = read_json(dict[str, Any], report, most_bytes=_MOST_REPORT_BYTES)
            entries = [_entry(one) for one in answer["install"]]
        except (RecordError, KeyError, TypeError, AttributeError) as error:
            raise StackyardError(f"{name_of}: pip's answer cannot be read ({error})") from error
        allowed = {one.name: one for one in self._asked.wanted if one.hashes}
        added = []
        for entry in entries:
            name = canonical(entry.name)
            pinned = self._what.pins.get(name)
            if pinned is not None and public_version(pinned.version) == public_version(entry.version):
                continue  # pip is set up to install again what is there
            if pinned is not None and name in self._what.kept:
                raise RuledOutError(
                    f"{name_of}: needs {entry.line}, but base {base.name} pins {name} {pinned.version}; "
                    f"{self._asked.advice.derive} with that {name}"
                )
            added.append(entry)
            if name == "pip" and Version(entry.version) < first_pip(base):
                raise BadInputError(old_pip(f"{name_of}: gets {entry.line}", base))
            if name == "torch":
                raise BadInputError(no_torch(f"{name_of}: what it asks for needs torch", base, self._asked))
            if name in allowed and not set(entry.hashes) & set(allowed[name].hashes):
                raise BadInputError(
                    f"{allowed[name].where}: the file found of {entry.line} is none of those whose hashes the line has"
                )
        return sorted(added, key=lambda package: canonical(package.name))


def _entry(said: Mapping[str, Any]) -> LockedPackage:
    """One file of pip's report.

    Raises:
        KeyError: it has no hash.
    """
    archive = said["download_info"]["archive_info"]
    digest = archive.get("hashes", {}).get("sha256") or archive["hash"].removeprefix("sha256=")
    return LockedPackage(
        canonical(said["metadata"]["name"]), said["metadata"]["version"], (f"sha256:{digest}",)
    )


def _beyond(one: Wanted, kept: Collection[str]) -> str | None:
    """What pip is to be asked for one requirement; ``None``: the base has it, and keeps it."""
    if one.name not in kept:
        return one.text
    requirement = one.requirement
    if not requirement.extras:
        return None
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}[{','.join(sorted(requirement.extras))}]{marker}"
