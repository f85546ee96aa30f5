"""The start-up hook in real environments of several Pythons, heard over a real FIFO."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import NotRunnableError, StackyardError
from stackyard.stacks import hook, pythons

#: A module that passes for torch as far as the hook looks at it.
TORCH = """
__version__ = "2.13.0+cu130"
class version:
    cuda = "13.0"
def get_num_threads():
    return 3
class cuda:
    is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 2)
    max_memory_allocated = staticmethod(lambda index: 100 + index)
    max_memory_reserved = staticmethod(lambda index: 200 + index)
"""


class Environment:
    """A virtual environment with the hook, and a FIFO that somebody reads."""

    def __init__(self, folder: Path, minor: str) -> None:
        try:
            base = pythons.find(minor)
        except NotRunnableError as error:
            pytest.skip(str(error))
        subprocess.run([str(base), "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        self.python = folder / "venv" / "bin" / "python"
        self.site_packages = folder / "venv" / "lib" / f"python{minor}" / "site-packages"
        assert not hook.installed(self.python)
        assert hook.ensure(self.python)
        fifo = folder / "report.fifo"
        os.mkfifo(fifo)
        self.descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        self.variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STACKYARD_", "PYTHON", "CUDA_"))
        }
        self.heard = {**self.variables, "STACKYARD_REPORT": str(fifo)}

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._writer)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments],
            env={**self.heard, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self) -> list[dict[str, Any]]:
        try:
            lines = os.read(self.descriptor, 1 << 20).splitlines()
        except BlockingIOError:
            return []
        assert all(len(line) < 4096 for line in lines)
        return [json.loads(line) for line in lines]

    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.told()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Environment]]:
    made: dict[str, Environment] = {}
    yield {"folder": tmp_path_factory.mktemp("hook"), "made": made}  # type: ignore[dict-item]
    for environment in made.values():
        environment.close()


@pytest.fixture(params=["3.9", "3.11", "3.13"])
def environment(request: pytest.FixtureRequest, kept: Any) -> Environment:
    minor = request.param
    if minor not in kept["made"]:
        folder = kept["folder"] / minor
        folder.mkdir()
        kept["made"][minor] = Environment(folder, minor)
    kept["made"][minor].told()
    return kept["made"][minor]


def test_a_process_says_when_it_begins_and_what_it_had_loaded(environment: Environment) -> None:
    packages = environment.site_packages
    (packages / "torch.py").write_text(TORCH)
    (packages / "numpy.py").write_text('__version__ = "1.26.4"')
    (packages / "named_by_its_distribution.py").write_text('__version__ = "0.4"')  # as it forgot to change
    (packages / "Named.By_its_distribution-0.5.dist-info").mkdir()
    mine = packages.parent / "mine"
    mine.mkdir()
    (mine / "mine.py").write_text('__version__ = "9"')
    done = environment.run(
        "-c",
        "import torch, numpy, named_by_its_distribution, mine, json, argparse; print('done')",
        PYTHONPATH=str(mine),
    )
    for path in (packages / "torch.py", packages / "numpy.py", packages / "named_by_its_distribution.py"):
        path.unlink()
    shutil.rmtree(packages / "Named.By_its_distribution-0.5.dist-info")
    shutil.rmtree(mine)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    begun, facts, first, second, loaded, elsewhere = environment.told()
    assert begun["kind"] == "begun"
    assert begun["pid"] == facts["pid"] == loaded["pid"]
    version = subprocess.run(
        [str(environment.python), "-S", "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert facts["facts"] == {
        "python": version,
        "torch": "2.13.0+cu130",
        "cuda": "13.0",
        "numpy": "1.26.4",
        "threads": 3,
    }
    assert [first["index"], second["index"]] == [0, 1]
    assert second["facts"] == {"torch_peak_allocated_bytes": 101, "torch_peak_reserved_bytes": 201}
    assert loaded["packages"] == {
        "named_by_its_distribution": "0.5",
        "numpy": "1.26.4",
        "torch": "2.13.0+cu130",
    }

    assert (elsewhere["kind"], elsewhere["packages"]) == ("loaded_elsewhere", {"mine": "9"})


def test_what_a_script_brought_itself_is_told_apart(environment: Environment, tmp_path: Path) -> None:
    (environment.site_packages / "six.py").write_text('__version__ = "1.16.0"')
    target, beside = tmp_path / "target", tmp_path / "beside"
    for name in ("six", "inside", "unnamed"):
        (target / name).mkdir(parents=True)
        (target / name / "__init__.py").write_text('__version__ = "0"' if name == "six" else "")
    (target / "six-1.15.0.dist-info").mkdir()
    (target / "inside-2.0.dist-info").mkdir()
    beside.mkdir()
    (beside / "helper.py").write_text("import argparse, json, xml.dom")
    (beside / "own.py").write_text('__version__ = "3.1"')
    (beside / "work.py").write_text(
        f"import sys, helper, own; sys.path.insert(0, {str(target)!r})\nimport six, inside, unnamed"
    )
    done = environment.run(str(beside / "work.py"))
    told = environment.told()
    environment.run("-c", "import six")
    (environment.site_packages / "six.py").unlink()
    assert (done.returncode, done.stderr) == (0, "")
    assert [message["kind"] for message in told] == ["begun", "environment", "loaded_elsewhere"]
    assert told[-1]["packages"] == {"inside": "2.0", "own": "3.1", "six": "1.15.0"}
    assert environment.told()[-1]["packages"] == {"six": "1.16.0"}


def test_a_folder_of_many_files_is_not_read_to_its_end(environment: Environment, tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"{number}.json").touch()
    (tmp_path / "own.py").write_text('__version__ = "3.1"')
    assert environment.run("-c", "import own", PYTHONPATH=str(tmp_path)).returncode == 0
    assert environment.told()[-1]["packages"] == {"own": "3.1"}


def test_a_busy_machine_loses_no_package(environment: Environment) -> None:
    packages = environment.site_packages
    (packages / "z_last.py").write_text('__version__ = "1.0"')
    (packages / "named.py").write_text("")
    (packages / "named-0.5.dist-info").mkdir()
    slow = "import itertools, time; time.monotonic = itertools.count(step=60.0).__next__"
    done = environment.run("-c", f"import z_last, named; {slow}")
    (packages / "z_last.py").unlink()
    (packages / "named.py").unlink()
    (packages / "named-0.5.dist-info").rmdir()
    assert (done.returncode, done.stderr) == (0, "")
    assert environment.told()[-1]["packages"] == {"named": "0.5", "z_last": "1.0"}


@pytest.mark.parametrize(
    ("visible", "indices"), [("3,1", [3, 1]), ("GPU-1234,GPU-5678", []), ("1", [1]), ("", [])]
)
def test_gpus_have_the_numbers_of_the_machine_or_are_not_told(
    environment: Environment, visible: str, indices: list[int]
) -> None:
    path = environment.site_packages / "torch.py"
    path.write_text(TORCH)
    environment.run("-c", "import torch", CUDA_VISIBLE_DEVICES=visible)
    path.unlink()
    assert [message["index"] for message in environment.told() if message["kind"] == "gpu"] == indices


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["-S", "-c", "pass"], {}),
        (["-I", "-c", "pass"], {}),
        (["-c", "pass"], {"STACKYARD_HOOK": "0"}),
        (["-c", "pass"], {"STACKYARD_REPORT": ""}),
    ],
)
def test_who_wants_no_hook_has_none(
    environment: Environment, arguments: list[str], variables: dict[str, str]
) -> None:
    assert environment.run(*arguments, **variables).returncode == 0
    assert environment.told() == []


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os; os.execv('/bin/true', ['true'])", 0),
    ],
)
def test_who_ends_without_an_end_says_nothing_then(
    environment: Environment, script: str, status: int
) -> None:
    assert environment.run("-c", script).returncode == status
    assert environment.kinds() == ["begun"]


def test_an_abrupt_end_is_told_once_and_by_the_process_itself_alone(environment: Environment) -> None:
    for name, text in (("torch", TORCH), ("numpy", '__version__ = "1.26.4"')):
        (environment.site_packages / f"{name}.py").write_text(text)
    forks = (
        "import os, numpy, torch\nfor _ in range(3):\n    child = os.fork()\n    if not child: os._exit(0)\n"
    )
    waits = "    os.waitpid(child, 0)\n"
    done = environment.run("-c", f"{forks}{waits}os._exit(status=3)")
    told = environment.told()
    late = environment.run("-c", "import atexit, os, numpy; atexit.register(os._exit, 4)")
    (environment.site_packages / "torch.py").unlink()
    (environment.site_packages / "numpy.py").unlink()
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert [message["kind"] for message in told] == ["begun", "environment", "loaded"]
    assert len({message["pid"] for message in told}) == 1
    assert told[2]["packages"] == {"numpy": "1.26.4", "torch": "2.13.0+cu130"}
    assert (late.returncode, late.stderr) == (4, "")
    assert environment.kinds() == ["begun", "environment", "loaded"]


def test_an_abrupt_end_is_as_it_would_be_without(environment: Environment) -> None:
    wrong = "import os\ntry:\n    os._exit('x')\nexcept TypeError as error:\n    print(error, flush=True)\n"
    with_hook = environment.run("-c", wrong + "os._exit(0)").stdout
    assert with_hook == environment.run("-c", wrong + "os._exit(0)", STACKYARD_HOOK="0").stdout
    environment.told()
    gone = "import os; os.unlink(os.environ['STACKYARD_REPORT']); os._exit(5)"
    elsewhere = environment.site_packages / "left.fifo"
    os.mkfifo(elsewhere)
    done = environment.run("-c", gone, STACKYARD_REPORT=str(elsewhere))
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_a_script_ends_as_it_would_without(environment: Environment) -> None:
    done = environment.run("-c", "import atexit; atexit.register(print, 'last words'); raise SystemExit(7)")
    assert (done.returncode, done.stdout, done.stderr) == (7, "last words\n", "")
    assert environment.kinds() == ["begun", "environment"]
    broken = "import sys, types; t = types.ModuleType('torch'); sys.modules['torch'] = t; t.__version__ = t.version = 1"
    assert environment.run("-c", broken).stderr == ""
    fork = "import os; child = os.fork(); child and os.waitpid(child, 0)"
    assert environment.run("-c", fork).stderr == ""


def test_it_neither_waits_nor_fails_where_nobody_reads(environment: Environment) -> None:
    for path in ("/nowhere/at/all", str(environment.python), str(environment.site_packages)):
        done = environment.run("-c", "print(1)", STACKYARD_REPORT=path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    filling = os.open(environment.heard["STACKYARD_REPORT"], os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while os.write(filling, b"\n" * 4096):
            pass
    os.close(filling)
    assert environment.run("-c", "pass").returncode == 0
    while os.read(environment.descriptor, 1 << 20).strip():
        pass
    assert environment.told() == []
    gone = environment.site_packages / "gone.fifo"
    os.mkfifo(gone)
    assert environment.run("-c", "pass", STACKYARD_REPORT=str(gone)).stderr == ""
    gone.unlink()


def test_it_loads_nothing_that_python_has_not_loaded(environment: Environment) -> None:
    script = "import sys; print(sorted(sys.modules))"
    with_hook = environment.run("-c", script).stdout
    without = environment.run("-c", script, STACKYARD_REPORT="").stdout
    more = set(eval(with_hook)) - set(eval(without))
    assert more - {"atexit", "time"} == {"_stackyard_hook"}  # those two are built in


def test_report_is_at_hand_by_both_names(environment: Environment) -> None:
    done = environment.run(
        "-c",
        "from stackyard_task import report; import stackyard_report; report.phase('data'); "
        "[stackyard_report.results(a=n) for n in report.steps([1])]",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert environment.kinds() == ["begun", "phase", "results", "steps", "environment"]


def test_laying_it_again_touches_nothing_and_mends_what_is_old(environment: Environment) -> None:
    names = list(hook.files())
    paths = [environment.site_packages / name for name in names]
    before = [path.stat().st_ino for path in paths]
    hook.install(environment.site_packages)
    assert [path.stat().st_ino for path in paths] == before
    assert all((path.stat().st_mode & 0o777) == 0o644 for path in paths)
    other = environment.site_packages / "shared-with-another.py"
    os.link(environment.site_packages / "_stackyard_hook.py", other)
    (environment.site_packages / "stackyard_hook.pth").write_text("old")
    other.write_text("old")
    assert not hook.installed(environment.python)
    assert hook.ensure(environment.python)
    assert other.read_text() == "old"  # replaced, never written into
    other.unlink()
    assert not [path for path in environment.site_packages.iterdir() if path.name.startswith(".")]


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "stackyard_task").mkdir(parents=True)
    (packages / "stackyard_task" / "__init__.py").write_text('"""The harness itself."""')
    hook.install(packages)
    assert not (packages / "stackyard_task" / "report.py").exists()
    assert (packages / "stackyard_report.py").exists()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("")
    assert not hook.ensure(tmp_path / "bin" / "python")  # no virtual environment
    (tmp_path / "pyvenv.cfg").write_text("")
    assert hook.ensure(tmp_path / "bin" / "python")
    assert not hook.ensure(Path(sys.executable))  # where the harness itself is installed


def test_a_folder_that_takes_nothing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StackyardError, match=r"start-up hook cannot be laid there \(No such file"):
        hook.install(tmp_path / "nowhere")


#: As far as the hook looks at it, the ClearML SDK just before it forks the process in which it reports.
REPORTER = """
import os, sys, types
class ForkEvent: pass
class SafeEvent: pass
class BackgroundLogService:
    _subprocess, _event, _flush = True, SafeEvent(), SafeEvent()
class BackgroundReportService:
    def __init__(self, subprocess):
        self._subprocess, self._event, self._flush_event = subprocess, SafeEvent(), ForkEvent()
class BackgroundMonitor:
    _instances = {1: [BackgroundLogService(), BackgroundReportService(True)], 2: [BackgroundReportService(False)]}
name = "clearml.utilities.process.mp"
sys.modules[name] = types.ModuleType(name)
sys.modules[name].BackgroundMonitor = BackgroundMonitor
if BROKEN:
    BackgroundMonitor._instances = [3]
if os.fork() == 0:
    os._exit(0)
os.wait()
found = BackgroundMonitor._instances
print([type(one._flush_event).__name__ for one in (found[1][1], found[2][0])] if not BROKEN else "forked")
"""


def test_the_process_in_which_the_sdk_reports_hears_of_a_flush(environment: Environment) -> None:
    done = environment.run("-c", f"BROKEN = False\n{REPORTER}")
    assert (done.stdout, done.stderr) == ("['SafeEvent', 'ForkEvent']\n", "")
    done = environment.run("-c", f"BROKEN = True\n{REPORTER}")
    assert (done.stdout, done.stderr) == ("forked\n", "")
