"""Images of stacks on a real engine, with a fake torch: built without network, verified, recorded, removed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.cli import main
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.machine.docker_engine import Engine
from stackyard.settings import Settings
from stackyard.stacks import definition, derived, images
from stackyard.stacks.definition import StackSpec
from stackyard.stacks.images import BuildOptions
from tests.engine import docker
from tests.stackyard.fake_stacks import PYTHON, Depot, define, torch_wheel, wheel

AGENTS = Path(__file__).resolve().parents[3] / "agents"
NAME = "fake-stack"


@pytest.fixture
def fake(depot: Depot) -> StackSpec:
    """A stack with a fake torch, and beside it an agent's lock with fake packages; all wheels are in the depot."""
    stack = define(depot.definitions, name=NAME)
    top = depot.definitions.parent
    shutil.copy(AGENTS / "image.sh", top)
    hashes = "--hash=sha256:" + "0" * 64
    (top / "requirements.lock").write_text(f"clearml==2.0 \\\n    {hashes}\nclearml-agent==3.0 {hashes}\n")
    for name, version in (("clearml", "2.0"), ("clearml_agent", "3.0")):
        wheel(depot.wheels, name, version, {f"{name}/__init__.py": ""})
    text = (AGENTS / "stacks" / stacks.DEFAULT / "Dockerfile").read_text()
    (stack.folder / "Dockerfile").write_text(text.replace(stacks.DEFAULT, NAME))
    return stack


@pytest.fixture
def base(base_image: Callable[[str], str]) -> str:
    """A base image with the Python that runs the tests, for which the fake stack is defined."""
    return base_image(PYTHON)


@pytest.fixture
def tidy(engine: Engine, depot: Depot) -> Iterator[Engine]:
    """Removes the images of the fake stacks."""
    yield engine
    for name in (*(held for held in images.recorded(depot.settings) if held != NAME), NAME):
        for image in engine.images(label=f"{images.STACK_LABEL}={name}"):
            engine.remove_image(image.id)


@pytest.mark.long
@pytest.mark.engine
def test_an_image_is_built_without_network_verified_recorded_and_removed(
    fake: StackSpec, depot: Depot, base: str, tidy: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        images.why_not(fake, depot.settings, tidy)
        == "no image of fake-stack; build it: stackyard stack image build fake-stack"
    )
    assert main.run(["stack", "image", "build", NAME, "--base", base, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    image = images.recorded(depot.settings)[NAME]
    assert row["image_id"] == image.image_id == tidy.image_id(image.tag)
    assert image.reference == f"stackyard/{NAME}@{image.image_id}"
    assert (image.stack_digest, image.python, image.base) == (fake.digest, PYTHON, base)
    assert image.agent == {"clearml": "2.0", "clearml-agent": "3.0"}
    assert images.why_not(fake, depot.settings, tidy) is None
    assert not (depot.home / "images" / NAME).exists(), "the wheelhouse does not stay"

    # Inside: two environments, the stack's description, a user without rights.
    status, out, _error = tidy.output(image.image_id, ["sh", "-c", "id -un; echo $HOME; env"])
    assert (status, out.splitlines()[:2]) == (0, ["stackyard", "/home/stackyard"])
    for line in ("LOCAL_PYTHON=/opt/agent/venv/bin/python", "PIP_NO_INDEX=1"):
        assert line in out.splitlines()
    _status, out, _error = tidy.output(image.image_id, ["sh", "-c", "cat $STACKYARD_STACKS_FILE"])
    described = json.loads(out)[NAME]
    assert (described["digest"], described["python"]) == (fake.digest, "/opt/stack/venv/bin/python")
    for python, module, there in (
        (images.STACK_PYTHON, "small", True),
        (images.STACK_PYTHON, "clearml", False),
        (images.AGENT_PYTHON, "clearml_agent", True),
        (images.AGENT_PYTHON, "torch", False),
    ):
        assert (tidy.output(image.image_id, [python, "-c", f"import {module}"])[0] == 0) is there
    # The stack's Python tells a supervisor that it begins, and its scripts may report.
    script = (
        "mkfifo /tmp/heard; exec 3<>/tmp/heard; export STACKYARD_REPORT=/tmp/heard; "
        f"{images.AGENT_PYTHON} -c pass; {images.STACK_PYTHON} -c 'from stackyard_task import report'; head -n 2 <&3"
    )
    status, out, error = tidy.output(image.image_id, ["sh", "-c", script])
    assert (status, error) == (0, "")
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["begun", "environment"]
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image.image_id))
    assert (labels[images.STACK_LABEL], labels[images.DIGEST_LABEL]) == (NAME, fake.digest)
    assert labels[images.HOME_LABEL] == images.mark(depot.settings), (
        "of several homes on an engine, this one's"
    )

    # Another installation takes it up, as after `docker load`: the same image, with the same id.
    other = Settings(home=depot.home.parent / "other")
    assert images.adopt(fake, other).image_id == image.image_id
    assert images.recorded(other)[NAME].tag == image.tag
    with pytest.raises(BadInputError, match="the engine has no image of fake-stack as it is defined"):
        images.adopt(replace(fake, digest="0" * 64), other)

    # Its check compares with the definition as it is now.
    assert main.run(["stack", "image", "verify"]) == 0
    assert "fake-stack: as pinned" in capsys.readouterr().out
    define(depot.definitions, name=NAME, lock="torch==9.9.0\nsmall==2.0\n")
    assert main.run(["stack", "image", "verify"]) == 3
    assert "holds another version of the stack; build it: stackyard" in capsys.readouterr().err
    seen = images.verify(stacks.load()[NAME], image.image_id, tidy)
    assert [str(m) for m in seen.mismatches] == ["package small: expected 2.0, found 1.0"]

    assert main.run(["stack", "image", "remove", NAME, "--yes"]) == 0
    assert tidy.image_id(image.image_id) is None
    assert images.recorded(depot.settings) == {}


@pytest.mark.long
@pytest.mark.engine
def test_a_derived_stacks_image_is_built_on_its_bases_without_network(
    fake: StackSpec, depot: Depot, base: str, tidy: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(AGENTS / "derived.Dockerfile", depot.definitions.parent)
    wheel(depot.wheels, "top", "2.0", {"top.py": "z = 3\n"})
    wheel(depot.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    file = tmp_path / "requirements.txt"
    file.write_text("top\nsmall==2.0\n")
    spec = derived.defined(fake, file, depot.settings, replacing=True)  # as a task makes it, without a name
    made = spec.name
    assert main.run(["stack", "image", "build", made, "--base", base, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    held = images.recorded(depot.settings)
    assert set(held) == {NAME, made}, "its base's image is built first"
    assert (row["base"], row["image_id"]) == (held[NAME].tag, held[made].image_id)
    assert (held[made].stack_digest, held[made].agent) == (spec.digest, held[NAME].agent)
    status, out, _error = tidy.output(held[made].image_id, ["sh", "-c", "id -un; cat $STACKYARD_STACKS_FILE"])
    assert status == 0
    name, described = out.split("\n", 1)
    assert (name, json.loads(described)[made]["digest"]) == ("stackyard", spec.digest)
    script = "import torch, small, top; print(small.x)"
    for name, said in ((NAME, "1"), (made, "2")):
        words = script if name == made else script.replace(", top", "")
        assert tidy.output(held[name].image_id, [images.STACK_PYTHON, "-c", words])[:2] == (0, f"{said}\n")
    layers = [
        json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", held[name].image_id))
        for name in (NAME, made)
    ]
    assert layers[1][: len(layers[0])] == layers[0], "the base's layers are shared"
    assert main.run(["stack", "image", "verify", made]) == 0
    assert main.run(["stack", "image", "build", made, "--base", base]) == 2
    assert f"--base is not for {made}: it is built on the image of {NAME}" in capsys.readouterr().err
    assert main.run(["stack", "image", "remove", NAME, "--yes"]) == 2
    assert f"the image of {made} is built on that of {NAME}; remove it first" in capsys.readouterr().err
    assert main.run(["stack", "image", "remove", made, NAME, "--yes"]) == 0
    assert images.recorded(depot.settings) == {}


@pytest.mark.long
@pytest.mark.engine
def test_what_is_not_as_pinned_is_not_recorded(
    fake: StackSpec, depot: Depot, base: str, tidy: Engine
) -> None:
    torch_wheel(depot.wheels, cuda="10.2")
    with pytest.raises(StackyardError, match=r"CUDA of the build: expected cpu, found 10\.2"):
        images.build(fake, depot.settings, BuildOptions(base=base))
    assert images.recorded(depot.settings) == {}


@pytest.mark.engine
def test_a_build_that_fails_says_why_in_a_sentence(
    fake: StackSpec, depot: Depot, base: str, tidy: Engine, base_image: Callable[[str], str]
) -> None:
    (fake.folder.parent.parent / "image.sh").write_text(
        "echo 'ERROR: No matching distribution' >&2; exit 1\n"
    )
    with pytest.raises(
        StackyardError, match=r"the build failed: ERROR: No matching distribution; whole output: "
    ):
        images.build(fake, depot.settings, BuildOptions(base=base))
    with pytest.raises(BadInputError, match=r"bullseye has Python 3\.9, the stack fake-stack needs"):
        images.build(fake, depot.settings, BuildOptions(base=base_image("3.9")))
    with pytest.raises(StackyardError, match="no-such-image is not here and cannot be fetched"):
        images.build(fake, depot.settings, BuildOptions(base="localhost:1/no-such-image"))


@pytest.mark.engine
def test_an_image_the_engine_lost_is_missed(fake: StackSpec, depot: Depot, engine: Engine) -> None:
    entry = {
        "image_id": "sha256:" + "0" * 64,
        "stack_digest": fake.digest,
        "python": PYTHON,
        "base": "b",
        "base_id": "",
        "tag": "t",
        "built_at": "2026-01-01T00:00:00+00:00",
        "size_bytes": 1,
        "repo_digests": [],
    }
    depot.home.mkdir(exist_ok=True)
    (depot.home / "images.json").write_text(json.dumps({NAME: entry}))
    reason = images.why_not(fake, depot.settings, engine)
    assert reason == (
        "the image of fake-stack is no longer on this machine's engine; "
        "build it: stackyard stack image build fake-stack"
    )


def test_without_an_engine_every_command_says_so(
    fake: StackSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for words in (["list"], ["build", NAME], ["verify"], ["remove", NAME, "-y"]):
        assert main.run(["stack", "image", *words]) == 3
        error = capsys.readouterr().err
        assert error.startswith("stackyard: no Docker Engine answers at unix://")
        assert error.count("\n") == 1


def test_a_task_of_a_lab_names_an_image_by_what_every_machine_has(fake: StackSpec, depot: Depot) -> None:
    """Built on each machine by itself, the same stack's images have ids of their own."""
    assert images.reference(fake, depot.settings, elsewhere=False) is None
    by_name = images.reference(fake, depot.settings, elsewhere=True)
    assert by_name == f"stackyard/{NAME}:{fake.digest[:12]}"
    entry = {
        **{"image_id": "sha256:" + "1" * 64, "stack_digest": fake.digest, "python": PYTHON, "base": "b"},
        **{"base_id": "sha256:" + "2" * 64, "tag": by_name, "built_at": "now", "size_bytes": 1},
    }
    depot.home.mkdir(exist_ok=True)
    (depot.home / "images.json").write_text(json.dumps({NAME: entry}))
    assert images.reference(fake, depot.settings, elsewhere=False) == f"stackyard/{NAME}@{entry['image_id']}"
    assert images.reference(fake, depot.settings, elsewhere=True) == by_name
    served = "registry.example/x@sha256:" + "3" * 64
    (depot.home / "images.json").write_text(json.dumps({NAME: {**entry, "repo_digests": [served]}}))
    assert images.reference(fake, depot.settings, elsewhere=True) == served


def test_a_damaged_record_is_named(depot: Depot) -> None:
    depot.home.mkdir(exist_ok=True)
    (depot.home / "images.json").write_text('{"x": 1}')
    with pytest.raises(BadInputError, match=r"images\.json: x is 1, expected an object; remove the file"):
        images.recorded(depot.settings)


def test_options_that_do_not_go_together_are_refused(
    fake: StackSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["stack", "image", "build", NAME, "--index", "https://example.org"]) == 2
    assert "belong to --online" in capsys.readouterr().err
    assert main.run(["stack", "image", "build", "nothing"]) == 2
    assert "no stack is called 'nothing'" in capsys.readouterr().err


def test_a_docker_client_without_buildkit_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stackyard.machine import docker_engine

    for name, version in (("new", "28.2.2"), ("old", "20.10.24")):
        client = tmp_path / name / "docker"
        client.parent.mkdir()
        client.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "Docker version {version}, build x" && exit 0\nexit 1\n'
        )
        client.chmod(0o755)
    docker_engine.builder.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}/new:{tmp_path}/old")
    assert docker_engine.builder()[-2:] == [f"{tmp_path}/old/docker", "build"]
    docker_engine.builder.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}/new")
    with pytest.raises(NotRunnableError, match="cannot build with BuildKit; install its buildx plugin"):
        docker_engine.builder()
    docker_engine.builder.cache_clear()


@pytest.mark.parametrize("stack", definition.load().values(), ids=lambda stack: stack.name)
def test_every_stacks_dockerfile_is_the_same_but_for_its_names(stack: StackSpec) -> None:
    text = (stack.folder / "Dockerfile").read_text()
    default = (AGENTS / "stacks" / stacks.DEFAULT / "Dockerfile").read_text()

    def neutral(text: str, name: str) -> str:
        text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        return re.sub(r"BASE=python:3\.\d+-slim", "BASE=", text.replace(name, "NAME"))

    assert neutral(text, stack.name) == neutral(default, stacks.DEFAULT)
    assert f"BASE=python:{stack.python}-slim" in text or stack.name == stacks.DEFAULT


def test_the_agents_lock_installs_on_every_python_a_stack_may_have() -> None:
    """Every pin has hashes, and every package has exactly one version for each Python from 3.9 to 3.13."""
    text = re.sub(r"\\\n", " ", (AGENTS / "requirements.lock").read_text())
    pins = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert all("--hash=sha256:" in line for line in pins)
    script = (
        "import json, sys; from pip._vendor.packaging.requirements import Requirement as R; "
        "env = lambda v: {'python_version': v, 'python_full_version': v + '.9', 'sys_platform': 'linux'}; "
        "pins = [R(line.split(' --hash')[0]) for line in json.load(sys.stdin)]; "
        "print(json.dumps({v: sorted(p.name for p in pins if not p.marker or p.marker.evaluate(env(v))) "
        "for v in ('3.9', '3.10', '3.11', '3.12', '3.13')}))"
    )
    done = subprocess.run(
        ["python3", "-c", script], input=json.dumps(pins), capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no pip beside python3 to evaluate markers: {done.stderr[-200:]}")
    for version, names in json.loads(done.stdout).items():
        assert len(names) == len(set(names)), version
        assert {"clearml", "clearml-agent", "psutil", "nvidia-ml-py", "opentelemetry-sdk"} <= set(names), (
            version
        )
        assert "pywin32" not in names
