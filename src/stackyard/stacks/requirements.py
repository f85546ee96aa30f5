"""A file of requirements as its owner wrote it: what it asks for, checked, before anything is looked for.

Reads ``requirements.txt`` with the files it names; ``lockfiles`` reads ``pylock.toml`` and ``uv.lock`` into the same
shape. What a lock with hashes cannot say (paths, addresses, editable folders) and what must not be stored (an index
with a password) is refused here, in one sentence that never shows an address. Starts nothing, writes nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.stacks import lockfiles
from stackyard.stacks.wanted import (
    MOST_BYTES,
    MOST_FILES,
    MOST_LINES,
    MOST_PACKAGES,
    NO_PATH,
    Requirements,
    Wanted,
)

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


def read(path: Path, python: str, pinned: Collection[str] = ()) -> Requirements:
    """What the file ``path`` asks for.

    Args:
        path: requirements.txt (any name), pylock.toml (or pylock.NAME.toml) or uv.lock.
        python: the Python it is read for, as "3.11": a lock file of another tool may be for several.
        pinned: names of packages that are there already: what only those need is left out, where the file tells.

    Raises:
        BadInputError: it cannot be read, is of another tool, or says what cannot be kept.
    """
    name = path.name.lower()
    if name == "uv.lock":
        return lockfiles.read_uv(path, python, pinned)
    if name == "pylock.toml" or re.fullmatch(r"pylock\.[^.]+\.toml", name):
        return lockfiles.read_pylock(path, python)
    for known, way in _OTHERS.items():
        if name.startswith(known):
            raise BadInputError(f"{path}: {_READ}, this file is not; {way}")
    if path.suffix.lower() not in (".txt", ".in", ".lock", ".pip", ""):
        raise BadInputError(f"{path}: {_READ}, files that end in {path.suffix} are not")
    reading = _Reading(path)
    reading.read(path, constraint=False, depth=0)
    return reading.finished()


def checked_address(address: str, where: str) -> str:
    """An index's address, if it can be kept.

    Args:
        address: what the file says; never shown.
        where: "requirements.txt line 3".

    Raises:
        BadInputError: it carries a login or a question, or is no address of an index.
    """
    try:
        parts = urlsplit(address)
        host, login = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        host, login, parts = None, "@" in address, urlsplit("")
    if login or parts.query or _VARIABLE.search(address):
        raise BadInputError(
            f"{where}: an index with a login is never kept; put it into pip's own configuration "
            "(`pip config set global.extra-index-url ADDRESS`, or a .netrc file) and leave the line away"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise BadInputError(f"{where}: an index is an address that begins with https:// (or http://)")
    return address


@dataclass
class _Reading:
    """A file under way, with the files it names."""

    top: Path
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
        for number, line in _lines(text):
            self.lines += 1
            if self.lines > MOST_LINES:
                raise BadInputError(
                    f"{self.top}: more than {MOST_LINES} lines; is it a file of requirements?"
                )
            where = f"{path} line {number}"
            if _VARIABLE.search(line):
                raise BadInputError(
                    f"{where}: takes a part from a variable, which is not kept; write it out, and put logins "
                    "into pip's own configuration"
                )
            if line.startswith("-"):
                self._option(line, where, path, constraint, depth)
            else:
                (self.constraints if constraint else self.wanted).append(_wanted(line, where))

    def finished(self) -> Requirements:
        """What all of it asks for."""
        if len(self.wanted) + len(self.constraints) > MOST_PACKAGES:
            raise BadInputError(f"{self.top}: asks for more than {MOST_PACKAGES} packages")
        if not self.wanted:
            raise BadInputError(f"{self.top}: asks for no package; write one requirement per line")
        without = next((one for one in self.wanted if self.hashes_required and not one.hashes), None)
        if without is not None:
            raise BadInputError(
                f"{without.where}: --require-hashes stands in the file, {without.name} has none"
            )
        indexes = (self.index, *dict.fromkeys(self.more))
        return Requirements(
            self.top, tuple(self.wanted), tuple(self.constraints), indexes, tuple(dict.fromkeys(self.options))
        )

    def _option(self, line: str, where: str, path: Path, constraint: bool, depth: int) -> None:
        name, value = _split_option(line, where)
        if name in ("-r", "--requirement", "-c", "--constraint"):
            if re.match(r"[a-z]+://", value):
                raise BadInputError(f"{where}: names a file at an address; fetch it, and name the file")
            self.read(path.parent / value, constraint or name in ("-c", "--constraint"), depth + 1)
        elif name in ("-i", "--index-url", "--pypi-url"):
            self.index = checked_address(value, where)
        elif name == "--extra-index-url":
            self.more.append(checked_address(value, where))
        elif name in ("--pre", "--prefer-binary"):
            self.options.append(name)
        elif name in ("--only-binary", "--no-binary") and re.fullmatch(r"[\w.,:-]+", value):
            self.options.append(f"{name}={value}")
        elif name == "--require-hashes":
            self.hashes_required = True
        elif name in ("-e", "--editable"):
            raise BadInputError(f"{where}: an editable folder {NO_PATH}")
        elif name in ("-f", "--find-links", "--no-index"):
            raise BadInputError(f"{where}: {name} is not kept; give a folder of wheels with --wheels instead")
        else:
            raise BadInputError(f"{where}: {name} is not read here; put it into pip's own configuration")


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


def _wanted(line: str, where: str) -> Wanted:
    text, *options = re.split(r"\s(?=--?[a-z])", line)
    hashes = []
    for option in options:
        name, _, value = option.strip().replace(" ", "=", 1).partition("=")
        if name in _INDEXES:
            raise BadInputError(f"{where}: {name} holds for the whole file; give it a line of its own")
        if name != "--hash":
            raise BadInputError(f"{where}: {name} is not read here; put it into pip's own configuration")
        if not _HASH.fullmatch(value.strip()):
            raise BadInputError(f"{where}: a hash that is no sha256:... of 64 digits; write that one")
        hashes.append(value.strip())
    text = text.strip()
    if _PATH.search(text):
        raise BadInputError(f"{where}: a path or an address {NO_PATH}")
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        shown = f"{text[:60]!r} is" if _HARMLESS.fullmatch(text) else "is"
        way = "; that is conda's form, pip's is NAME==VERSION" if _CONDA.fullmatch(text) else ""
        raise BadInputError(f"{where}: {shown} not a requirement such as scikit-learn>=1.5{way}") from error
    if canonicalize_name(found.name) in _NO_PACKAGES:
        raise BadInputError(f"{where}: {_NO_PACKAGES[canonicalize_name(found.name)]}")
    if found.url is not None:
        raise BadInputError(f"{where}: {found.name} from a path or an address {NO_PATH}")
    return Wanted(str(found), where, tuple(hashes))
