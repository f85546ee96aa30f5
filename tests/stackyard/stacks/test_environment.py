"""Building, finding, verifying and removing real environments, from a fake torch in real wheels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.machine import hardware
from stackyard.machine.hardware import Gpu, Machine
from stackyard.stacks import environment, process
from stackyard.stacks.definition import StackSpec
from tests.stackyard.fake_stacks import PYTHON, Built, Depot, define, torch_wheel
from tests.waiting import PATIENCE_SECONDS

CPU_ONLY = hardware.this_machine(nvidia_smi=None)


def machine(*capabilities: float) -> Machine:
    gpus = tuple(Gpu(i, "Fake GPU", c, 2**33, "555.1") for i, c in enumerate(capabilities))
    return Machine(**{**vars(CPU_ONLY), "gpus": gpus, "gpu_obstacle": None})


def test_a_build_is_found_by_its_digest_and_verified(built: Built) -> None:
    settings, stack = built.depot.settings, built.stack
    python = stacks.python_of(stack, settings)
    assert python == settings.home / "stacks" / f"{stack.name}-{stack.digest[:12]}" / "bin" / "python"
    assert stacks.why_not(stack, settings, CPU_ONLY) is None
    found = stacks.verify(stack, python)
    assert found.ok, found.mismatches
    assert found.seen["installed"]["small"] == "1.0"


def test_a_build_says_what_it_does_and_where_packages_come_from(built: Built) -> None:
    said = "\n".join(built.said)
    assert f"making an environment with Python {PYTHON}" in said
    assert "installing torch 9.9.0+cpu" in said
    assert "installing 1 other package from the wheel folder" in said
    assert "installing lacking (not in the wheel folder)" in said
    assert "verifying" in said


def test_a_second_build_reuses_the_first_and_needs_no_wheels(built: Built) -> None:
    settings, stack = built.depot.settings, built.stack
    said: list[str] = []
    assert stacks.build(stack, settings, None, said.append) == stacks.python_of(stack, settings)
    assert said == []


def test_another_lock_is_another_environment(built: Built, tmp_path: Path) -> None:
    settings, stack = built.depot.settings, built.stack
    other = define(tmp_path, lock="torch==9.9.0\nsmall==1.1\n")
    assert stacks.python_of(other, settings) is None
    assert stacks.location(other, settings) != stacks.location(stack, settings)
    assert stacks.unused({other.name: other}, settings) == [stacks.location(stack, settings)]
    assert stacks.unused({stack.name: stack}, settings) == []


@pytest.mark.parametrize(
    ("lock", "cuda", "said"),
    [
        ("torch==9.9.0\nsmall==1.1\nlacking==2.0\n", "cpu", "package small: expected 1.1, found 1.0"),
        ("torch==9.9.0\nsmall==1.0\n", "cpu", "package lacking: expected none (not in the lock), found 2.0"),
        (
            "torch==9.9.0\nsmall==1.0\nlacking==2.0\nmore==2\n",
            "cpu",
            "package more: expected 2, found nothing",
        ),
        ("torch==9.9.0\nsmall==1.0\nlacking==2.0\n", "10.2", "CUDA of the build: expected 10.2, found cpu"),
    ],
)
def test_verify_names_both_values_of_a_mismatch(
    built: Built, tmp_path: Path, lock: str, cuda: str, said: str
) -> None:
    python = stacks.python_of(built.stack, built.depot.settings)
    assert python is not None
    found = stacks.verify(define(tmp_path, lock=lock, cuda=cuda), python)
    assert [str(m) for m in found.mismatches] == [said]


def test_gpu_runs_need_a_gpu_the_build_has_code_for(tmp_path: Path) -> None:
    settings = Depot(tmp_path / "home", tmp_path, tmp_path).settings
    old = define(tmp_path / "a", cuda="10.2")
    cpu = define(tmp_path / "b")

    def reason(stack: StackSpec, here: Machine) -> str | None:
        return stacks.why_not(stack, settings, here, gpus=1)

    assert "compute capability 9.0" in (reason(old, machine(9.0)) or "")
    assert "GPU too new for CUDA 10.2" in (reason(old, machine(9.0)) or "")
    assert "GPU too old" in (reason(old, machine(3.5)) or "")
    assert "no GPU" in (reason(old, CPU_ONLY) or "")
    assert "CPU build" in (reason(cpu, machine(7.5)) or "")
    assert "not built" in (
        reason(old, machine(9.0, 7.5)) or ""
    )  # one of the two fits; only the build is missing
    assert "2 GPUs wanted" not in (stacks.why_not(old, settings, machine(7.5, 7.0), gpus=2) or "")


@pytest.mark.slow
def test_what_loads_otherwise_than_pinned_never_counts_as_built(depot: Depot) -> None:
    torch_wheel(depot.wheels, cuda="12.4")  # tagged +cpu, but built for CUDA
    stack = define(depot.definitions)
    with pytest.raises(StackyardError, match=r"CUDA of the build: expected cpu, found 12\.4"):
        stacks.build(stack, depot.settings)
    assert stacks.python_of(stack, depot.settings) is None
    assert not stacks.location(stack, depot.settings).exists()


@pytest.mark.long
def test_ctrl_c_leaves_nothing_that_counts(depot: Depot) -> None:
    stack = define(depot.definitions)
    folder = stacks.location(stack, depot.settings)
    seen: list[bool] = []

    def interrupt(text: str) -> None:
        if text.startswith("installing"):
            seen.append((folder / "bin" / "python").exists())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stacks.build(stack, depot.settings, progress=interrupt)
    assert seen == [True]  # there was something to clear away
    assert not folder.exists()
    assert stacks.python_of(stack, depot.settings) is None


def test_an_interrupted_command_takes_its_children_along(tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    children = tmp_path / "children"
    script = f"sleep 600 & echo $! > {children}; echo started; wait"
    with (tmp_path / "log").open("w") as log, pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", script], log, line=interrupt)
    assert not alive(int(children.read_text()))


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_two_builds_at_once_make_one_environment_in_place_of_what_a_kill_left(depot: Depot) -> None:
    stack = define(depot.definitions)
    folder = stacks.location(stack, depot.settings)
    (folder / "bin").mkdir(parents=True)  # all but the marker
    (folder / "bin" / "python").symlink_to(sys.executable)
    assert stacks.python_of(stack, depot.settings) is None
    assert stacks.unused({stack.name: stack}, depot.settings) == [folder]
    command = [sys.executable, "-m", "stackyard.cli.main", "stack", "build", "--json"]
    both = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for _ in range(2)
    ]
    ended = [(*process.communicate(timeout=PATIENCE_SECONDS), process.returncode) for process in both]
    assert [code for _out, _err, code in ended] == [0, 0], ended
    assert sum("making an environment" in err for _out, err, _code in ended) == 1
    assert sum("clearing what an interrupted build left" in err for _out, err, _code in ended) == 1
    python = stacks.python_of(stack, depot.settings)
    assert python is not None
    assert stacks.verify(stack, python).ok


def test_a_full_disk_is_told_before_anything_is_written(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = define(depot.definitions, more="installed_bytes = 5_000_000_000\n")
    monkeypatch.setattr(hardware, "disk_free_bytes", lambda path: 1_500_000_000)
    with pytest.raises(StackyardError, match=r"needs 8\.0 GB .* 1\.5 GB are free"):
        stacks.build(stack, depot.settings)
    assert not stacks.location(stack, depot.settings).exists()


@pytest.mark.long
@pytest.mark.slow
def test_a_refused_build_is_remembered_until_it_is_tried_again(depot: Depot) -> None:
    stack = define(depot.definitions, indexes=("http://127.0.0.1:9/simple", "wheels"))
    (wheel_file,) = depot.wheels.glob("torch-*")
    aside = wheel_file.rename(depot.wheels.parent / wheel_file.name)
    with pytest.raises(NotRunnableError, match="index unreachable"):
        stacks.build(stack, depot.settings)
    assert "index unreachable" in (stacks.why_not(stack, depot.settings, CPU_ONLY) or "")
    assert not stacks.can_be_built(stack, depot.settings)
    aside.rename(wheel_file)
    with pytest.raises(KeyboardInterrupt):  # it gets past the point where it was refused
        stacks.build(stack, depot.settings, progress=at_the_environment)


def at_the_environment(text: str) -> None:
    if text.startswith("making an environment"):
        raise KeyboardInterrupt


def test_removal_stays_below_the_folder_of_stacks(depot: Depot, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    top = depot.home / "stacks"
    top.mkdir(parents=True)
    (top / "link").symlink_to(precious)
    for folder in (precious, top / "link", top, top / ".." / ".." / "precious", top / "absent"):
        with pytest.raises(BadInputError, match="not a stack's environment"):
            stacks.remove(folder, depot.settings)
    assert precious.is_dir()


def test_an_environment_in_use_is_not_removed(depot: Depot) -> None:
    folder = depot.home / "stacks" / "torch-9"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    command = [str(folder / "bin" / "python"), "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        with pytest.raises(BadInputError, match=f"in use by process {process.pid}"):
            stacks.remove(folder, depot.settings)
        process.communicate("\n")
    assert stacks.remove(folder, depot.settings) == 0
    assert not folder.exists()


def test_a_wheel_folder_that_is_not_there_is_said(depot: Depot, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="--wheels"):
        stacks.build(define(depot.definitions), depot.settings, tmp_path / "nowhere")


def test_an_environment_whose_python_is_gone_is_not_built(depot: Depot) -> None:
    stack = define(depot.definitions)
    folder = stacks.location(stack, depot.settings)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(depot.home / "uninstalled")
    (folder / environment.MARKER).write_text(f'{{"digest": "{stack.digest}"}}')
    assert stacks.python_of(stack, depot.settings) is None
    assert "its Python is gone" in (stacks.why_not(stack, depot.settings, CPU_ONLY) or "")
