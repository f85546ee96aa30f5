"""What an agent said when it failed a task before the task's script began, as one sentence.

Known lines of clearml-agent 3.0 and of git. Pure: lines in, a failure out. No sentence shows a login.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard import git_words
from stackyard.git_words import clean
from stackyard_task.records import Failure

#: The agent's own reasons for the failure of a task that it could not begin, or whose process failed.
AGENTS_REASON = re.compile(r"failed cloning repository|worker execution exit code -?\d+")
#: What the agent says at the end of a task that has said itself why it failed: of a process that exited with 0, or that
#: the agent had not seen end when it saw the failure.
LAST_WORD = re.compile(
    r"Process completed successfully( - rank \d+)?$|Process aborted by user - Task status was Failed$"
)
#: Where the agent begins a task, and where it hands over to the task's script.
_BEGINS, _HANDS_OVER = "Executing task id [", "Starting Task Execution:"
#: What ``stackyard_task.ordinary`` says.
_NOT_BEGUN, _UNMEASURED = "stackyard: not begun: ", "stackyard: not measured: "
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
    if has_begun(said):
        return _no_folder(said, script) or _not_begun(said)
    known = _diff(said) or _repository(said, script)
    return known or _something(said)


def last_run(lines: Sequence[str]) -> list[str]:
    """What was said of the task's last run: a task that is tried again has a longer console."""
    begins = [number for number, line in enumerate(lines) if line.startswith(_BEGINS)]
    return list(lines[begins[-1] :] if begins else lines)


def has_begun(said: Sequence[str]) -> bool:
    """Whether an agent had handed over to a task's script, by what was said of that run."""
    return any(line.startswith(_HANDS_OVER) for line in said)


def is_unmeasured(said: Sequence[str]) -> bool:
    """Whether a task's script ran without being measured, by what was said of that run."""
    return any(line.startswith(_UNMEASURED) for line in said)


def _no_folder(said: Sequence[str], script: Mapping[str, Any]) -> Failure | None:
    """The working folder that is not there: noticed where the script was to be begun."""
    start = next(number for number, line in enumerate(said) if line.startswith(_HANDS_OVER))
    first = next((line for line in said[start + 1 :] if line.strip()), "")
    folder = str(script.get("working_dir") or "")
    found = _NO_FOLDER.match(first)
    if found is None or not folder.strip("./") or not found[1].endswith(folder.rstrip("/")):
        return None
    return _bad(
        f"the task's working folder {clean(folder)} is not in its repository; correct the task's working directory"
    )


def _not_begun(said: Sequence[str]) -> Failure | None:
    """What stands in the place of Python could not ask what the task wants."""
    found = next((line for line in said if line.startswith(_NOT_BEGUN)), None)
    if found is None:
        return None
    why = clean(found.removeprefix(_NOT_BEGUN))
    return Failure("infrastructure", f"the task's script was not begun: {why}; run it again")


def _diff(said: Sequence[str]) -> Failure | None:
    if not any("Failed applying git diff" in line for line in said):
        return None
    git = next((found[2] for line in reversed(said) if (found := _APPLIED.match(line.strip()))), "")
    why = "; ".join(part for part in git.split("\\n") if part)
    return _bad(
        "the task's uncommitted changes cannot be applied to its commit"
        f"{f' (git: {clean(why)})' if why else ''}; were they made on another commit? clear or correct them"
    )


def _repository(said: Sequence[str], script: Mapping[str, Any]) -> Failure | None:
    """What git said of the repository, the commit or the machine."""
    where = str(script.get("repository") or "")
    known = git_words.failure(said, where, _revision(script))
    if known is None and any(line.startswith("Repository cloning failed") for line in said):
        spoken = git_words.last(said)
        why = f" (git: {spoken})" if spoken else ""
        return _bad(
            f"the repository {clean(where or 'of the task')} cannot be had{why}; the task's console shows what git said"
        )
    return known


def _something(said: Sequence[str]) -> Failure | None:
    """The agent's last words, where nothing better is known."""
    if not said or not said[0].startswith(_BEGINS):
        return None
    errors = [line for line in said if line.startswith("clearml_agent: ERROR:")]
    spoken = errors or [line for line in said if not _IDLE.match(line)]
    return Failure(
        "infrastructure",
        f"the agent ended before it started the task's script; its last words: {clean(spoken[-1])}",
    )


def _bad(sentence: str) -> Failure:
    return Failure("bad_input", sentence)


def _revision(script: Mapping[str, Any]) -> str:
    for key, noun in (("version_num", "commit"), ("tag", "tag"), ("branch", "branch")):
        if script.get(key):
            return f"{noun} {clean(str(script[key]))}"
    return "branch that the task could run"
