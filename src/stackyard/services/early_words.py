"""What an agent said when it failed a task before the task's script began, as one sentence.

Known lines of clearml-agent 3.0 and of git. Pure: lines in, a failure out. No sentence shows a login.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard_task.records import Failure

#: The agent's own reasons for the failure of a task that it could not begin, or whose process failed.
AGENTS_REASON = re.compile(r"failed cloning repository|worker execution exit code -?\d+")
#: What the agent says at the end of a task whose process exited with 0.
GOES_WELL = re.compile(r"Process completed successfully( - rank \d+)?$")
#: Where the agent begins a task, and where it hands over to the task's script.
_BEGINS, _HANDS_OVER = "Executing task id [", "Starting Task Execution:"
#: What ``stackyard_task.ordinary`` says.
_NOT_BEGUN = "stackyard: not begun: "
#: Of an agent's words, so much stands in a sentence.
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
_GIT_SPEAKS = re.compile(r"^(?:remote: )?(?:fatal|error|ERROR|ssh|[\w.@-]+@[\w.-]+): .+|^Host key .*")
_APPLIED = re.compile(r"^Executing: \('git', 'apply'.*?\): b(['\"])(.*)\1$")
_NO_FOLDER = re.compile(r"^\[Errno (?:2|20)\] (?:No such file or directory|Not a directory): '(.*)'$")
#: Lines of an agent's that say nothing of a fault.
_IDLE = re.compile(
    r"\s*$|Process failed, exit code|Leaving process id|Task failed: stopping|INFO:|Repository cloning failed"
)


def explained(lines: Sequence[str], script: Mapping[str, Any]) -> Failure | None:
    """Why an agent failed a task.

    Args:
        lines: the end of the task's console.
        script: of the task's document: repository, branch, version_num, tag, working_dir.

    Returns:
        None: the task's script had begun, or the agent said nothing of it.
    """
    said = last_run(lines)
    if any(line.startswith(_HANDS_OVER) for line in said):
        return _no_folder(said, script) or _not_begun(said)
    known = _diff(said) or _repository(said, script)
    return known or _something(said)


def last_run(lines: Sequence[str]) -> list[str]:
    """What was said of the task's last run: a task that is tried again has a longer console."""
    begins = [number for number, line in enumerate(lines) if line.startswith(_BEGINS)]
    return list(lines[begins[-1] :] if begins else lines)


def _no_folder(said: Sequence[str], script: Mapping[str, Any]) -> Failure | None:
    """The working folder that is not there: noticed where the script was to be begun."""
    start = next(number for number, line in enumerate(said) if line.startswith(_HANDS_OVER))
    first = next((line for line in said[start + 1 :] if line.strip()), "")
    folder = str(script.get("working_dir") or "")
    found = _NO_FOLDER.match(first)
    if found is None or not folder.strip("./") or not found[1].endswith(folder.rstrip("/")):
        return None
    return _bad(
        f"the task's working folder {_told(folder)} is not in its repository; correct the task's working directory"
    )


def _not_begun(said: Sequence[str]) -> Failure | None:
    """What stands in the place of Python could not ask what the task wants."""
    found = next((line for line in said if line.startswith(_NOT_BEGUN)), None)
    if found is None:
        return None
    why = _told(found.removeprefix(_NOT_BEGUN))
    return Failure("infrastructure", f"the task's script was not begun: {why}; run it again")


def _diff(said: Sequence[str]) -> Failure | None:
    if not any("Failed applying git diff" in line for line in said):
        return None
    git = next((found[2] for line in reversed(said) if (found := _APPLIED.match(line.strip()))), "")
    why = "; ".join(part for part in git.split("\\n") if part)
    return _bad(
        "the task's uncommitted changes cannot be applied to its commit"
        f"{f' (git: {_told(why)})' if why else ''}; were they made on another commit? clear or correct them"
    )


def _repository(said: Sequence[str], script: Mapping[str, Any]) -> Failure | None:
    """What git said of the repository, the commit or the machine."""
    spoken = [line.strip() for line in said if _GIT_SPEAKS.match(line.strip())]
    for fault, pattern in _FAULTS:
        told = next((line for line in spoken if re.search(pattern, line)), None)
        if told is None and fault == "disk":
            told = next((line.strip() for line in said if re.search(pattern, line)), None)
        if told is not None:
            return _of_git(fault, told, script)
    if any(line.startswith("Repository cloning failed") for line in said):
        why = f" (git: {_told(spoken[-1])})" if spoken else ""
        return _bad(
            f"the repository {_where(script)} cannot be had{why}; the task's console shows what git said"
        )
    return None


def _of_git(fault: str, told: str, script: Mapping[str, Any]) -> Failure:
    where, git = _where(script), f"(git: {_told(told)})"
    if fault == "disk":
        return Failure(
            "infrastructure",
            f"the disk of this machine is full: the agent could not make the task ready ({_told(told)}); free some "
            "space and run the task again",
        )
    if fault == "away":
        return Failure(
            "infrastructure",
            f"the repository {where} cannot be reached from this machine {git}; correct its address, or run the task "
            "again when it can be reached",
        )
    if fault == "login":
        return _bad(
            f"the repository {where} asks for a login that this machine's agents do not have {git}; name "
            "CLEARML_AGENT_GIT_USER and CLEARML_AGENT_GIT_PASS in pass_environment of the file of queues, or let the "
            "repository be read without one"
        )
    if fault == "absent":
        return _bad(f"there is no repository {where} {git}; correct the task's repository")
    if fault == "submodule":
        return _bad(
            f"a submodule of the repository {where} cannot be had {git}; let this machine's agents read it"
        )
    return _bad(
        f"the repository {where} has no {_revision(script)} {git}; push it, or set the task to one that is there"
    )


def _something(said: Sequence[str]) -> Failure | None:
    """The agent's last words, where nothing better is known."""
    if not said or not said[0].startswith(_BEGINS):
        return None
    errors = [line for line in said if line.startswith("clearml_agent: ERROR:")]
    spoken = errors or [line for line in said if not _IDLE.match(line)]
    return Failure(
        "infrastructure",
        f"the agent ended before it started the task's script; its last words: {_told(spoken[-1])}",
    )


def _bad(sentence: str) -> Failure:
    return Failure("bad_input", sentence)


def _where(script: Mapping[str, Any]) -> str:
    return _told(str(script.get("repository") or "of the task"))


def _revision(script: Mapping[str, Any]) -> str:
    for key, noun in (("version_num", "commit"), ("tag", "tag"), ("branch", "branch")):
        if script.get(key):
            return f"{noun} {_told(str(script[key]))}"
    return "branch that the task could run"


def _told(text: str) -> str:
    """Somebody else's words: one line, bounded, without a login."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    clean = _QUERY.sub(r"\1", _LOGIN.sub("", " ".join(clean.split())))
    return clean if len(clean) <= _MOST_CHARACTERS else clean[: _MOST_CHARACTERS - 1] + "…"
