"""What is told of a run under way."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List, Optional

import pytest

from stackyard_task import progress
from stackyard_task.courses import Courses
from stackyard_task.pace import Pace
from stackyard_task.progress import Moment


@pytest.mark.parametrize(("resident", "told"), [(None, None), (0, None), (4096, 4096)])
def test_memory_that_is_not_counted_yet_is_not_measured(
    resident: Optional[int], told: Optional[int], tmp_path: Path
) -> None:
    listener: Any = SimpleNamespace(
        phases=[{"name": "startup"}],
        loss=None,
        progress={},
        steps_since=lambda: (0, None),
        pace=Pace(),
        courses=Courses(),
    )
    sampler: Any = SimpleNamespace(
        rss_bytes=resident,
        most_rss_bytes=resident or 0,
        cpu_percent_recent=None,
        gpus_recent={},
        minus_shared_bytes=None,
        gpu_memory_bytes=None,
        cpu_seconds=lambda: None,
    )
    seen: List[Moment] = []
    progress.shown(tmp_path, 0.04, listener, sampler, seen.append)
    assert seen[0].rss_bytes == told
    assert json.loads((tmp_path / "progress.json").read_text())["phase"] == "startup"
