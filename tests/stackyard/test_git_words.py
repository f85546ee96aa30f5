"""What git says when a repository cannot be had, as a sentence and whose fault that is."""

from __future__ import annotations

import pytest

from stackyard import git_words


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (
            "fatal: could not read Username for 'https://git.lan': terminal prompts disabled",
            "bad_input",
            "asks for a login",
        ),
        (
            "fatal: unable to access 'https://me:secret@git.lan/x/': Could not resolve host: git.lan",
            "infrastructure",
            "cannot be reached",
        ),
        (
            "error: Server does not allow request for unadvertised object\nfatal: not our ref 123",
            "bad_input",
            "has no commit 123",
        ),
        ("fatal: repository 'https://git.lan/x/' not found", "bad_input", "there is no repository"),
        ("OSError: [Errno 28] No space left on device", "infrastructure", "the disk of this machine is full"),
    ],
)
def test_a_fault_is_told_with_whose_it_is_and_without_a_login(line: str, kind: str, words: str) -> None:
    found = git_words.failure(line.splitlines(), "https://me:secret@git.lan/x", "commit 123")
    assert found is not None
    assert (found.kind, words in found.message, "secret" in found.message) == (kind, True, False)


def test_what_nobody_knows_is_left_to_the_last_word_of_git() -> None:
    lines = ["Cloning into 'x'...", "fatal: the moon is full at https://me:secret@git.lan", "bye"]
    assert git_words.failure(lines, "r", "c") is None
    assert git_words.last(lines) == "fatal: the moon is full at https://git.lan"
    assert git_words.last(["bye"]) is None
