"""What a terminal shows while a study goes on."""

from __future__ import annotations

import io

from rich.console import Console

from stackyard.cli.lines import Lines
from stackyard.cli.study_watcher import TrialWatcher
from stackyard.tuning.trial import Trial
from tests.stackyard.tuning.study_text import TEXT, study


def test_a_trial_on_the_front_gets_a_star() -> None:
    text = TEXT.replace('accuracy = "maximise"', 'accuracy = "maximise"\ncpu_seconds = "minimise"')
    out = io.StringIO()
    watcher = TrialWatcher(Lines(Console(file=out, width=200)), study(text))
    trials: list[Trial] = []
    for number, (accuracy, cpu) in enumerate([(0.9, 9.0), (0.8, 3.0), (0.7, 5.0)]):
        values = {"accuracy": accuracy, "cpu_seconds": cpu}
        trials.append(Trial(number, {"lr": 0.1}, "completed", values))
        watcher.over(trials[-1], trials)
    assert [line.endswith("*") for line in out.getvalue().splitlines()] == [True, True, False]
