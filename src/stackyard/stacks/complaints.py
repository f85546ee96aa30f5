"""pip's complaint about a list of requirements, as one sentence that names both sides."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from stackyard.errors import AwayError, BadInputError, NotRunnableError, StackyardError
from stackyard.stacks import indexes
from stackyard.stacks.definition import LockedPackage, StackSpec, canonical
from stackyard.stacks.installation import complaint
from stackyard.stacks.refusals import RuledOutError
from stackyard.stacks.wanted import Requirements

#: Letters of the versions that one sentence lists.
_VERSIONS_LETTERS = 120
_NONE_FOUND = re.compile(r"No matching distribution found for (\S.*?)(?: \(from .*\))?$")
_VERSIONS = re.compile(r"satisfies the requirement .* \(from versions: (.*)\)")
#: Where pip found a file: an address is long, and says nothing of the fault.
_ADDRESS = re.compile(r" \(from (?:https?|file):\S*\)?")
_BROKEN = re.compile(r"Retrying \(Retry|Could not fetch URL|connection broken|Connection to .* timed out")
_DEPENDS = re.compile(r"^(\S+ \S+) depends on (.+)$")
_REQUESTED = re.compile(r"^The user requested (?:\(constraint\) )?(.+)$")


@dataclass(frozen=True)
class Asked:
    """What pip was asked."""

    base: StackSpec
    requirements: Requirements
    #: Every package of the base by name, and the names of those that stay as they are.
    pins: Mapping[str, LockedPackage]
    kept: Collection[str]
    #: Where its whole output is.
    log: Path

    @property
    def replacing(self) -> bool:
        """Whether some of the base's packages may change."""
        return len(self.kept) < len(self.pins)


def missing(lines: Collection[str]) -> str | None:
    """The requirement that pip found no file of; ``None``: it names none."""
    return next((m[1] for line in lines if (m := _NONE_FOUND.search(line))), None)


def sentence(lines: Collection[str], asked: Asked) -> StackyardError:
    """What pip's output says, as the error to be raised.

    Args:
        lines: its whole output.
        asked: what it was asked.

    Returns:
        RuledOutError where the base stands against the list, or the list against itself; AwayError where no
        index answers or pip is too old; BadInputError where no file fits; StackyardError otherwise.
    """
    name, base = asked.requirements.name, asked.base
    lines = [_ADDRESS.sub("", line) for line in lines]
    lacking = missing(lines)
    unreachable = next((line for line in lines if _BROKEN.search(line)), None)
    conflict = any("conflicting dependencies" in line or "ResolutionImpossible" in line for line in lines)
    # with a constraint of the machine's own, pip calls a package without any file a conflict
    for_nothing = conflict and not any(_DEPENDS.match(line.strip()) for line in lines)
    if unreachable is not None and (lacking is not None or for_nothing):
        return AwayError(f"index unreachable ({indexes.short(unreachable)})")
    if any("no such option: --report" in line or "no such option: --dry-run" in line for line in lines):
        return NotRunnableError(f"the pip of base {base.name} is older than 23.0 and cannot resolve")
    if conflict:
        return _conflict(lines, asked)
    if lacking is not None:
        said = next((m[1] for line in lines if (m := _VERSIONS.search(line))), "")
        there = f"; there are {latest(said)}" if said and said != "none" else ""
        return BadInputError(f"{name}: no file of {lacking} was found that fits Python {base.python}{there}")
    return StackyardError(
        f"{name}: pip could not resolve it: {complaint(tuple(lines))}; whole output: {asked.log}"
    )


def latest(versions: str) -> str:
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


def _conflict(lines: Collection[str], asked: Asked) -> RuledOutError:
    name, base = asked.requirements.name, asked.base
    depends = [(m[1], m[2]) for line in lines if (m := _DEPENDS.match(line.strip()))]
    requested = [m[1] for line in lines if (m := _REQUESTED.match(line.strip()))]
    for who, what in depends:
        needed = _package(what)
        if needed in asked.kept:
            return RuledOutError(
                f"{name}: {who} needs {what}, but base {base.name} pins {needed} {asked.pins[needed].version}; ask "
                f"for another version of {who.split()[0]}, or {asked.requirements.advice.derive} with that {needed}"
            )
    if asked.replacing:
        # the base's packages stand among what pip was asked for, by name alone: nobody asked for those
        requested = [text for text in requested if canonical(text) not in asked.pins]
        for text in requested:
            for who, what in depends:
                if _package(what) == _package(text) and not _overlap(text, what):
                    return _two_sides(text, who, what, asked)
    sides = [*requested, *(f"{who} needs {what}" for who, what in _first_of_each(depends))]
    shown = "; ".join(side[:75] for side in list(dict.fromkeys(sides))[:4])
    return RuledOutError(f"{name}: nothing satisfies all of: {shown}")


def _two_sides(text: str, who: str, what: str, asked: Asked) -> RuledOutError:
    """What a list asks for, against what another package needs."""
    where = next((one.where for one in asked.requirements.wanted if one.matches(text)), None)
    package, version = who.split()
    of_base = f" of base {asked.base.name}" if canonical(package) in asked.pins else ""
    others = "" if canonical(package) in asked.kept else f", and no other {package} that was found fits"
    return RuledOutError(
        f"{where or asked.requirements.name} asks for {text}, but {package} {version}{of_base} needs {what}{others}; "
        f"ask for another version of {_package(text)}"
    )


def _first_of_each(depends: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """One line for each package, of the many versions that pip went through."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for who, what in depends:
        found.setdefault((who.split()[0], _package(what)), (who, what))
    return list(found.values())


def _package(requirement: str) -> str:
    return canonical(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def _overlap(one: str, other: str) -> bool:
    """Whether a version that ``one`` pins exactly is one that ``other`` allows; where it pins none, it may."""
    try:
        pins = [part for part in Requirement(one).specifier if part.operator == "=="]
        allowed = Requirement(other).specifier
    except InvalidRequirement:
        return True
    return all(
        part.version.endswith(".*") or allowed.contains(part.version, prereleases=True) for part in pins
    )
