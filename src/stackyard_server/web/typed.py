"""What a person types into the form of a draft, line by line, as the API takes it. Pure.

Text that cannot be taken is told in one sentence that names its line. What is looked at is only what somebody changed:
whatever a client once put into a task stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

#: Lines of a field, and characters of one of them: more is no work of hands.
MOST_LINES, LONGEST_LINE = 1000, 4000
#: Characters of a section, a name of a parameter or a tag; tags of a task.
LONGEST_NAME, MOST_TAGS = 250, 100
#: Of a line that is refused, so much is shown.
_SHOWN = 60
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[^\s,;#()]+"
#: A line of pip's requirements, as far as its form tells: a name with extras, versions and a marker, or an address; or
#: an option, an address by itself, a folder or a file.
_REQUIREMENT = re.compile(
    rf"(?:{_NAME}\s*(?:\[[\w\s.,-]*\])?\s*"
    rf"(?:@\s*\S+|\(?\s*{_VERSION}(?:\s*,\s*{_VERSION})*\s*,?\s*\)?)?"
    r"|-{1,2}[a-z][\w-]*(?:[\s=].*)?|[a-z][a-z0-9+.-]*://\S+|\.{0,2}/\S*|\S+\.whl)"
    r"\s*(?:;[^#]*)?(?:\s--[a-z][\w-]*[\s=]\S+)*\s*\\?\s*(?:#.*)?"
)


class Unusable(ValueError):
    """What was typed cannot be taken; the message is one sentence."""


def plain(text: str) -> str:
    """Text as a form sends it, with line feeds alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def name(text: str) -> str:
    """The name of a task.

    Raises:
        Unusable: it is too short.
    """
    found = text.strip()
    if len(found) < 3:
        raise Unusable("A task's name has three characters or more.")
    return found


def tags(text: str) -> list[str]:
    """Tags, one a line, none twice.

    Raises:
        Unusable: there are too many, or one is too long.
    """
    found = list(dict.fromkeys(line for _, line in _lines(text, "Tags")))
    if len(found) > MOST_TAGS:
        raise Unusable(f"Tags: {len(found)} are more than the {MOST_TAGS} that a task may have.")
    for number, line in _lines(text, "Tags"):
        _check_name(line, f"Tags, line {number}: a tag")
    return found


def packages(text: str, before: str) -> str:
    """The list of packages, as pip's requirements.

    Args:
        text: what was typed.
        before: what the task had; its lines are not looked at.

    Raises:
        Unusable: a new line is no requirement by its form.
    """
    known = {line.strip() for line in before.split("\n")}
    goes_on = False  # a line that ends with a backslash goes on in the next
    for number, line in _lines(text, "Packages"):
        if (
            not goes_on
            and not line.startswith("#")
            and line not in known
            and not _REQUIREMENT.fullmatch(line)
        ):
            raise Unusable(
                f"Packages, line {number}: {_told(line)} is no requirement; write it as name==version, one a line."
            )
        goes_on = line.endswith("\\")
    return text.rstrip() + "\n" if text.strip() else ""


def packages_of(script: Mapping[str, Any] | None) -> str:
    """The list of packages that a script has, as text."""
    requirements = (script or {}).get("requirements")
    held = requirements.get("pip") if isinstance(requirements, dict) else None
    if isinstance(held, list):
        return "\n".join(map(str, held))
    return held if isinstance(held, str) else ""


def parameters(
    text: str, held: Mapping[str, Collection[str]], what: str, section: str = ""
) -> list[dict[str, str]]:
    """New parameters, one a line: ``Section/name = value``.

    Args:
        text: what was typed.
        held: the names that the task has, by section.
        what: what the field is called.
        section: the one of all of them; a line is ``name = value`` then.

    Raises:
        Unusable: a line is none, or names one that is there already.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    form = "name = value" if section else "Section/name = value"
    for number, line in _lines(text, what):
        here = f"{what}, line {number}"
        key, equals, value = line.partition("=")
        at, slash, rest = (section, "/", key) if section else key.partition("/")
        at, named = at.strip(), rest.strip()
        if not (equals and slash and at and named):
            raise Unusable(f"{here}: {_told(line)} cannot be read; write it as {form}.")
        _check_name(at, f"{here}: a section")
        _check_name(named, f"{here}: a name")
        told = named if section else f"{at}/{named}"
        if named in held.get(at, ()):
            raise Unusable(f"{here}: {_told(told)} is there already; change it in its own field.")
        if (at, named) in found:
            raise Unusable(f"{here}: {_told(told)} stands in a line before.")
        found[at, named] = {"section": at, "name": named, "value": value.strip()}
    return list(found.values())


def _lines(text: str, what: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, stripped, each with its number from 1."""
    every = text.split("\n")
    if len(every) > MOST_LINES:
        raise Unusable(
            f"{what}: {len(every):,} lines are more than the {MOST_LINES:,} that may be typed here."
        )
    for number, line in enumerate(every, 1):
        if len(line) > LONGEST_LINE:
            raise Unusable(f"{what}, line {number}: it is longer than {LONGEST_LINE:,} characters.")
        if line.strip():
            yield number, line.strip()


def _check_name(text: str, what: str) -> None:
    if len(text) > LONGEST_NAME:
        raise Unusable(f"{what} has {LONGEST_NAME} characters at most.")
    if not text.isprintable():
        raise Unusable(f"{what} has characters that cannot be shown.")


def _told(text: str) -> str:
    clean = "".join(character if character.isprintable() else " " for character in text)
    return f"“{clean if len(clean) <= _SHOWN else clean[: _SHOWN - 1] + '…'}”"
