"""What a file of requirements adds to a base stack, resolved once into pins with hashes.

pip resolves, in the base's own environment: it sees what is installed there, so what the base satisfies adds nothing,
and the base's pins are constraints. ``pip install --dry-run --report`` installs nothing and says every file's hash.
Keeps nothing: that is ``derived``.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.stacks import environment, indexes, process
from stackyard.stacks.definition import LockedPackage, StackSpec, canonical, load, packages, public_version
from stackyard.stacks.installation import Progress, complaint
from stackyard.stacks.wanted import Requirements, Wanted, marker_environment
from stackyard_task.records import RecordError, read_json

#: How long pip waits for one answer of an index, and how often it asks again.
ANSWER_SECONDS, RETRIES = 15, 1
#: The report says each file's whole metadata.
_MOST_REPORT_BYTES = 256 << 20


#: Packages with a build for each build of torch, told by the same local tag and served where torch is.
_BUILT_WITH_TORCH = ("torchvision", "torchaudio")
#: The first pip that an environment can do with, by the first Python that it is for: an older one does not start there,
#: or does not say what it would install.
_FIRST_PIP = ((12, "23.1.2"), (0, "23.0"))


@dataclass(frozen=True)
class Resolved:
    """What is to be added to a base."""

    #: With hashes, sorted by name.
    packages: tuple[LockedPackage, ...]
    #: Where they were found, as ``Requirements.indexes`` says it.
    indexes: tuple[str, ...]


def check(base: StackSpec, asked: Requirements) -> None:
    """Refuse requirements that the base's pins cannot satisfy; reads locks only.

    Raises:
        BadInputError: one asks for another version of what the base pins, or for a torch that it does not have.
    """
    pins = {canonical(package.name): package for package in packages(base)}
    around = marker_environment(base.python)
    for one in (*asked.wanted, *asked.constraints):
        requirement = one.requirement
        if requirement.marker is not None and not requirement.marker.evaluate(around):
            continue
        pinned = pins.get(one.name)
        if pinned is not None and not _fits(requirement.specifier, pinned, base):
            raise BadInputError(
                f"{one.where} asks for {requirement.name}{requirement.specifier}, but base {base.name} pins "
                f"{pinned.name} {pinned.version}; {_bases_with(one, pinned.name)}, or leave the line away"
            )
        if one.name == "pip" and _only_before(requirement.specifier, _first_pip(base)):
            raise BadInputError(
                _old_pip(f"{one.where} asks for {requirement.name}{requirement.specifier}", base)
            )
        if one.name == "torch" and pinned is None and one in asked.wanted:
            raise BadInputError(_no_torch(f"{one.where} asks for torch", base))


def resolve(
    base: StackSpec,
    python: Path,
    asked: Requirements,
    wheels: Path | None,
    log: Path,
    say: Progress = lambda text: None,
) -> Resolved:
    """The packages, with hashes, that ``asked`` needs beyond what ``base`` has.

    Args:
        base: the stack below.
        python: the interpreter of its built environment.
        asked: what is asked for; ``check`` has passed it.
        wheels: a folder of wheels, tried first; where it has everything, no index is asked.
        log: where pip's output is kept.
        say: called with one line whenever there is something new to show.

    Raises:
        BadInputError: nothing satisfies what is asked for beside the base's pins.
        NotRunnableError: no index can be reached, and the wheel folder lacks something.
        StackyardError: pip failed otherwise.
    """
    check(base, asked)
    wanted = [text for one in asked.wanted if (text := _beyond(one, base)) is not None]
    if not wanted:
        return Resolved((), asked.indexes)
    with tempfile.TemporaryDirectory(prefix="stackyard-resolve-") as folder:
        asking = _Asking(base, python, asked, wanted, Path(folder), log, say)
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
                f"{asked.file}: the wheel folder {wheels} has no {lacking} for Python {base.python}, and no "
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
    found = asking.ask("looking for packages", [*indexes.options(asked.indexes), *more])
    other = _other_build(found, python)
    if other is None:
        return Resolved(tuple(found), asked.indexes)
    torchs = [
        place for place in environment.root(base).indexes if "://" in place and place not in asked.indexes
    ]
    if torchs:
        say(f"looking for the build of {other.name} that fits torch")
        places = (*asked.indexes, *torchs)
        found = asking.ask("looking where torch comes from", [*indexes.options(places), *more])
        if _other_build(found, python) is None:
            return Resolved(tuple(found), places)
    nor = f", and {', '.join(torchs)} has none" if torchs else ""
    raise BadInputError(
        f"{asked.file}: {other.line} that was found is not built for the torch of base {base.name} "
        f"({_torch_of(python)}){nor}; give a wheel of {other.name} with that tag with --wheels, or its index "
        "with --extra-index-url in the file"
    )


def _other_build(found: list[LockedPackage], python: Path) -> LockedPackage | None:
    """A package that is built for another build of torch than the base's; ``None``: none is."""
    torch = _torch_of(python)
    if torch is None:
        return None
    tag = torch.partition("+")[2]
    built = [package for package in found if canonical(package.name) in _BUILT_WITH_TORCH]
    return next((package for package in built if package.version.partition("+")[2] != tag), None)


def _torch_of(python: Path) -> str | None:
    """torch's version with its local tag, as the base's environment loads it."""
    return environment.marker(python.parent.parent).get("torch")


class _Asking:
    """pip, asked once or twice."""

    def __init__(
        self,
        base: StackSpec,
        python: Path,
        asked: Requirements,
        wanted: list[str],
        folder: Path,
        log: Path,
        say: Progress,
    ) -> None:
        self._base, self._python, self._asked, self._say, self._log = base, python, asked, say, log
        self._folder = folder
        self._pins = {canonical(package.name): package for package in packages(base)}
        #: What the last try found no file of.
        self.missing: str | None = None
        (folder / "wanted.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
        lines = [package.line for package in self._pins.values()]
        lines += [one.text for one in asked.constraints if one.name not in self._pins]
        (folder / "pins.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def ask(self, what: str, where: list[str]) -> list[LockedPackage]:
        """What pip would install."""
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        command = [str(self._python), "-m", "pip", "install", "--dry-run", "--report", str(report)]
        command += ["--progress-bar", "off", "--retries", str(RETRIES), "--timeout", str(ANSWER_SECONDS)]
        command += [*self._asked.options, *where]
        command += ["-r", str(self._folder / "wanted.txt"), "-c", str(self._folder / "pins.txt")]
        self._say(what)

        def show(line: str) -> None:
            words = line.split()
            if len(words) > 1 and words[0] in ("Collecting", "Downloading", "Processing"):
                self._say(f"{what}: {words[1].rpartition('/')[2].replace('%2B', '+')}")

        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        with self._log.open("a", encoding="utf-8") as log:
            done = process.run(command, log, show, temporary=temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        if done.exit_code != 0:
            raise self._refusal(done.lines)
        return self._found(report)

    def _found(self, report: Path) -> list[LockedPackage]:
        try:
            answer = read_json(dict[str, Any], report, most_bytes=_MOST_REPORT_BYTES)
            entries = [_entry(one) for one in answer["install"]]
        except (RecordError, KeyError, TypeError, AttributeError) as error:
            raise StackyardError(f"{self._asked.file}: pip's answer cannot be read ({error})") from error
        allowed = {one.name: one for one in self._asked.wanted if one.hashes}
        added = []
        for entry in entries:
            name = canonical(entry.name)
            pinned = self._pins.get(name)
            if pinned is not None and public_version(pinned.version) == public_version(entry.version):
                continue  # pip is set up to install again what is there
            if pinned is not None:
                raise BadInputError(
                    f"{self._asked.file}: needs {entry.line}, but base {self._base.name} pins {name} "
                    f"{pinned.version}; derive from a base with that {name}"
                )
            added.append(entry)
            if name == "pip" and Version(entry.version) < _first_pip(self._base):
                raise BadInputError(_old_pip(f"{self._asked.file}: gets {entry.line}", self._base))
            if name == "torch":
                raise BadInputError(
                    _no_torch(f"{self._asked.file}: what it asks for needs torch", self._base)
                )
            if name in allowed and not set(entry.hashes) & set(allowed[name].hashes):
                raise BadInputError(
                    f"{allowed[name].where}: the file found of {entry.line} is none of those whose hashes the line has"
                )
        return sorted(added, key=lambda package: canonical(package.name))

    def _refusal(self, lines: tuple[str, ...]) -> StackyardError:
        """pip's complaint as one sentence that names both sides."""
        self.missing = next((m[1] for line in lines if (m := _NONE_FOUND.search(line))), None)
        unreachable = next((line for line in lines if _BROKEN.search(line)), None)
        if unreachable is not None and self.missing is not None:
            return NotRunnableError(f"index unreachable ({indexes.short(unreachable)})")
        if any("no such option: --report" in line or "no such option: --dry-run" in line for line in lines):
            return NotRunnableError(
                f"the pip of base {self._base.name} is older than 23.0 and cannot resolve"
            )
        depends = [m for line in lines if (m := _DEPENDS.match(line.strip()))]
        requested = [m for line in lines if (m := _REQUESTED.match(line.strip()))]
        if any("conflicting dependencies" in line or "ResolutionImpossible" in line for line in lines):
            for who in depends:
                name = canonical(re.split(r"[^A-Za-z0-9._-]", who[2], maxsplit=1)[0])
                if name in self._pins:
                    return BadInputError(
                        f"{self._asked.file}: {who[1]} needs {who[2]}, but base {self._base.name} pins {name} "
                        f"{self._pins[name].version}; ask for another version of {who[1].split()[0]}, or derive "
                        f"from a base with that {name}"
                    )
            sides = list(dict.fromkeys([m[1] for m in requested] + [f"{m[1]} needs {m[2]}" for m in depends]))
            return BadInputError(
                f"{self._asked.file}: nothing satisfies all of: {'; '.join(side[:75] for side in sides[:4])}"
            )
        if self.missing is not None:
            said = next((m[1] for line in lines if (m := _VERSIONS.search(line))), "")
            there = f"; there are {_latest(said)}" if said and said != "none" else ""
            return BadInputError(
                f"{self._asked.file}: no file of {self.missing} was found that fits Python {self._base.python}{there}"
            )
        return StackyardError(
            f"{self._asked.file}: pip could not resolve it: {complaint(lines)}; whole output: {self._log}"
        )


def _latest(versions: str) -> str:
    """The last of the versions that pip lists, which are the newest, each whole."""
    kept = versions.split(", ")
    shown = kept[-1:]
    for version in reversed(kept[:-1]):
        if len(", ".join([version, *shown])) > _VERSIONS_LETTERS:
            break
        shown.insert(0, version)
    return (
        ", ".join(shown)
        if len(shown) == len(kept)
        else f"{', '.join(shown)} and {len(kept) - len(shown)} older"
    )


#: Letters of the versions that one sentence lists.
_VERSIONS_LETTERS = 120
_NONE_FOUND = re.compile(r"No matching distribution found for (\S.*?)(?: \(from .*\))?$")
_VERSIONS = re.compile(r"satisfies the requirement .* \(from versions: (.*)\)")
_BROKEN = re.compile(r"Retrying \(Retry|Could not fetch URL|connection broken|Connection to .* timed out")
_DEPENDS = re.compile(r"^(\S+ \S+) depends on (.+)$")
_REQUESTED = re.compile(r"^The user requested (?:\(constraint\) )?(.+)$")


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


def fits_torch(wanted: Wanted, stack: StackSpec) -> bool:
    """Whether a stack has the torch that a requirement asks for, under whatever condition that stands."""
    pinned = next((package for package in packages(stack) if canonical(package.name) == "torch"), None)
    return pinned is not None and _fits(wanted.requirement.specifier, pinned, stack)


def _fits(specifier: SpecifierSet, pinned: LockedPackage, base: StackSpec) -> bool:
    """Whether the base's pin is a version that is asked for; torch's local tag says its build, no other version."""
    versions = {pinned.version, public_version(pinned.version)}
    if canonical(pinned.name) == "torch" and base.cuda:
        tag = "cpu" if base.cuda == "cpu" else "cu" + base.cuda.replace(".", "")
        versions.add(f"{public_version(pinned.version)}+{tag}")
    return any(specifier.contains(version, prereleases=True) for version in versions)


def _bases_with(one: Wanted, package: str) -> str:
    """Which stacks of the house have what one requirement asks for, as advice."""
    fitting = [
        stack.name
        for stack in load().values()
        for pinned in packages(stack)
        if canonical(pinned.name) == one.name and _fits(one.requirement.specifier, pinned, stack)
    ]
    if fitting:
        return f"take a base with that {package}: {', '.join(fitting)}"
    return f"no stack here has that {package}: define one"


def _beyond(one: Wanted, base: StackSpec) -> str | None:
    """What pip is to be asked for one requirement; ``None``: the base has it."""
    if one.name not in {canonical(package.name) for package in packages(base)}:
        return one.text
    requirement = one.requirement
    if not requirement.extras:
        return None
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}[{','.join(sorted(requirement.extras))}]{marker}"


def _first_pip(base: StackSpec) -> Version:
    minor = int(base.python.partition(".")[2])
    return Version(next(version for first, version in _FIRST_PIP if minor >= first))


def _only_before(specifier: SpecifierSet, version: Version) -> bool:
    """Whether versions are asked for that are all older than one; where only a resolver knows, they are not."""
    for part in specifier:
        if part.operator in ("==", "<", "<=") and not part.version.endswith(".*"):
            end = Version(part.version)
            if end < version or (part.operator == "<" and end == version):
                return True
    return False


def _old_pip(what: str, base: StackSpec) -> str:
    return (
        f"{what}, but an environment with Python {base.python} needs pip {_first_pip(base)} or newer and "
        "brings its own; leave the line away (`pip freeze --all` writes it)"
    )


def _no_torch(what: str, base: StackSpec) -> str:
    return f"{what}, which base {base.name} does not have; derive from a stack with torch"
