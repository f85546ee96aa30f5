"""What git says when a repository cannot be had, as one sentence and whose fault that is. Pure; shows no login."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stackyard_task.records import Failure

#: Of somebody else's words, so much stands in a sentence.
_MOST_CHARACTERS = 240
_LOGIN = re.compile(r"(?<=://)[^/\s'\"@]+@")
_QUERY = re.compile(r"(\w+://[^\s?'\"]*)\?[^\s'\"]*")
#: What git says -> the kind of fault, the first that fits.
_FAULTS: Sequence[tuple[str, str]] = (
    ("disk", r"No space left on device|Disk quota exceeded"),
    ("login", r"could not read (?:Username|Password)|Authentication failed|terminal prompts disabled"),
    (
        "login",
        r"Permission denied \(publickey|Access denied|(?:returned error|error:) 40[13]|Host key verification",
    ),
    (
        "away",
        r"Could not resolve host|Failed to connect|Couldn't connect|Connection (?:refused|timed out|reset)",
    ),
    (
        "away",
        r"Network is unreachable|No route to host|Operation timed out|SSL|certificate|returned error: 5\d\d",
    ),
    ("submodule", r"into submodule path|[Ss]ubmodule .*(?:failed|Unable)"),
    (
        "revision",
        r"reference is not a tree|not our ref|unable to read tree|did not match any file|bad object",
    ),
    ("revision", r"find remote ref|not a commit|invalid reference|unknown revision"),
    ("absent", r"does not appear to be a git repository|[Rr]epository .*not found|does not exist|Not Found"),
)
#: Lines in which git and those below it speak.
_SPEAKS = re.compile(r"^(?:remote: )?(?:fatal|error|ERROR|ssh|[\w.@-]+@[\w.-]+): .+|^Host key .*")


def failure(lines: Iterable[str], repository: str, revision: str) -> Failure | None:
    """Why a repository cannot be had.

    Args:
        lines: what was said, by git among others.
        repository: its address.
        revision: what is wanted of it, in words: "commit 1a2b3c".

    Returns:
        None: nothing that was said is known.
    """
    lines = [line.strip() for line in lines]
    spoken = [line for line in lines if _SPEAKS.match(line)]
    for fault, pattern in _FAULTS:
        told = next((line for line in spoken if re.search(pattern, line)), None)
        if told is None and fault == "disk":
            told = next((line for line in lines if re.search(pattern, line)), None)
        if told is not None:
            return _failure(fault, told, clean(repository or "of the task"), revision)
    return None


def last(lines: Iterable[str]) -> str | None:
    """The last line in which git speaks, without a login; ``None``: there is none."""
    spoken = [line.strip() for line in lines if _SPEAKS.match(line.strip())]
    return clean(spoken[-1]) if spoken else None


def clean(text: str) -> str:
    """Somebody else's words: one line, bounded, without a login."""
    line = "".join(character if character.isprintable() else " " for character in text)
    line = _QUERY.sub(r"\1", _LOGIN.sub("", " ".join(line.split())))
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"


def _failure(fault: str, told: str, where: str, revision: str) -> Failure:
    git = f"(git: {clean(told)})"
    if fault == "disk":
        return Failure(
            "infrastructure",
            f"the disk of this machine is full: the agent could not make the task ready ({clean(told)}); free some "
            "space and run the task again",
        )
    if fault == "away":
        return Failure(
            "infrastructure",
            f"the repository {where} cannot be reached from this machine {git}; correct its address, or run the task "
            "again when it can be reached",
        )
    sentence = {
        "login": f"the repository {where} asks for a login that this machine's agents do not have {git}; name "
        "CLEARML_AGENT_GIT_USER and CLEARML_AGENT_GIT_PASS in pass_environment of the file of queues, or let the "
        "repository be read without one",
        "absent": f"there is no repository {where} {git}; correct the task's repository",
        "submodule": f"a submodule of the repository {where} cannot be had {git}; let this machine's agents read it",
    }.get(
        fault,
        f"the repository {where} has no {revision} {git}; push it, or set the task to one that is there",
    )
    return Failure("bad_input", sentence)
