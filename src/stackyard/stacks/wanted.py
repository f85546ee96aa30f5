"""What is asked for on top of a stack: requirements with their hashes, and where they are looked for. Shapes only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from stackyard.stacks.advice import OWNER, Advice

#: The names under which the files are kept.
REQUIREMENTS_FILE = "requirements.txt"
CONSTRAINTS_FILE = "constraints.txt"


#: What a file, and all that it names, may hold: a lock of a few hundred packages with every hash is 1 MB.
MOST_BYTES = 8 << 20
MOST_LINES = 20_000
MOST_FILES = 20
MOST_PACKAGES = 1000


@dataclass(frozen=True)
class Wanted:
    """One requirement, and where it stands."""

    #: As pip reads it, without hashes: "scikit-learn>=1.5".
    text: str
    #: "requirements.txt line 3", for sentences.
    where: str
    #: "sha256:..." of the files that may be installed; empty: any.
    hashes: tuple[str, ...] = ()

    @cached_property
    def requirement(self) -> Requirement:
        """Its parts: name, extras, versions, marker."""
        return Requirement(self.text)

    @property
    def name(self) -> str:
        """The package's name as indexes compare it."""
        return canonicalize_name(self.requirement.name)

    def matches(self, text: str) -> bool:
        """Whether a requirement asks for the same package and versions as this one."""
        try:
            other = Requirement(text)
        except InvalidRequirement:
            return False
        return canonicalize_name(other.name) == self.name and other.specifier == self.requirement.specifier

    def applies(self, around: Mapping[str, str]) -> bool:
        """Whether its condition holds in a Python that ``marker_environment`` describes."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(around))

    @property
    def line(self) -> str:
        """The requirement with its hashes, as pip reads it."""
        return self.text + "".join(f" --hash={value}" for value in self.hashes)


@dataclass(frozen=True)
class Requirements:
    """What a list of requirements asks for."""

    #: What sentences call it: a file's path, or "the task's requirements".
    name: str
    wanted: tuple[Wanted, ...]
    #: Versions that stand where something else asks for the package (-c).
    constraints: tuple[Wanted, ...] = ()
    #: Where packages are looked for: "default" (what pip is set up for) or an address without a login.
    indexes: tuple[str, ...] = ("default",)
    #: Options of pip that decide which versions are chosen: "--pre".
    options: tuple[str, ...] = ()
    #: How sentences about it end.
    advice: Advice = OWNER

    @property
    def files(self) -> dict[str, str]:
        """The same without comments, as files that can be read again: what is kept, and what decides a lock."""
        first, *more = self.indexes
        lines = [f"-c {CONSTRAINTS_FILE}"] if self.constraints else []
        lines += [*self.options, *([] if first == "default" else [f"--index-url {first}"])]
        lines += [f"--extra-index-url {address}" for address in more]
        found = {REQUIREMENTS_FILE: [*lines, *sorted({one.line for one in self.wanted})]}
        if self.constraints:
            found[CONSTRAINTS_FILE] = sorted({one.line for one in self.constraints})
        return {name: "\n".join(lines) + "\n" for name, lines in found.items()}


def marker_environment(python: str) -> dict[str, str]:
    """What conditions of requirements ("; python_version < '3.12'") are compared with, for a Python of this machine.

    Args:
        python: as "3.11"; its last release is assumed where it is not the one that runs.
    """
    found = {name: str(value) for name, value in default_environment().items()}
    if found["python_version"] != python:
        found |= {
            "python_version": python,
            "python_full_version": f"{python}.99",
            "implementation_version": f"{python}.99",
        }
    return found
