"""What containers see of the wrapper: named by its content, and gone when nobody can use it any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard.agents import boxes


@pytest.fixture
def top(tmp_path: Path) -> Path:
    place = tmp_path / "box"
    place.mkdir()
    return place


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A kernel that tells of no process yet."""
    place = tmp_path / "proc"
    place.mkdir()
    return place


def process(proc: Path, number: int, words: str = "", environment: str = "", mounts: str = "") -> None:
    folder = proc / str(number)
    folder.mkdir()
    (folder / "cmdline").write_bytes(words.replace(" ", "\0").encode())
    (folder / "environ").write_bytes(environment.replace(" ", "\0").encode())
    (folder / "mountinfo").write_text(mounts)


def test_another_program_is_another_box_and_the_old_one_goes(top: Path, proc: Path) -> None:
    old, new = boxes.made(top, {"python": "one"}), boxes.made(top, {"python": "two"})
    assert old != new
    assert boxes.made(top, {"python": "two"}) == new
    boxes.tidy(top, new, top / "policy.json", proc)
    assert list(top.iterdir()) == [new]


def test_a_box_that_a_container_has_mounted_stays(top: Path, proc: Path) -> None:
    old, new = boxes.made(top, {"python": "one"}), boxes.made(top, {"python": "two"})
    process(
        proc, 7, mounts=f"1 2 0:3 / / rw - x\n4 1 8:1 /some/where/box/{old.name} /opt/stackyard ro - ext4\n"
    )
    boxes.tidy(top, new, top / "policy.json", proc)
    assert {path.name for path in top.iterdir()} == {old.name, new.name}


def test_while_a_gate_of_this_agent_runs_nothing_goes(top: Path, proc: Path) -> None:
    old, new = boxes.made(top, {"python": "one"}), boxes.made(top, {"python": "two"})
    policy = top / "policy.json"
    process(proc, 8, "python -m stackyard.agents.gate run", f"A=1 STACKYARD_GATE_POLICY={policy}")
    boxes.tidy(top, new, policy, proc)
    assert old.is_dir()
    boxes.tidy(top, new, top / "other.json", proc)
    assert not old.exists(), "another agent's gate reads another policy"


def test_a_draft_goes_unless_somebody_makes_it(top: Path, proc: Path) -> None:
    new = boxes.made(top, {"python": "two"})
    (top / ".abc.9").mkdir()
    (top / f".abc.{os.getpid()}").mkdir()
    process(proc, os.getpid())
    boxes.tidy(top, new, top / "policy.json", proc)
    assert {path.name for path in top.iterdir()} == {new.name, f".abc.{os.getpid()}"}
