"""Environments that somebody installed into: noticed, built anew or refused; copied ones are as they were."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.errors import StackyardError
from stackyard.machine import hardware
from stackyard.settings import Settings
from stackyard.stacks import contents, derived, environment
from stackyard.stacks.definition import MARKER, StackSpec
from tests.stackyard.fake_stacks import torch_wheel, wheel
from tests.stackyard.stacks.conftest import Yard
from tests.waiting import until


def pip(python: Path | str, *words: str) -> None:
    subprocess.run(
        [str(python), "-m", "pip", "-q", "--no-input", "--disable-pip-version-check", *words],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def other(yard: Yard) -> Path:
    """A wheel of another version than is pinned."""
    return wheel(yard.folder / "others", "small", "1.7", {"small.py": "x = 7\n"})


def made(yard: Yard) -> StackSpec:
    """A derived stack, built."""
    stack = derived.defined(yard.base, yard.requirements("top\n"), yard.settings, name="mine")
    stacks.build(stack, yard.settings)
    return stack


Tree = Callable[[Path], dict[str, bytes]]


@contextlib.contextmanager
def running_in(python: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of an environment, that ends with the block or a line on its stdin."""
    process = subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        until(lambda: environment.used_by(python.parent.parent) == process.pid, "it runs")
        yield process
    finally:
        process.kill()
        process.communicate()


def mark(folder: Path) -> object:
    return json.loads((folder / MARKER).read_text()).get("site_packages_changed_ns")


@pytest.mark.slow
@pytest.mark.long
def test_a_base_that_was_changed_is_refused_and_built_again_when_one_asks(yard: Yard, other: Path) -> None:
    python = stacks.python_of(yard.base, yard.settings)
    assert python is not None
    machine = hardware.this_machine(nvidia_smi=None)
    assert stacks.why_not(yard.base, yard.settings, machine) is None
    pip(python, "install", "--no-index", str(other))
    said = (
        "its environment has other packages than it was built with (small 1.7 in place of 1.0); build it again: "
        f"stackyard stack build {yard.base.name}"
    )
    assert stacks.why_not(yard.base, yard.settings, machine) == said
    with pytest.raises(StackyardError) as caught:
        stacks.build(yard.base, yard.settings)
    assert str(caught.value) == f"{yard.base.name}: {said}"
    with pytest.raises(
        StackyardError, match=r"small 1\.7 in place of 1\.0"
    ):  # nothing is put on top of it either
        made(yard)
    served = yard.folder / "all"
    torch_wheel(served)
    wheel(served, "small", "1.0", {"small.py": "x = 1\n"})
    wheel(served, "lacking", "2.0", {"lacking.py": "x = 2\n"})
    stacks.build(yard.base, yard.settings, served, mend=True)
    assert stacks.verify(yard.base, python).ok
    assert stacks.why_not(yard.base, yard.settings, machine) is None


@pytest.mark.slow
@pytest.mark.long
def test_a_derived_environment_that_was_changed_is_built_anew(yard: Yard, other: Path) -> None:
    stack = made(yard)
    folder = environment.location(stack, yard.settings)
    python = folder / "bin" / "python"
    pip(python, "uninstall", "-y", "top")
    pip(python, "install", "--no-index", str(other))
    assert contents.changes(folder) == "small 1.7 in place of 1.0, top 2.0 removed"
    said: list[str] = []
    assert stacks.build(stack, yard.settings, progress=said.append) == python
    assert said[0].endswith("(small 1.7 in place of 1.0, top 2.0 removed); it is built anew")
    assert contents.changes(folder) is None
    found = stacks.verify(stack, python)
    assert found.ok, found.mismatches


@pytest.mark.long
@pytest.mark.slow
def test_it_is_waited_for_while_something_runs_in_it(
    yard: Yard, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = made(yard)
    python = environment.location(stack, yard.settings) / "bin" / "python"
    pip(python, "install", "--no-index", str(other))
    with running_in(python) as running:
        monkeypatch.setattr(environment, "_USED_SECONDS", 0.0)
        monkeypatch.setattr(environment, "_LOOK_SECONDS", 0.01)
        with pytest.raises(
            StackyardError, match=f"and process {running.pid} still runs in it; try again when"
        ):
            stacks.build(stack, yard.settings)
        monkeypatch.setattr(environment, "_USED_SECONDS", 600.0)

        def say(text: str) -> None:
            if text.endswith(f"waiting for process {running.pid}"):
                running.communicate(b"\n")

        stacks.build(stack, yard.settings, progress=say)
    assert stacks.verify(stack, python).ok


@pytest.mark.long
@pytest.mark.slow
def test_more_than_was_asked_for_is_taken_as_long_as_something_runs_in_it(yard: Yard) -> None:
    stack = made(yard)
    folder = environment.location(stack, yard.settings)
    python = folder / "bin" / "python"
    pip(
        python,
        "install",
        "--no-index",
        str(wheel(yard.folder / "more", "more", "3.0", {"more.py": "z = 3\n"})),
    )
    with running_in(python):
        assert stacks.build(stack, yard.settings) == python
        assert contents.changes(folder) == "more 3.0 added"
    stacks.build(stack, yard.settings)
    assert contents.changes(folder) is None
    assert stacks.verify(stack, python).ok


@pytest.mark.long
@pytest.mark.slow
def test_the_same_put_back_is_no_change_and_is_known_from_then_on(yard: Yard, other: Path) -> None:
    stack = made(yard)
    folder = environment.location(stack, yard.settings)
    before = mark(folder)
    pip(folder / "bin" / "python", "install", "--no-index", str(other))
    pip(folder / "bin" / "python", "install", "--no-index", "--find-links", str(small(yard)), "small==1.0")
    said: list[str] = []
    stacks.build(stack, yard.settings, progress=said.append)
    assert said == []
    assert mark(folder) != before
    assert contents.is_known(folder, contents.marker(folder))


def small(yard: Yard) -> Path:
    return wheel(yard.folder / "same", "small", "1.0", {"small.py": "x = 1\n"}).parent


@pytest.mark.slow
def test_a_copied_home_is_as_it_was_and_its_programs_are_its_own(yard: Yard, tmp_path: Path) -> None:
    stack = made(yard)
    shutil.copytree(yard.settings.home, tmp_path / "copy", symlinks=True, copy_function=shutil.copy)
    copy = Settings(home=tmp_path / "copy")
    for one in (stack, yard.base):
        folder = environment.location(one, copy)
        assert not contents.is_known(folder, contents.marker(folder))
        said: list[str] = []
        python = stacks.build(one, copy, progress=said.append)
        assert said == []
        assert contents.is_known(folder, contents.marker(folder))
        assert f"{folder}/bin/python" in (folder / "bin" / "pip").read_text()
        done = subprocess.run(
            [folder / "bin" / "pip", "--version"], capture_output=True, text=True, check=True
        )
        assert f"{folder}/lib" in done.stdout
        assert python == folder / "bin" / "python"


@pytest.mark.slow
def test_a_stack_that_another_home_links_to_stays_as_it_is(yard: Yard, tmp_path: Path, tree: Tree) -> None:
    folder = yard.base_folder
    stacks.build(yard.base, yard.settings)  # it was copied here
    before = tree(folder)
    linking = Settings(home=tmp_path / "linking")
    link = environment.location(yard.base, linking)
    link.parent.mkdir(parents=True)
    link.symlink_to(folder)
    stacks.build(yard.base, linking)
    environment.tend(link / "bin" / "python")
    assert tree(folder) == before


def older(folder: Path) -> None:
    """Make an environment one of before markers told what is installed."""
    told = json.loads((folder / MARKER).read_text())
    kept = {name: value for name, value in told.items() if name in ("name", "digest", "built_at", "base")}
    (folder / MARKER).unlink()  # its name may be shared
    (folder / MARKER).write_text(json.dumps(kept))


@pytest.mark.long
@pytest.mark.slow
def test_an_environment_of_before_is_looked_at_by_its_lock(yard: Yard, other: Path) -> None:
    stack = made(yard)
    folder = environment.location(stack, yard.settings)
    older(folder)
    script = folder / "bin" / "pip"
    foreign = script.read_text().replace(str(folder), str(yard.base_folder))
    script.unlink()
    script.write_text(foreign)
    script.chmod(0o755)
    assert stacks.why_not(stack, yard.settings, hardware.this_machine(nvidia_smi=None)) is None
    stacks.build(stack, yard.settings)
    assert contents.is_known(folder, contents.marker(folder))
    assert f"{folder}/bin/python" in script.read_text()
    assert os.access(script, os.X_OK)
    older(folder)
    pip(folder / "bin" / "python", "install", "--no-index", str(other))
    environment.tend(folder / "bin" / "python")
    assert mark(folder) is None, "what nobody compared with the lock is not taken for right"
    said: list[str] = []
    stacks.build(stack, yard.settings, progress=said.append)
    assert said[0].endswith("(small 1.7 in place of 1.0); it is built anew")


@pytest.mark.slow
def test_a_new_start_up_hook_is_no_change(yard: Yard) -> None:
    stack = made(yard)
    folder = environment.location(stack, yard.settings)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "_stackyard_hook.py").unlink()
    (site / "_stackyard_hook.py").write_text("old\n")
    before = mark(folder)
    environment.tend(folder / "bin" / "python")
    assert mark(folder) != before
    assert contents.is_known(folder, contents.marker(folder))
    (site / "six-1.0.dist-info").mkdir()
    environment.tend(folder / "bin" / "python")
    assert contents.changes(folder) == "six 1.0 added"


@pytest.mark.slow
def test_what_runs_in_an_environment_compiles_without_changing_it(yard: Yard) -> None:
    stack = made(yard)
    folder = environment.location(stack, yard.settings)
    (site,) = folder.glob("lib/python3*/site-packages")
    for path in (site / "__pycache__").iterdir():
        path.unlink()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    code = "import small, top, under, lacking"
    subprocess.run([folder / "bin" / "python", "-c", code], env=variables, check=True)
    assert list((site / "__pycache__").glob("top.*.pyc"))
    assert contents.is_known(folder, contents.marker(folder))
