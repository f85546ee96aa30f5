"""What agents and git say becomes one sentence with what is wanted, what was said and what to do; no login is shown."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.services.early_words import explained

BEGIN = ["sdk.apply_files = false", "", "Executing task id [abc]:", "repository = r", ""]
FAILED = "Repository cloning failed: Command '['clone', 'r', '--quiet']' returned non-zero exit status 128."
SCRIPT = {"repository": "https://bob:s3cret@host/r.git?token=hidden", "version_num": "1" * 40}


def said(*lines: str, **script: Any) -> str:
    found = explained([*BEGIN, *lines], {**SCRIPT, **script})
    assert found is not None
    assert "s3cret" not in found.message
    assert "hidden" not in found.message
    assert "\n" not in found.message
    return f"{found.kind}: {found.message}"


@pytest.mark.parametrize(
    ("line", "begin", "words"),
    [
        ("fatal: reference is not a tree: " + "1" * 40, "bad_input", "has no commit 1111"),
        (
            "fatal: could not read Username for 'https://bob:s3cret@host': terminal prompts disabled",
            "bad_input",
            "asks for a login",
        ),
        (
            "fatal: Authentication failed for 'https://host/r.git/?token=hidden'",
            "bad_input",
            "asks for a login",
        ),
        ("git@host: Permission denied (publickey).", "bad_input", "asks for a login"),
        ("Host key verification failed.", "bad_input", "asks for a login"),
        ("fatal: '/r' does not appear to be a git repository", "bad_input", "there is no repository"),
        ("remote: ERROR: Repository 'r' not found", "bad_input", "there is no repository"),
        (
            "fatal: unable to access 'https://bob:s3cret@host/': Could not resolve host: host",
            "infrastructure",
            "cannot be reached",
        ),
        ("ssh: connect to host h port 22: Connection refused", "infrastructure", "cannot be reached"),
        ("fatal: write error: No space left on device", "infrastructure", "the disk of this machine is full"),
        (
            "fatal: clone of 'https://x/y' into submodule path '/v/y' failed",
            "bad_input",
            "a submodule of the repository https://host/r.git cannot be had",
        ),
        ("fatal: something never seen", "bad_input", "cannot be had (git: fatal: something never seen)"),
    ],
)
def test_what_git_says_of_a_repository_stands_in_the_sentence(line: str, begin: str, words: str) -> None:
    sentence = said("cloning: r", line, FAILED, "clearml_agent: ERROR: Failed cloning repository.")
    assert sentence.startswith(f"{begin}: ")
    assert words in sentence


def test_a_branch_and_a_tag_that_are_gone_are_named() -> None:
    line = "error: pathspec 'origin/b' did not match any file(s) known to git"
    assert "has no branch b (git: error" in said(line, FAILED, version_num="", branch="b")
    assert "has no tag v1 (git: error" in said(line, FAILED, version_num="", tag="v1", branch="b")


def test_a_diff_that_does_not_apply_is_told_with_gits_words() -> None:
    sentence = said(
        "Applying uncommitted changes",
        "Executing: ('git', 'apply', '--unidiff-zero'): b'error: patch failed: a.py:1\\nerror: a.py: patch does not "
        "apply\\n'",
        "clearml_agent: ERROR: Failed applying git diff:",
        "+fatal: reference is not a tree: what the changes say is not what git says",
        "ERROR! Failed applying git diff, see diff above.",
    )
    assert sentence == (
        "bad_input: the task's uncommitted changes cannot be applied to its commit (git: error: patch failed: a.py:1; "
        "error: a.py: patch does not apply); were they made on another commit? clear or correct them"
    )


def test_a_working_folder_that_is_not_there_is_named() -> None:
    lines = ["Starting Task Execution:", "", "[Errno 2] No such file or directory: '/v/repo/no/where'"]
    assert "working folder no/where is not in its repository" in said(*lines, working_dir="no/where")
    assert explained([*BEGIN, *lines], {"working_dir": "."}) is None


def test_what_the_tasks_script_says_is_not_taken_for_the_agents_words() -> None:
    lines = [
        "Starting Task Execution:",
        "",
        "fatal: reference is not a tree: 1",
        FAILED,
        "Process failed, exit code 1",
    ]
    assert explained([*BEGIN, *lines], SCRIPT) is None


def test_a_task_that_is_tried_again_is_told_of_its_last_run() -> None:
    before = [*BEGIN, "fatal: Authentication failed for 'x'", FAILED]
    found = explained([*before, *BEGIN, "Starting Task Execution:", "hello"], SCRIPT)
    assert found is None


def test_an_agent_that_says_nothing_known_is_quoted() -> None:
    sentence = said(
        "clearml_agent: ERROR: no such thing as http://bob:s3cret@x/", "Process failed, exit code 1"
    )
    assert sentence == (
        "infrastructure: the agent ended before it started the task's script; its last words: clearml_agent: ERROR: no "
        "such thing as http://x/"
    )
    assert explained(["a line", "Process failed, exit code 1"], SCRIPT) is None
    assert explained([], SCRIPT) is None


def test_endless_words_are_cut() -> None:
    sentence = said("fatal: reference is not a tree: " + "x" * 10_000 + "\x1b[0m", FAILED)
    assert len(sentence) < 600
    assert "\x1b" not in sentence


def test_a_server_that_was_away_when_the_script_was_to_begin_is_told() -> None:
    line = "stackyard: not begun: the ClearML server at http://bob:s3cret@x does not answer (refused)"
    assert said("Starting Task Execution:", "", line) == (
        "infrastructure: the task's script was not begun: the ClearML server at http://x does not answer (refused); "
        "run it again"
    )
