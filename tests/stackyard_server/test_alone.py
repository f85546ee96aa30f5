"""The server by itself: its wheel is built, installed where nothing else of ours is, and used."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tomllib
import urllib.request
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FREE_PORTS = ["--web-port", "0", "--api-port", "0", "--files-port", "0"]
Alone = Callable[..., "subprocess.CompletedProcess[str]"]


def run(*command: object, **more: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Calls ``stackyard-server``, or what else is named, in an environment of the wheel and foreign libraries."""
    top = tmp_path_factory.mktemp("alone")
    copy, installed = top / "copy", top / "venv"
    kept_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("src", "packaging"):
        shutil.copytree(ROOT / name, copy / name, ignore=kept_out, symlinks=True)
    shutil.copy(ROOT / "LICENSE", copy)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    source = copy / "packaging" / "server"
    built = run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", top, source)
    assert built.returncode == 0, built.stderr
    venv.create(installed, with_pip=False)
    python = installed / "bin" / "python"
    (libraries,) = installed.glob("lib/python*/site-packages")
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if not entry.name.startswith(("stackyard", "__editable__")):
            (libraries / entry.name).symlink_to(entry)
    (wheel,) = top.glob("stackyard_server-*.whl")
    done = run(*pip, "--python", python, "install", *offline, wheel)
    assert done.returncode == 0, done.stderr
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STACKYARD_")}
    environment.pop("PYTHONPATH", None)

    def call(*arguments: object, program: str = "stackyard-server") -> subprocess.CompletedProcess[str]:
        return run(installed / "bin" / program, *arguments, cwd=top, env=environment)

    return call


@pytest.fixture(scope="module")
def started(alone: Alone) -> Iterator[dict[str, dict[str, str]]]:
    """A server in the background, in the default folder of the current one: what its start said."""
    done = alone("start", "--background", *FREE_PORTS, "--json")
    assert done.returncode == 0, done.stderr
    yield json.loads(done.stdout)
    stopped = alone("stop")
    assert stopped.stdout.startswith("stopped (process ")


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def test_nothing_else_of_ours_is_there(alone: Alone) -> None:
    done = alone("-c", "import stackyard_server, stackyard", program="python")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'stackyard'"


def test_it_answers_and_serves_its_pages(started: dict[str, dict[str, str]]) -> None:
    assert json.loads(fetched(f"{started['urls']['api']}/debug.ping"))["meta"]["result_code"] == 200
    page = fetched(started["urls"]["web"])
    assert "Sign in" in page
    assert "<code>stackyard-server user add NAME</code>" in page
    assert "svg" in fetched(f"{started['urls']['web']}/static/mark.svg")


def test_its_commands_are_those_of_stackyard_server(
    alone: Alone, started: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    assert "running (process " in alone("status").stdout
    assert "added ann (user)" in alone("user", "add", "ann").stdout
    assert json.loads(alone("credentials", "create", "ann", "--json").stdout)["secret_key"]
    assert alone("config", "--to", tmp_path / "clearml.conf", "--user", "ann").returncode == 0
    assert started["urls"]["api"].rpartition(":")[2] in (tmp_path / "clearml.conf").read_text()
    assert "rows" in alone("backup", tmp_path / "copy").stdout
    assert alone("restore", tmp_path / "copy", "--folder", tmp_path / "again", "--verify").returncode == 0
    assert alone("verify", "--folder", tmp_path / "again").stdout.startswith("sound: ")


def test_what_cannot_be_done_is_one_sentence(alone: Alone, tmp_path: Path) -> None:
    done = alone("verify", "--folder", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    start = f"stackyard-server start --folder {tmp_path}"
    assert done.stderr == f"stackyard-server: {tmp_path} holds no server yet: {start}\n"
    assert alone("status", "--folder", tmp_path).returncode == 1


def test_it_knows_the_options_that_come_before_a_command(alone: Alone, tmp_path: Path) -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert alone("--version").stdout == f"stackyard-server {whole['version']}\n"
    for line in (["--debug", "verify"], ["verify", "--debug"]):
        done = alone(*line, "--folder", tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("Traceback")
        assert "holds no server yet" in done.stderr.splitlines()[-1]


def test_it_asks_for_what_the_extra_of_the_whole_asks_for() -> None:
    projects = [ROOT / "pyproject.toml", ROOT / "packaging" / "server" / "pyproject.toml"]
    whole, own = [tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in projects]
    (typer,) = [line for line in whole["dependencies"] if line.startswith("typer")]
    assert sorted(own["dependencies"]) == sorted([typer, *whole["optional-dependencies"]["server"]])
    assert own["version"] == whole["version"]
