"""Ignore rules as git has them, of ``.gitignore`` and ``.stackyardignore`` files: text -> what they exclude.

The algorithm is that of gitignore(5) and of git's wildmatch, on bytes as there: ``?`` is one byte. The caller walks
from the top down and enters no folder that is excluded, so a rule is asked about an entry itself, never about what
lies below it. Pure; ``tests/stackyard/workloads/test_ignore_rules.py`` holds it against git.

Every rule becomes a regular expression that looks at each byte of a name few times, whoever wrote the rule.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

#: Of one file of rules.
MOST_BYTES = 256 << 10
_CLASSES = {
    "alnum": lambda c: chr(c).isalnum(),
    "alpha": lambda c: chr(c).isalpha(),
    "blank": lambda c: c in b" \t",
    "cntrl": lambda c: c < 32 or c == 127,
    "digit": lambda c: c in b"0123456789",
    "graph": lambda c: 32 < c < 127,
    "lower": lambda c: 97 <= c <= 122,
    "print": lambda c: 32 <= c < 127,
    "punct": lambda c: 32 < c < 127 and not chr(c).isalnum(),
    "space": lambda c: c in b" \t\n\r\v\f",
    "upper": lambda c: 65 <= c <= 90,
    "xdigit": lambda c: c in b"0123456789abcdefABCDEF",
}
_LITERAL = re.compile(rb"[^*?\[\\]*")
_STAR, _FOLDERS, _SLASH = b"*", b"**", b"/"


@dataclass(frozen=True)
class _Rules:
    """Neighbouring rules that say the same: which of them matches makes no difference."""

    excludes: bool
    folders_only: bool
    #: Whether the entry's own name is looked at, wherever it lies, or its path.
    by_name: bool
    pattern: re.Pattern[bytes]


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of one file."""

    rules: tuple[_Rules, ...] = ()

    def verdict(self, path: bytes, is_folder: bool) -> bool | None:
        """Whether the last rule about an entry excludes it (``True``) or brings it back; ``None``: there is none.

        Args:
            path: of the entry, seen from the folder of these rules, parts separated by "/".
            is_folder: whether it is a folder; a link to one is none.
        """
        name = path.rpartition(b"/")[2]
        for rule in self.rules:
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(
                name if rule.by_name else path
            ):
                return rule.excludes
        return None


@dataclass(frozen=True)
class Chain:
    """The rules of several files that hold in one folder, later ones before earlier ones."""

    #: Length of the path of the rules' folder, with the "/" behind it; the rules.
    files: tuple[tuple[int, IgnoreRules], ...] = field(default=())

    def and_those(self, folder: bytes, rules: IgnoreRules) -> Chain:
        """This chain with the rules of a file in ``folder``, an absolute path."""
        return Chain((*self.files, (len(folder.rstrip(b"/")) + 1, rules))) if rules.rules else self

    def verdict(self, path: bytes, is_folder: bool) -> bool | None:
        """As of ``IgnoreRules``, for an absolute path."""
        for start, rules in reversed(self.files):
            verdict = rules.verdict(path[start:], is_folder)
            if verdict is not None:
                return verdict
        return None


def parsed(text: bytes) -> IgnoreRules:
    """The rules of a file with this content. Lines that can match nothing are passed over, as git does."""
    rules = [rule for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n") if (rule := _rule(line))]
    joined = []
    for (excludes, folders_only, by_name), same in itertools.groupby(rules, key=lambda rule: rule[0]):
        pattern = re.compile(b"|".join(pattern for _, pattern in same), re.DOTALL)
        joined.append(_Rules(excludes, folders_only, by_name, pattern))
    return IgnoreRules(tuple(reversed(joined)))


def _rule(line: bytes) -> tuple[tuple[bool, bool, bool], bytes] | None:
    """Of one line: (excludes, folders only, by name) and its expression."""
    line = _without_spaces(line.removesuffix(b"\r"))
    if not line or line.startswith(b"#"):
        return None
    excludes = not line.startswith(b"!")
    line = line if excludes else line[1:]
    folders_only = line.endswith(b"/")
    line = line[:-1] if folders_only else line
    by_name = b"/" not in line
    line = line.removeprefix(b"/")
    # git compares what comes before the first special letter by itself, so "a**/b" is a, then "**/b"
    literal = 0 if by_name else len(_LITERAL.match(line)[0])  # type: ignore[index]
    tokens = _tokens(line[literal:], by_name)
    if not line or tokens is None:
        return None
    return (excludes, folders_only, by_name), re.escape(line[:literal]) + _expression(tokens)


def _without_spaces(line: bytes) -> bytes:
    """The line without spaces at its end, but for one behind a backslash."""
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if escapes % 2 and len(bare) < len(line) else bare


def _tokens(glob: bytes, by_name: bool) -> list[bytes] | None:
    """A glob as expressions for one byte each, and _STAR, _FOLDERS and _SLASH; ``None``: it matches nothing."""
    tokens: list[bytes] = []
    at = 0
    while at < len(glob):
        letter = glob[at : at + 1]
        at += 1
        if letter == b"\\":
            if at == len(glob):
                return None
            literal = glob[at : at + 1]
            tokens.append(_SLASH if literal == b"/" else re.escape(literal))
            at += 1
        elif letter == b"*":
            first = at - 1
            while glob[at : at + 1] == b"*":
                at += 1
            whole = first == 0 or glob[first - 1 : first] == b"/"
            escaped = glob[at : at + 2] == b"\\/"
            ends = at == len(glob) or glob[at : at + 1] == b"/" or escaped
            if at - first > 1 and whole and ends and not by_name:
                # git lets "**/" stand for no folder at all, but not where its slash is escaped
                tokens += [_STAR, _SLASH, _FOLDERS] if escaped else [_FOLDERS]
            else:
                tokens.append(_STAR)
        elif letter == b"?":
            tokens.append(b"[^/]")
        elif letter == b"[":
            found = _bracket(glob, at)
            if found is None:
                return None
            expression, at = found
            tokens.append(expression)
        else:
            tokens.append(_SLASH if letter == b"/" else re.escape(letter))
    return tokens


def _bracket(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """The expression for a bracket whose inside begins at ``at``, and where it ends; ``None``: it never matches."""
    negated = glob[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    first, before = True, None
    while first or glob[at : at + 1] != b"]":
        first = False
        if at >= len(glob):
            return None
        letter = glob[at]
        if glob[at : at + 2] == b"[:":
            end = glob.find(b"]", at + 2)
            if end < 0:
                return None
            if glob[end - 1 : end] == b":" and end - 1 >= at + 2:
                named = _CLASSES.get(glob[at + 2 : end - 1].decode("latin-1"))
                if named is None:
                    return None
                members.update(c for c in range(128) if named(c))
                at, before = end + 1, None
                continue
        if letter == ord("-") and before is not None and glob[at + 1 : at + 2] not in (b"]", b""):
            at += 1
            if glob[at] == ord("\\"):
                at += 1
                if at >= len(glob):
                    return None
            members.update(range(before, glob[at] + 1))
            at, before = at + 1, None
            continue
        if letter == ord("\\"):
            at += 1
            if at >= len(glob):
                return None
            letter = glob[at]
        members.add(letter)
        at, before = at + 1, letter
    allowed = (set(range(256)) - members if negated else members) - {ord("/")}
    if not allowed:
        return None
    starts = [c for c in sorted(allowed) if c - 1 not in allowed]
    ends = [c for c in sorted(allowed) if c + 1 not in allowed]
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % both for both in zip(starts, ends)) + b"]", at + 1


def _expression(tokens: list[bytes]) -> bytes:
    """The expression for a whole name or path.

    What lies between two ``**``, or between two ``*`` of one part, may be taken where it is first found, for what
    follows has most room then. So these pieces are atomic, and nothing is tried again.
    """
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == _SLASH:
            parts.append([])
        else:
            parts[-1].append(token)
    groups: list[list[bytes]] = [[]]
    for part in parts:
        if part == [_FOLDERS]:
            groups.append([])
        else:
            groups[-1].append(_part(part))
    first, *others = groups
    if not others:
        return b"/".join(first)
    out = b"/".join(first) + b"/" if first else b""
    for group in others[:-1]:
        out += b"(?>(?:[^/]*/)*?" + b"/".join(group) + b"/)" if group else b""
    return out + (b"(?:[^/]*/)*" + b"/".join(others[-1]) if others[-1] else b".*")


def _part(tokens: list[bytes]) -> bytes:
    pieces: list[bytes] = [b""]
    for token in tokens:
        if token == _STAR:
            pieces.append(b"")
        else:
            pieces[-1] += token
    first, *others = pieces
    if not others:
        return first
    middle = b"".join(b"(?>[^/]*?" + piece + b")" for piece in others[:-1] if piece)
    return first + middle + b"[^/]*" + others[-1]
