"""A GPU that others use, simulated: two looks must agree, and our own tasks' use is not taken for others'."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.agents import gpus
from stackyard.agents.gpus import Guard, Use


class SimulatedGpu:
    """One GPU of 100 bytes, whose use the test sets."""

    def __init__(self) -> None:
        self.used = 0

    def __call__(self) -> dict[int, Use]:
        return {0: Use(self.used, 100)}


def test_a_gpu_is_taken_after_two_looks_and_free_after_two() -> None:
    gpu = SimulatedGpu()
    guard = Guard(0.1, gpu)
    found = []
    for used in (5, 40, 5, 40, 40, 5, 40, 5, 5):
        gpu.used = used
        guard.update({0})
        found.append(guard.taken(0) is not None)
    assert found == [False, False, False, False, True, True, True, True, False]


def test_the_reason_names_the_gpu_and_its_use() -> None:
    gpu = SimulatedGpu()
    gpu.used = 34
    guard = Guard(0.1, gpu)
    guard.update({0})
    guard.update({0})
    assert guard.taken(0) == "GPU 0 is used by others (34% of its memory)"
    assert guard.taken(None) is None, "a CPU slot"


def test_what_our_own_task_uses_counts_for_nothing() -> None:
    gpu = SimulatedGpu()
    gpu.used = 90
    guard = Guard(0.1, gpu)
    for _ in range(3):
        guard.update(set())
    assert guard.taken(0) is None


def test_the_drivers_tool_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, 512, 24576'; echo '1, [N/A], 24576'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert gpus.read() == {0: Use(512 * 2**20, 24576 * 2**20)}
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert gpus.read() == {}


@pytest.mark.parametrize(
    ("line", "busy"),
    [("0, 10, 80, 37", 0.37), ("0, 10, 80, [N/A]", None), ("0, 10, 80", None)],
)
def test_how_busy_a_gpu_is_is_told_where_the_driver_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, busy: float | None
) -> None:
    tool = tmp_path / gpus.TOOL  # simulated
    tool.write_text(f"#!/bin/sh\necho '{line}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert gpus.read() == {0: Use(10 * 2**20, 80 * 2**20, busy)}
    guard = Guard(0.1)
    guard.update({0})
    assert guard.seen[0].busy == busy
