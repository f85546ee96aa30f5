"""A dispatched run's own part: its stack, its environment, its traces, the code it came with. No server.

Nothing here needs the SDK: ``dispatched`` itself does without it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from stackyard_task import dispatched, installed
from stackyard_task.records import Dispatch, StackPin, TaskSpec

ENTRY = Path(__file__).resolve().parents[2] / "tasks" / "dispatched.py"


def held(folder: Path, value: Any) -> Dict[str, str]:
    (folder / "stacks.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return {"STACKYARD_STACKS_FILE": str(folder / "stacks.json")}


def spec(name: str, digest: Any = None) -> TaskSpec:
    return TaskSpec("r", "w", stack=StackPin(name, digest))


def test_a_stack_is_what_this_machine_has_under_its_name(tmp_path: Path) -> None:
    variables = held(tmp_path, {"s": {"python": "/s/python", "digest": "d", "environment": {"A": "b"}}})
    found = dispatched.stack_of(spec("s", "d"), variables)
    assert (found.python, found.digest, found.environment) == ("/s/python", "d", {"A": "b"})
    assert dispatched.stack_of(TaskSpec("r", "w"), {}).python == sys.executable


def test_a_stack_that_somebody_installed_into_is_not_the_one_that_is_asked_for(tmp_path: Path) -> None:
    packages = tmp_path / "s" / "lib" / "python3.11" / "site-packages"
    (packages / "numpy-2.4.6.dist-info").mkdir(parents=True)
    marker = {"digest": "d", **installed.noted(str(tmp_path / "s"))}
    (tmp_path / "s" / "stackyard-complete.json").write_text(json.dumps(marker))
    variables = held(tmp_path, {"s": {"python": str(tmp_path / "s" / "bin" / "python"), "digest": "d"}})
    assert dispatched.stack_of(spec("s", "d"), variables).digest == "d"
    (packages / "numpy-2.4.6.dist-info").rename(packages / "numpy-2.3.1.dist-info")
    os.utime(packages, ns=(0, packages.stat().st_mtime_ns + 1))
    with pytest.raises(
        dispatched.NotHere, match=r"\(numpy 2\.3\.1 in place of 2\.4\.6\); build it again there: "
    ):
        dispatched.stack_of(spec("s", "d"), variables)


@pytest.mark.parametrize(
    ("value", "name", "digest", "words"),
    [
        ({}, "s", None, "stack s is not on this machine (it has: none)"),
        (
            {"s": {"python": "/p", "digest": "other"}},
            "s",
            "wanted",
            "pinned as wanted, but this machine has other",
        ),
        ("no json", "s", None, "the list of stacks cannot be read"),
    ],
)
def test_a_stack_that_is_not_here_is_one_sentence(
    tmp_path: Path, value: Any, name: str, digest: Any, words: str
) -> None:
    with pytest.raises(dispatched.NotHere) as caught:
        dispatched.stack_of(spec(name, digest), held(tmp_path, value))
    assert words in str(caught.value)


def test_a_task_that_cannot_be_used_is_bad_input_which_nobody_tries_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing of it is the infrastructure's: another machine would say the same."""
    said = []

    class Link:
        inputs = None

        def spec(self) -> TaskSpec:
            return TaskSpec("r", "w.py:main", measure="by-guess")

        def fail(self, failure: Any) -> bool:
            said.append(failure)
            return True

        def end_on_abort(self, *_: Any) -> None: ...
        def let_go(self) -> None: ...
        def dispatch(self) -> Any:
            return Dispatch()

        def watcher(self, *_: Any) -> None: ...
        def ended(self) -> bool:
            return False

        def close(self) -> None: ...

    monkeypatch.setattr(dispatched.clearml_link, "connect", Link)
    monkeypatch.setattr(dispatched, "sweep", lambda folder: None)
    before, folder = signal.getsignal(signal.SIGTERM), os.getcwd()
    try:
        assert dispatched.main(tmp_path, 0.0, "wheel") == 0
    finally:
        signal.signal(signal.SIGTERM, before)
        os.chdir(folder)
    (failure,) = said
    assert failure.kind == "bad_input"
    assert "'by-guess'" in failure.message


def test_the_workload_gets_nothing_of_the_agents() -> None:
    variables = {
        "CLEARML_API_SECRET_KEY": "hush",
        "CLEARML_TASK_ID": "1",
        "PYTHONPATH": "/agent",
        "PIP_INDEX_URL": "x",
        "STACKYARD_CACHE": "/cache",
        "STACKYARD_SLOT": "mark",
        "STACKYARD_MEASURE": "alike",
        "PATH": "/opt/agent/venv/bin:/usr/bin",
        "HOME": "/home/x",
        "CUDA_VISIBLE_DEVICES": "1",
        "LD_LIBRARY_PATH": "/cuda",
    }
    found = dispatched.child_environment(variables, Path("/code"), Path("/opt/agent/venv/bin/python"))
    assert found == {
        "STACKYARD_SLOT": "mark",
        "STACKYARD_MEASURE": "alike",
        "PATH": "/usr/bin",
        "HOME": "/home/x",
        "CUDA_VISIBLE_DEVICES": "1",
        "LD_LIBRARY_PATH": "/cuda",
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/code",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_what_killed_tasks_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine, other = f"stackyard-run-{os.getpid()}-x", "stackyard-run-notes-x"
    for name in (f"stackyard-run-{ended.pid}-x", f"stackyard-code-{ended.pid}-x", mine, other, "else"):
        (tmp_path / name / "deep").mkdir(parents=True)
    dispatched.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mine, other, "else"])


def test_a_clone_knows_its_commit(tmp_path: Path) -> None:
    code = tmp_path / "clone" / "src"
    (code / "stackyard_task").mkdir(parents=True)
    (code / "stackyard_task" / "a.py").write_text("")

    def git(*words: str) -> str:
        named = ["git", "-C", str(tmp_path / "clone"), "-c", "user.name=t", "-c", "user.email=t@example.org"]
        return subprocess.run([*named, *words], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    assert dispatched.code_of(code, ["stackyard_task"]).version is None
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    (code / "stackyard_task" / "__pycache__").mkdir()
    (code / "stackyard_task" / "__pycache__" / "a.pyc").write_bytes(b"")
    found = dispatched.code_of(code, ["stackyard_task"])
    assert (found.version, found.dirty) == (git("rev-parse", "HEAD"), False)
    (code / "stackyard_task" / "a.py").write_text("changed")
    assert dispatched.code_of(code, ["stackyard_task"]).dirty is True


def entered(
    tmp_path: Path, content: bytes, sha256: str, compiled: Optional[bytes] = None, **more: str
) -> subprocess.CompletedProcess[bytes]:
    """The entry script as an agent runs it, its wheel in the cache under the digest it was sent with."""
    cache = tmp_path / "cache" / "code"
    cache.mkdir(parents=True)
    if compiled is not None:
        (cache / (sha256 + ".pyc.zip")).write_bytes(compiled)
    (cache / (sha256 + ".whl")).write_bytes(content)
    code = f'CODE = {{"url": "http://127.0.0.1:9/w.whl", "sha256": "{sha256}"}}'
    script = tmp_path / "dispatched.py"
    script.write_text(ENTRY.read_text(encoding="utf-8").replace('CODE = {"url": "", "sha256": ""}', code))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    fake = tmp_path / "fake" / "clearml"  # an SDK that brings what lies on the file server
    fake.mkdir(parents=True)
    (tmp_path / "served").write_bytes(content)
    served = repr(str(tmp_path / "served"))
    (fake / "__init__.py").write_text(
        "class StorageManager:\n"
        "    @staticmethod\n"
        "    def get_local_copy(url, **_):\n"
        f"        return {served}\n"
    )
    variables = {
        **os.environ,
        "STACKYARD_CACHE": str(tmp_path / "cache"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(tmp_path / "fake"),
        **more,
    }
    return subprocess.run([sys.executable, str(script)], env=variables, capture_output=True, check=False)


def packed(files: Dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_the_entry_script_runs_the_code_it_was_sent_with_and_leaves_nothing(tmp_path: Path) -> None:
    said = "def main(code, begun, wheel):\n    print('ran', wheel, (code / 'stackyard_task').is_dir())\n    return 3\n"
    content = packed({"stackyard_task/__init__.py": "", "stackyard_task/dispatched.py": said})
    sha256 = hashlib.sha256(content).hexdigest()
    done = entered(tmp_path, content, sha256)
    assert (done.returncode, done.stdout.decode().split()) == (3, ["ran", sha256, "True"]), done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "variables", "there"),
    [(0, {}, "True"), (30, {}, "False"), (0, {"CLEARML_DOCKER_IMAGE": "i"}, "False")],
    ids=["on a host", "damaged", "in a container, whose tasks can change each other's cache"],
)
def test_kept_byte_code_lies_beside_its_sources(
    tmp_path: Path, damage: int, variables: Dict[str, str], there: str
) -> None:
    main = (
        "def main(code, begun, wheel):\n"
        "    print((code / 'stackyard_task' / '__pycache__' / 'x.cpython-30.pyc').is_file())\n"
    )
    content = packed({"stackyard_task/__init__.py": "", "stackyard_task/dispatched.py": main})
    kept = packed({"stackyard_task/__pycache__/x.cpython-30.pyc": "compiled"})
    kept = kept[: len(kept) - damage]
    done = entered(tmp_path, content, hashlib.sha256(content).hexdigest(), kept, **variables)
    assert (done.returncode, done.stdout.decode().strip()) == (0, there), done.stderr


def test_what_lies_beside_the_package_is_not_for_the_agents_python(tmp_path: Path) -> None:
    main = (
        "def main(code, begun, wheel):\n"
        "    import colorsys, sys\n"
        "    print(colorsys.rgb_to_yiq, str(code) in sys.path)\n"
    )
    files = {"stackyard_task/__init__.py": "", "stackyard_task/dispatched.py": main, "colorsys.py": "raise 1"}
    content = packed(files)
    done = entered(tmp_path, content, hashlib.sha256(content).hexdigest())
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith("<function rgb_to_yiq")
    assert done.stdout.decode().endswith(" False\n")


def test_other_code_does_not_run(tmp_path: Path) -> None:
    content = packed({"stackyard_task/__init__.py": "", "stackyard_task/dispatched.py": "print('ran')"})
    done = entered(tmp_path, content, "a" * 64)
    assert done.returncode == 1
    assert b"ran" not in done.stdout
    assert done.stderr.decode().startswith("infrastructure: the code at hand has SHA-256")
    assert b"Traceback" not in done.stderr


def test_a_wheel_that_names_files_outside_itself_does_not_run(tmp_path: Path) -> None:
    content = packed({"../outside.py": "", "stackyard_task/dispatched.py": "print('ran')"})
    done = entered(tmp_path, content, hashlib.sha256(content).hexdigest())
    assert done.returncode == 1
    assert b"names a file outside itself" in done.stderr
