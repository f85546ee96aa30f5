"""What a supervisor starts, and what it sees to when a command has ended."""

import os
from pathlib import Path
from typing import List, Optional

import pytest

from stackyard_task import program
from stackyard_task.records import Environment, RunRecord, StackPin, TaskSpec


@pytest.mark.parametrize(
    ("torch", "cuda", "said"),
    [
        ("2.13.0+cpu", "cpu", None),
        (None, None, None),
        ("9.9.9", "cpu", "pins torch 2.13.0, but the command loaded torch 9.9.9"),
        ("2.13.0", "12.4", "pins CUDA cpu, but the command loaded CUDA 12.4"),
    ],
)
def test_a_command_that_loads_another_torch_than_its_stack_pins_has_not_completed(
    torch: str, cuda: str, said: str
) -> None:
    spec = TaskSpec("r", "w", stack=StackPin("s", torch="2.13.0", cuda="cpu"))
    record = RunRecord("r", "w", "completed", "", "", environment=Environment(torch=torch, cuda=cuda))
    found = program._mismatch(spec, record)
    assert (found is None) if said is None else (found is not None and said in found.message)


def test_folders_of_killed_supervisors_go_and_those_that_are_heard_stay(tmp_path: Path) -> None:
    reading = []
    for name in ("stackyard-report-1-dead", "stackyard-report-1-heard", "stackyard-report-1-new", "other"):
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / name / "report")
        if name.endswith("heard"):
            reading.append(os.open(tmp_path / name / "report", os.O_RDONLY | os.O_NONBLOCK))
        if not name.endswith("new"):
            os.utime(tmp_path / name, (0, 0))
    (tmp_path / "stackyard-report-1-link").symlink_to(tmp_path / "other")
    program._sweep(str(tmp_path))
    assert {p.name for p in tmp_path.iterdir()} == {
        *("stackyard-report-1-heard", "stackyard-report-1-new", "stackyard-report-1-link", "other")
    }
    os.close(reading[0])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["docker", "run", "--rm", "x"], "docker run"),
        (["sh", "-c", "cd a; podman exec x y"], "podman exec"),
        (["/usr/bin/ssh", "host", "make"], "ssh"),
        (["sudo", "docker", "run", "x"], "docker run"),
        (["sh", "-c", "ssh host make"], "ssh"),
        (["python", "tool.py", "ssh", "host"], None),
        (["docker", "images"], None),
        (["python", "ssh_keys.py", "x"], None),
        (["./run", "docker"], None),
    ],
)
def test_what_a_service_or_another_machine_runs_is_known_by_its_words(
    words: List[str], found: Optional[str]
) -> None:
    assert program._ELSEWHERE.search("(" * 200_000) is None  # at once
    told = program._ELSEWHERE.search(" ".join(words))
    assert (None if told is None else told[1]) == found
