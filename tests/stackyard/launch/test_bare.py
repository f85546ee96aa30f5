"""Deployment bare: a clean environment, a supervisor of its own session, a snapshot of the code."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackyard.launch import LaunchError, Place
from stackyard.launch.bare import BareLauncher
from stackyard.stacks import contents
from stackyard.workloads import snapshot
from stackyard.workloads.environment import clean_environment
from stackyard_task.records import RunRecord, StackPin, TaskSpec, read_json


def until_it_hangs(run: Any, log: Path) -> int:
    """The id of the run's process, once it hangs."""
    hanging = Path(f"{log}.hanging")
    while not (hanging.exists() and hanging.read_text()):
        assert run.wait(0.02) is None
    return int(hanging.read_text())


def started(yard: Any, folder: Path, parameters: dict[str, Any], python: Path = Path(sys.executable)) -> Any:
    folder.mkdir()
    task = TaskSpec("r", "work_for_tests:work", parameters, stack=StackPin("any"))
    return BareLauncher().start(task, Place(folder, python, yard.code))


def test_a_run_ends_in_a_record_and_no_empty_supervisor_log(yard: Any, tmp_path: Path) -> None:
    run = started(yard, tmp_path / "r", {})
    while run.wait(5) is None:
        pass
    record = read_json(RunRecord, tmp_path / "r" / "record.json")
    assert record.status == "completed"
    assert json.loads((tmp_path / "r" / "task.json").read_text())["run_id"] == "r"
    assert not (tmp_path / "r" / "supervisor.log").exists()


def test_the_supervisor_does_not_share_our_session(yard: Any, tmp_path: Path) -> None:
    """So a Ctrl-C at the terminal reaches the runner alone."""
    run = started(yard, tmp_path / "r", {"do": "hang", "log": str(tmp_path / "log")})
    try:
        assert os.getsid(run.pid) != os.getsid(0)
        until_it_hangs(run, tmp_path / "log")
    finally:
        run.interrupt()
        while run.wait(5) is None:
            pass
    record = read_json(RunRecord, tmp_path / "r" / "record.json")
    assert record.failure is not None
    assert record.failure.kind == "interrupted"


def test_kill_leaves_no_process(yard: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = started(yard, tmp_path / "r", {"do": "hang", "log": str(log)})
    pid = until_it_hangs(run, log)
    run.kill()
    while run.wait(1) is None:
        pass
    while is_alive(pid):  # the kernel needs a moment; a process that stays fails by the suite's time limit
        os.sched_yield()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_python_that_is_gone_is_one_sentence(yard: Any, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="stackyard stack build any"):
        started(yard, tmp_path / "r", {}, python=tmp_path / "gone")


def test_a_stack_that_an_earlier_run_installed_into_is_one_sentence(yard: Any, tmp_path: Path) -> None:
    packages = tmp_path / "s" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "s" / "stackyard-complete.json").write_text(json.dumps(contents.noted(tmp_path / "s")))
    (packages / "six-1.15.0.dist-info").mkdir()
    os.utime(packages, ns=(0, packages.stat().st_mtime_ns + 1))
    with pytest.raises(
        LaunchError, match=r"stack any has other packages than .* \(six 1\.15\.0 added\); build it again"
    ):
        started(yard, tmp_path / "r", {}, tmp_path / "s" / "bin" / "python")


def test_the_environment_is_made_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.delenv("STACKYARD_MEASURE", raising=False)
    assert set(clean_environment(Path("/code"))) == {
        *("PATH", "HOME", "LANG", "TMPDIR"),
        *("PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE"),
    }
    assert clean_environment(Path("/code"))["PYTHONPATH"] == "/code"


def package(folder: Path, text: str = "x = 1\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(text)
    (folder / "records.py").write_text("")
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "deep.py").write_text("y = 2\n")
    return folder


def test_a_snapshot_is_one_folder_per_content_and_survives_editing(tmp_path: Path) -> None:
    source = package(tmp_path / "src" / "work")
    first, code = snapshot.taken(tmp_path / "home", [source])
    assert first == tmp_path / "home" / "code" / (code.digest or "")[:12]
    assert (first / "work" / "inner" / "deep.py").read_text() == "y = 2\n"
    assert snapshot.taken(tmp_path / "home", [source]) == (first, code)
    package(source, "x = 3\n")
    second, changed = snapshot.taken(tmp_path / "home", [source])
    assert second != first
    assert (first / "work" / "__init__.py").read_text() == "x = 1\n"
    assert snapshot.again(tmp_path / "home", code) == first
    (first / "work" / "__init__.py").write_text("tampered")
    assert snapshot.again(tmp_path / "home", code) is None
    assert changed.digest != code.digest
    assert sorted(p.name for p in (tmp_path / "home" / "code").iterdir()) == sorted([first.name, second.name])


def test_a_snapshot_knows_its_commit_and_whether_it_differs(tmp_path: Path) -> None:
    source = package(tmp_path / "repo" / "stackyard_task")

    def git(*words: str) -> str:
        named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        command = ["git", "-C", str(tmp_path / "repo"), *named, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    assert snapshot.taken(tmp_path / "home", [source])[1].version is None
    git("add", ".")
    git("commit", "-q", "-m", "first")
    code = snapshot.taken(tmp_path / "home", [source])[1]
    assert (code.version, code.dirty) == (git("rev-parse", "HEAD"), False)
    package(source, "x = 4\n")
    assert snapshot.taken(tmp_path / "home", [source])[1].dirty is True


def test_byte_code_that_does_not_belong_to_a_snapshots_sources_is_replaced(tmp_path: Path) -> None:
    place, code = snapshot.taken(tmp_path / "home", [package(tmp_path / "src" / "work")])
    broken = place / "work" / "broken.py"
    broken.write_text("def :\n")
    for source, level in itertools.product(("work/__init__.py", "work/broken.py"), ("", 1, 2)):
        planted = Path(importlib.util.cache_from_source(str(place / source), optimization=level))
        planted.parent.mkdir(exist_ok=True)
        (tmp_path / "planted.py").write_text("x = 'planted'\n")
        py_compile.compile(
            str(tmp_path / "planted.py"),
            str(planted),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )

    def seen(*flags: str, module: str = "work") -> str:
        command = [sys.executable, "-B", *flags, "-c", f"import {module}; print({module}.x)"]
        done = subprocess.run(
            command, env={"PYTHONPATH": str(place)}, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1].partition(":")[0]

    assert seen() == seen("-O") == seen("-OO") == "planted"
    snapshot.compiled(place, Path(sys.executable))
    assert seen() == seen("-O") == seen("-OO") == "1"
    assert seen(module="work.broken") == seen("-O", module="work.broken") == "SyntaxError"
    broken.unlink()
    assert snapshot.again(tmp_path / "home", code) == place
    snapshot.compiled(place, Path("/nowhere/python"))


def test_a_run_executes_its_snapshots_sources_only(yard: Any, tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(yard.code, code, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "work.py").write_text(
        "def main(parameters, channel, output):\n    channel.results(says='the source')\n"
    )
    (tmp_path / "planted.py").write_text(
        "def main(parameters, channel, output):\n    channel.results(says='planted')\n"
    )
    py_compile.compile(
        str(tmp_path / "planted.py"),
        importlib.util.cache_from_source(str(code / "work.py")),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    (tmp_path / "run").mkdir()
    task = TaskSpec(run_id="r", workload="work:main")
    run = BareLauncher().start(task, Place(tmp_path / "run", Path(sys.executable), code))
    while run.wait(1) is None:
        pass
    assert read_json(RunRecord, tmp_path / "run" / "record.json").results == {"says": "the source"}


def test_a_module_beside_a_workload_is_for_the_workload_alone(yard: Any, tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(yard.code, code, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "pynvml.py").write_text(
        "import pathlib, sys\n"
        f"with pathlib.Path({str(tmp_path / 'loaded')!r}).open('a') as file:\n"
        "    file.write(sys.argv[0].rpartition('/')[2] + '\\n')\n"
    )
    (code / "work.py").write_text(
        "import pynvml\ndef main(parameters, channel, output):\n    channel.results(says=pynvml.__file__)\n"
    )
    (tmp_path / "run").mkdir()
    task = TaskSpec(run_id="r", workload="work:main")
    run = BareLauncher().start(task, Place(tmp_path / "run", Path(sys.executable), code))
    while run.wait(1) is None:
        pass
    assert read_json(RunRecord, tmp_path / "run" / "record.json").results == {"says": str(code / "pynvml.py")}
    assert (tmp_path / "loaded").read_text() == "child.py\n", "and not the supervisor, which asks NVML too"


def test_byte_code_does_not_travel_into_a_snapshot(tmp_path: Path) -> None:
    source = package(tmp_path / "src" / "work")
    _, plain = snapshot.taken(tmp_path / "home", [source])
    for planted in (source / "__pycache__" / "records.cpython-311.pyc", source / "sourceless.pyc"):
        planted.parent.mkdir(exist_ok=True)
        py_compile.compile(str(source / "records.py"), str(planted))
    place, code = snapshot.taken(tmp_path / "home", [source])
    assert code == plain
    assert sorted(path.suffix for path in place.rglob("*") if path.is_file()) == [".py"] * 3
    (place / "work" / "sourceless.pyc").write_bytes((source / "sourceless.pyc").read_bytes())
    assert snapshot.again(tmp_path / "home", code) is None


def test_a_link_in_a_snapshot_makes_it_another(tmp_path: Path) -> None:
    place, code = snapshot.taken(tmp_path / "home", [package(tmp_path / "src" / "work")])
    package(tmp_path / "elsewhere" / "numpy")
    (place / "numpy").symlink_to(tmp_path / "elsewhere" / "numpy")
    assert snapshot.again(tmp_path / "home", code) is None
    again, _ = snapshot.taken(tmp_path / "home", [tmp_path / "src" / "work"])
    assert (again, (again / "numpy").exists()) == (place, False)
