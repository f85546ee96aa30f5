"""How far a study is said to be: the same by its file, which a page reads, and by what its tuner has in memory."""

from __future__ import annotations

import pytest

from stackyard.tuning import progress
from stackyard.tuning.folder import StudyFile
from stackyard.tuning.report import settings
from stackyard.tuning.study import Budget, plain
from stackyard.tuning.trial import Trial
from tests.stackyard.tuning.study_text import TEXT, study

#: A grid whose range has three numbers, and no budget.
GRID = (
    TEXT.replace("lr = { low = 0.001, high = 1.0, log = true }", "lr = { low = 1, high = 3 }")
    .replace('sampler = "random"', 'sampler = "grid"')
    .replace("[budget]\ntrials = 9", "")
)


@pytest.mark.parametrize(
    ("text", "share", "words"),
    [
        (GRID, 1 / 3, "3 of 9 trials"),
        (TEXT, 2 / 9, "2 of 9 trials and 1 skipped"),
        (TEXT.replace("trials = 9", "cpu_seconds = 40"), 0.75, "30.0 s of 40.0 s of CPU"),
    ],
    ids=["a grid over a range", "what was skipped is not begun", "lost starts are spent"],
)
def test_a_terminal_and_a_page_say_the_same(text: str, share: float, words: str) -> None:
    wanted = study(text)
    trials = [
        Trial(0, {}, "completed", used={"cpu_seconds": 10.0}, lost_cpu_seconds=15.0),
        Trial(1, {}, "stopped", used={"cpu_seconds": 5.0}),
        Trial(2, {}, "skipped"),
        Trial(3, {}, "running"),
    ]
    read = settings.read(StudyFile("small", "", "s.toml", "2026-01-01", plain(wanted)))
    for one in (wanted, read):
        done, said = progress.share(one.budget, one.combinations, trials, 100.0)
        assert (done, said.replace("\u00a0", " ")) == (pytest.approx(share), words)


def test_a_study_without_a_bound_says_what_was_done() -> None:
    assert progress.share(Budget(), None, [Trial(0, {}, "completed")], 5.0) == (0.0, "1 trial")
