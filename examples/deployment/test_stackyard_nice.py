"""The contract of deployments, held by ``nice``; and what is its own."""

from __future__ import annotations

from pathlib import Path

import psutil

from stackyard.launch.contract import Contract, Ground


class TestNice(Contract):
    """Every test of the contract."""

    name = "nice"

    def test_a_run_gives_way_to_other_work(self, ground: Ground, tmp_path: Path) -> None:
        """The workload itself, not only what started it."""
        folder = tmp_path / "run"
        run = ground.start(folder, ground.task("endless"))
        ground.until_at_work(run, folder)
        assert {psutil.Process(pid).nice() for pid in ground.processes()} == {10}
        run.kill()
        ground.ended(run)
        ground.nothing_left()
