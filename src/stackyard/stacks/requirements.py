"""A list of requirements as its owner wrote it: what it asks for, checked, before anything is looked for.

Reads ``requirements.txt`` with the files it names, and the text that a ClearML task keeps; ``lockfiles`` reads
``pylock.toml`` and ``uv.lock`` into the same shape. What a lock with hashes cannot say (paths, addresses, editable
folders) and what must not be stored (an index with a password) is refused here, in one sentence that never shows an
address. Starts nothing, writes nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.stacks.advice import AUTHOR, OWNER, Advice
from stackyard.stacks.wanted import (
    MOST_BYTES,
    MOST_FILES,
    MOST_LINES,
    MOST_PACKAGES,
    Requirements,
    Wanted,
    marker_environment,
)

#: What a list that a task keeps may hold: the longest are what `pip freeze` says, some KiB.
MOST_TEXT_BYTES = 1 << 20
#: Of an option, or of one requirement with its condition; Python reads no number of more digits.
_MOST_LETTERS = 4000
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
#: What pip would take for a path or an address; a requirement "name @ address" is told by its parts.
_PATH = re.compile(
    r"^[^@;]*://|^\.{0,2}/|^\.{1,2}(\[|$)|^~|^[A-Za-z]:\\|^\S+\.(whl|zip|tar\.gz)$|^(git|hg|svn|bzr)\+"
)
#: What may be shown of a line: no address, no login.
_HARMLESS = re.compile(r"[\w .=<>!~,;\[\]'\"()-]*")
#: A line of "conda list --export": name=version, often with =build.
_CONDA = re.compile(r"[\w.-]+=[\w.]+|[\w.-]+==?[\w.]+=\w+")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
#: What only another tool reads, and how its owner gets a file that we read.
_OTHERS = {
    "environment": "conda's own packages are not pip's; write what pip can install into a requirements.txt",
    "pipfile": "write one with `pipenv requirements --hash > requirements.txt`",
    "poetry.lock": "write one with `poetry export --output requirements.txt`",
    "pdm.lock": "write one with `pdm export --output requirements.txt`",
    "pyproject.toml": "write one with `uv pip compile pyproject.toml -o requirements.txt`, or give its uv.lock",
    "setup.py": "write what its install_requires says into a requirements.txt",
    "setup.cfg": "write what its install_requires says into a requirements.txt",
}
#: What pip can never install under these names, and why.
_NO_PACKAGES = {
    "python": "Python is the stack's, and no package; leave the line away",
    "pkg-resources": "Debian's pip writes that line, and there is no such package; leave it away",
}
_READ = "requirements.txt, pylock.toml and uv.lock are read"


def read(path: Path, python: str, pinned: Collection[str] = (), *, advice: Advice = OWNER) -> Requirements:
    """What the file ``path`` asks for.

    Args:
        path: requirements.txt (any name), pylock.toml (or pylock.NAME.toml) or uv.lock.
        python: the Python it is read for, as "3.11": a lock file of another tool may be for several.
        pinned: names of packages that are there already: what only those need is left out, where the file tells.
        advice: how sentences about a requirements.txt end.

    Raises:
        BadInputError: it cannot be read, is of another tool, or says what cannot be kept.
    """
    name = path.name.lower()
    if name == "uv.lock":
        from stackyard.stacks import lockfiles

        return lockfiles.read_uv(path, python, pinned)
    if name == "pylock.toml" or re.fullmatch(r"pylock\.[^.]+\.toml", name):
        from stackyard.stacks import lockfiles

        return lockfiles.read_pylock(path, python)
    for known, way in _OTHERS.items():
        if name.startswith(known):
            raise BadInputError(f"{path}: {_READ}, this file is not; {way}")
    if path.suffix.lower() not in (".txt", ".in", ".lock", ".pip", ""):
        raise BadInputError(f"{path}: {_READ}, files that end in {path.suffix} are not")
    reading = _Reading(str(path), advice)
    reading.read(path, constraint=False, depth=0)
    return reading.finished()


def read_text(text: str, where: str = "the task's requirements", *, python: str) -> Requirements:
    """What a text asks for that no file holds, such as the requirements that a ClearML task keeps.

    The same lines are taken as of a requirements.txt, but none that names another file. A text without any requirement
    asks for nothing, and is no fault: a task may need no package.

    Args:
        text: any line ends; comments and empty lines do not count.
        where: what sentences call it; a line is then "the task's requirements, line 3".
        python: the Python it is read for, as "3.11".

    Raises:
        BadInputError: it is too long, says what cannot be kept, or pins a package to two versions.
    """
    try:
        length = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise BadInputError(f"{where}: not a text that can be kept (character {error.start})") from error
    if length > MOST_TEXT_BYTES:
        raise BadInputError(f"{where}: longer than {MOST_TEXT_BYTES >> 10} KiB; list what the code imports")
    reading = _Reading(where, AUTHOR, between=", ")
    reading.take(text, where, None, constraint=False, depth=0)
    asked = reading.finished(may_be_empty=True)
    _refuse_two_versions(asked.wanted, marker_environment(python))
    return asked


def with_also(asked: Requirements, also: Sequence[str], where: str, python: str) -> Requirements:
    """The same requirements with more packages, each only where the list asks for none of that name.

    Args:
        asked: the list.
        also: requirements: "clearml==2.0.2".
        where: who asks for them, in sentences: "the agent".
        python: the Python the list is for, as "3.11": a line whose condition does not hold there asks for nothing.

    Raises:
        BadInputError: one of them is no requirement, or a path or an address.
    """
    around = marker_environment(python)
    named = {one.name for one in asked.wanted if one.applies(around)}
    more = [_wanted(text, where, asked.advice) for text in also]
    return replace(asked, wanted=(*asked.wanted, *(one for one in more if one.name not in named)))


def _refuse_two_versions(wanted: Iterable[Wanted], around: Mapping[str, str]) -> None:
    """Refuse lines that pin one package to different versions; pip would name them without their lines."""
    pins: dict[str, tuple[Version, Wanted]] = {}
    for one in wanted:
        for part in one.requirement.specifier if one.applies(around) else ():
            if part.operator != "==" or part.version.endswith(".*"):
                continue
            version = Version(part.version)
            first, other = pins.setdefault(one.name, (version, one))
            # a local tag says more than a line without one, not something else
            both = version.local and first.local
            same = version == first if both else Version(version.public) == Version(first.public)
            if not same:
                raise BadInputError(
                    f"{one.where} asks for {one.name}=={version}, but {other.where.rpartition(', ')[2]} for "
                    f"{one.name}=={first}; keep one of them"
                )


def checked_address(address: str, where: str, advice: Advice = OWNER) -> str:
    """An index's address, if it can be kept.

    Args:
        address: what the file says; never shown.
        where: "requirements.txt line 3".
        advice: how the sentence ends.

    Raises:
        BadInputError: it carries a login or a question, or is no address of an index.
    """
    try:
        parts = urlsplit(address)
        host, login = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        host, login, parts = None, "@" in address, urlsplit("")
    if login or parts.query or _VARIABLE.search(address):
        raise BadInputError(f"{where}: an index with a login is never kept; {advice.login}")
    if parts.scheme not in ("http", "https") or not host:
        raise BadInputError(f"{where}: an index is an address that begins with https:// (or http://)")
    return address


@dataclass
class _Reading:
    """A list under way, with the files it names."""

    top: str
    advice: Advice = OWNER
    #: Between the list's name and "line 3".
    between: str = " "
    wanted: list[Wanted] = field(default_factory=list)
    constraints: list[Wanted] = field(default_factory=list)
    index: str = "default"
    more: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    hashes_required: bool = False
    files: int = 0
    left_bytes: int = MOST_BYTES
    lines: int = 0

    def read(self, path: Path, constraint: bool, depth: int) -> None:
        """Take in one file."""
        self.files += 1
        if self.files > MOST_FILES or depth > MOST_FILES:
            raise BadInputError(
                f"{self.top}: names more than {MOST_FILES} files; does one of them name itself?"
            )
        text = toml_tables.text_of(path, most_bytes=max(0, self.left_bytes), marked=True)
        self.left_bytes -= len(text.encode("utf-8"))
        self.take(text, str(path), path, constraint, depth)

    def take(self, text: str, name: str, path: Path | None, constraint: bool, depth: int) -> None:
        """Take in the lines of one text, which are those of ``path`` where it is a file's."""
        for number, line in _lines(text):
            self.lines += 1
            if self.lines > MOST_LINES:
                raise BadInputError(
                    f"{self.top}: more than {MOST_LINES} lines; is it a file of requirements?"
                )
            where = f"{name}{self.between}line {number}"
            if _VARIABLE.search(line):
                raise BadInputError(
                    f"{where}: takes a part from a variable, which is not kept; {self.advice.variable}"
                )
            if line.startswith("-"):
                self._option(line, where, path, constraint, depth)
            else:
                kind = self.constraints if constraint else self.wanted
                kind.append(_wanted(line, where, self.advice))

    def finished(self, may_be_empty: bool = False) -> Requirements:
        """What all of it asks for."""
        if len(self.wanted) + len(self.constraints) > MOST_PACKAGES:
            raise BadInputError(f"{self.top}: asks for more than {MOST_PACKAGES} packages")
        if not self.wanted and not may_be_empty:
            raise BadInputError(f"{self.top}: asks for no package; write one requirement per line")
        without = next((one for one in self.wanted if self.hashes_required and not one.hashes), None)
        if without is not None:
            raise BadInputError(
                f"{without.where}: --require-hashes stands in the file, {without.name} has none"
            )
        indexes = (self.index, *dict.fromkeys(self.more))
        return Requirements(
            self.top,
            tuple(self.wanted),
            tuple(self.constraints),
            indexes,
            tuple(dict.fromkeys(self.options)),
            self.advice,
        )

    def _option(self, line: str, where: str, path: Path | None, constraint: bool, depth: int) -> None:
        name, value = _split_option(line, where)
        if path is None and name in ("-r", "--requirement", "-c", "--constraint"):
            raise BadInputError(
                f"{where}: names a file, and none lies beside it; list the packages themselves"
            )
        if path is not None and name in ("-r", "--requirement", "-c", "--constraint"):
            if re.match(r"[a-z]+://", value):
                raise BadInputError(f"{where}: names a file at an address; fetch it, and name the file")
            self.read(path.parent / value, constraint or name in ("-c", "--constraint"), depth + 1)
        elif name in ("-i", "--index-url", "--pypi-url"):
            self.index = checked_address(value, where, self.advice)
        elif name == "--extra-index-url":
            self.more.append(checked_address(value, where, self.advice))
        elif name in ("--pre", "--prefer-binary"):
            self.options.append(name)
        elif name in ("--only-binary", "--no-binary") and re.fullmatch(r"[\w.,:-]+", value):
            self.options.append(f"{name}={value}")
        elif name == "--require-hashes":
            self.hashes_required = True
        elif name in ("-e", "--editable"):
            raise BadInputError(f"{where}: an editable folder {self.advice.no_path}")
        elif name in ("-f", "--find-links", "--no-index"):
            raise BadInputError(f"{where}: {name} {self.advice.wheels}")
        else:
            raise BadInputError(f"{where}: {name} {self.advice.option}")


#: Options that are read, or refused with a sentence of their own.
_TAKE_NONE = ("--pre", "--prefer-binary", "--no-index", "--require-hashes")
_INDEXES = ("-i", "--index-url", "--pypi-url", "--extra-index-url")
_TAKE_ONE = (
    *("-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-f", "--find-links"),
    *(*_INDEXES, "--only-binary", "--no-binary"),
)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) without comments; a line that ends with a backslash goes on in the next."""
    waiting, begun = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        begun = begun if waiting else number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            waiting += raw[:-1] + " "
            continue
        line = re.sub(r"(^|\s)#.*$", "", waiting + raw).strip()
        waiting = ""
        if line:
            yield begun, line
    line = re.sub(r"(^|\s)#.*$", "", waiting).strip()
    if line:
        yield begun, line


def _split_option(line: str, where: str) -> tuple[str, str]:
    """(option, value) of a line such as "-r base.txt", "--index-url=ADDRESS" or "-cpins.txt"."""
    try:
        if len(line) > _MOST_LETTERS:
            raise ValueError("too long for an option")
        words = shlex.split(line)
    except ValueError as error:
        raise BadInputError(f"{where}: {error}") from error
    first, *rest = words
    if first.startswith("--"):
        name, equals, value = first.partition("=")
    else:
        name, equals, value = first[:2], first[2:], first[2:].removeprefix("=")
    if not equals:
        value = rest.pop(0) if rest else ""
    takes_none = name in _TAKE_NONE
    if name in (*_TAKE_NONE, *_TAKE_ONE) and (rest or takes_none is bool(value)):
        raise BadInputError(
            f"{where}: {name} {'takes nothing' if takes_none else 'takes one value'} on its line"
        )
    return name, value


def _wanted(line: str, where: str, advice: Advice) -> Wanted:
    text, *options = re.split(r"\s(?=--?[a-z])", line)
    hashes = []
    for option in options:
        name, _, value = option.strip().replace(" ", "=", 1).partition("=")
        if name in _INDEXES:
            raise BadInputError(f"{where}: {name} holds for the whole file; give it a line of its own")
        if name != "--hash":
            raise BadInputError(f"{where}: {name} {advice.option}")
        if not _HASH.fullmatch(value.strip()):
            raise BadInputError(f"{where}: a hash that is no sha256:... of 64 digits; write that one")
        hashes.append(value.strip())
    text = text.strip()
    if _PATH.search(text):
        raise BadInputError(f"{where}: a path or an address {advice.no_path}")
    try:
        if len(text) > _MOST_LETTERS:
            raise InvalidRequirement("too long")
        found = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        shown = f"{text[:60]!r} is" if _HARMLESS.fullmatch(text) else "is"
        way = "; that is conda's form, pip's is NAME==VERSION" if _CONDA.fullmatch(text) else ""
        raise BadInputError(f"{where}: {shown} not a requirement such as scikit-learn>=1.5{way}") from error
    if canonicalize_name(found.name) in _NO_PACKAGES:
        raise BadInputError(f"{where}: {_NO_PACKAGES[canonicalize_name(found.name)]}")
    try:
        if found.marker is not None:
            found.marker.evaluate()
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion) as error:
        raise BadInputError(f"{where}: {found.name} has a condition that compares no versions") from error
    if found.url is not None:
        raise BadInputError(f"{where}: {found.name} from a path or an address {advice.no_path}")
    return Wanted(str(found), where, tuple(hashes))
