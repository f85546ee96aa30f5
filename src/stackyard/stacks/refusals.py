"""What a list of requirements asks for against what a base pins, as its lock tells: nothing is built or looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from stackyard.errors import BadInputError
from stackyard.stacks import core
from stackyard.stacks.definition import LockedPackage, StackSpec, canonical, load, packages, public_version
from stackyard.stacks.wanted import Requirements, Wanted, marker_environment

#: The first pip that an environment can do with, by the first Python that it is for: an older one does not start there,
#: or does not say what it would install.
_FIRST_PIP = ((12, "23.1.2"), (0, "23.0"))


class RuledOutError(BadInputError):
    """What is asked for does not go together with what stays as it is; where more is free, it may."""


def check(base: StackSpec, asked: Requirements, keeps: Callable[[str], bool] = lambda name: True) -> None:
    """Refuse requirements that the base's pins cannot satisfy; reads locks only.

    Args:
        base: the stack below.
        asked: what is asked for.
        keeps: tells of a package of the base, by name, whether it stays as it is; the others' pins do not count.

    Raises:
        RuledOutError: one asks for another version of what the base pins.
        BadInputError: one asks for a torch that the base does not have, or for a build for another torch.
    """
    for one, pinned, fits in _against(base, asked):
        requirement = one.requirement
        what = f"{one.where} asks for {requirement.name}{requirement.specifier}"
        if pinned is not None and not fits:
            if not keeps(one.name):
                continue
            raise RuledOutError(
                f"{what}, but base {base.name} pins {pinned.name} {pinned.version}; "
                f"{_bases_with(one, pinned.name, asked)}, or leave the line away"
            )
        if one.name == "pip" and _only_before(requirement.specifier, first_pip(base)):
            raise BadInputError(old_pip(what, base))
        if one.name == "torch" and pinned is None and one in asked.wanted:
            raise BadInputError(no_torch(f"{one.where} asks for torch", base, asked))
        other = tag_of(requirement.specifier) if one.name in core.BUILT_WITH_TORCH else None
        if other is not None and base.cuda is not None and other != _tag(base.cuda):
            raise BadInputError(
                f"{what}, which is not built for the torch of base {base.name} ({base.torch}+{_tag(base.cuda)}); ask "
                f"for {requirement.name} with that tag, or without one"
            )


def fits_torch(wanted: Wanted, stack: StackSpec) -> bool:
    """Whether a stack has the torch that a requirement asks for, under whatever condition that stands."""
    pinned = next((package for package in packages(stack) if canonical(package.name) == "torch"), None)
    return pinned is not None and _fits(wanted.requirement.specifier, pinned, stack)


def ruled_out(base: StackSpec, asked: Requirements) -> bool:
    """Whether a requirement asks for another version of what the base pins; reads locks only."""
    return any(pinned is not None and not fits for _one, pinned, fits in _against(base, asked))


def _against(base: StackSpec, asked: Requirements) -> Iterator[tuple[Wanted, LockedPackage | None, bool]]:
    """(what is asked for here, the base's pin of that package, whether that is a version that is asked for)."""
    pins = {canonical(package.name): package for package in packages(base)}
    around = marker_environment(base.python)
    for one in (*asked.wanted, *asked.constraints):
        if one.applies(around):
            pinned = pins.get(one.name)
            yield one, pinned, pinned is not None and _fits(one.requirement.specifier, pinned, base)


def _fits(specifier: SpecifierSet, pinned: LockedPackage, base: StackSpec) -> bool:
    """Whether the base's pin is a version that is asked for; torch's local tag says its build, no other version."""
    versions = {pinned.version, public_version(pinned.version)}
    if canonical(pinned.name) == "torch" and base.cuda:
        versions.add(f"{public_version(pinned.version)}+{_tag(base.cuda)}")
    return any(specifier.contains(version, prereleases=True) for version in versions)


def _tag(cuda: str) -> str:
    """The local tag of torch's build for a CUDA version, or for "cpu"."""
    return "cpu" if cuda == "cpu" else "cu" + cuda.replace(".", "")


def tag_of(specifier: SpecifierSet) -> str | None:
    """The local tag of the version that is asked for, if there is one."""
    return next((tag for part in specifier if (tag := part.version.partition("+")[2])), None)


def _bases_with(one: Wanted, package: str, asked: Requirements) -> str:
    """Which stacks of the house have what one requirement asks for, as advice."""
    fitting = [
        stack.name
        for stack in load().values()
        for pinned in packages(stack)
        if canonical(pinned.name) == one.name and _fits(one.requirement.specifier, pinned, stack)
    ]
    if fitting:
        return f"{asked.advice.take} with that {package}: {', '.join(fitting)}"
    return f"no stack here has that {package}: {asked.advice.define}"


def first_pip(base: StackSpec) -> Version:
    """The oldest pip that an environment on ``base`` can do with."""
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


def old_pip(what: str, base: StackSpec) -> str:
    """The sentence that refuses an older one."""
    return (
        f"{what}, but an environment with Python {base.python} needs pip {first_pip(base)} or newer and "
        "brings its own; leave the line away (`pip freeze --all` writes it)"
    )


def no_torch(what: str, base: StackSpec, asked: Requirements) -> str:
    """The sentence that refuses torch on a base without it."""
    return f"{what}, which base {base.name} does not have; {asked.advice.with_torch}"
