"""What a server offers to be cloned."""

from __future__ import annotations

from stackyard import stacks, workloads
from stackyard.cli import matrix, publishing
from stackyard.settings import base
from stackyard.tuning import reading


def test_the_study_that_is_offered_runs_on_any_installation() -> None:
    """Without an extra, data, or files beside it; its trials are tasks."""
    file = base() / publishing.STUDY
    known = matrix.known(stacks.load(), workloads.load(), checked=True)
    study = reading.read(file.read_text(), file.name, known)
    assert study.scenario.axes["deployment"] == ("agent",)
    assert study.search.sampler == "grid"
    assert study.space.count == 6
    assert set(study.scenario.workloads) == {"train"}
    assert study.scenario.workloads["train"].command is None
