"""What agents are given: nothing of the user's, a hardened configuration, files only their owner reads."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyhocon
import pytest

from stackyard.agents import configuration, container_rules
from stackyard.agents.configuration import MARK, Surroundings
from stackyard.agents.slots import Slot
from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError
from stackyard_task import interpreter

SERVER = Connection("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "key", 'se"cret\\')


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(
        home=tmp_path / "home",
        machine="host-one",
        server=SERVER,
        python="/opt/agent/bin/python",
        passed={"SSL_CERT_FILE": "/ca.pem"},
        docker=Path("/usr/bin/docker"),
        network="host",
        mounts=("/data:/data:ro", "/scratch:/scratch:rw"),
    )


def read(path: Path) -> Any:
    return pyhocon.ConfigFactory.parse_string(path.read_text())


def test_the_template_is_hardened(around: Surroundings) -> None:
    made = configuration.prepare(Slot("cpu-0", "cpu"), {}, around)
    found = read(Path(made.folder) / "clearml.conf")
    assert found["agent.disable_ssh_mount"] is True
    assert found["sdk.storage.block_pickled_artifacts"] is True
    assert found["agent.docker_install_opencv_libs"] is False
    assert found["agent.docker_init_bash_script"] == []
    assert found["agent.docker_preprocess_bash_script"] == []
    assert found["agent.extra_docker_arguments"] == []
    assert found["agent.package_manager.pytorch_resolve"] == "none"
    assert found["agent.bootstrap.use_bootstrap"] is False
    assert found["agent.enable_task_env"] is False
    assert found["agent.apply_files"] is False
    assert found["environment.CLEARML_BLOCK_PICKLED_ARTIFACTS"] == "1"
    assert (found["api.credentials.access_key"], found["api.credentials.secret_key"]) == ("key", 'se"cret\\')
    assert found["agent.worker_id"] == made.worker == "host-one:cpu-0"


def test_the_environment_is_ours_alone(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's")
    monkeypatch.setenv("CLEARML_API_SECRET_KEY", "the user's")
    made = configuration.prepare(Slot("cpu-0", "cpu", cores=(1,)), {}, around)
    variables = dict(made.environment)
    assert "the user's" not in variables.values()
    assert variables["SSL_CERT_FILE"] == "/ca.pem", "the operator named it"
    assert variables["CLEARML_AGENT_SKIP_PIP_VENV_INSTALL"] == f"{made.folder}/bin/python"
    assert variables["CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL"] == "1"
    assert variables["HOME"].startswith(made.folder)
    assert variables["CLEARML_AGENT_TEMP_STDOUT_FILE_DIR"].startswith(made.folder)
    assert SERVER.secret_key not in json.dumps(made.to_json()), "the plan holds no secret"
    assert "--cpu-only" in made.command
    assert "--docker" not in made.command


def test_studies_find_the_data_sets_that_the_operator_has(around: Surroundings) -> None:
    """Our side's home and data; tasks themselves are told neither."""
    made = dataclasses.replace(around, shell={"STACKYARD_DATA": "/sets/../data"})
    host = configuration.prepare(Slot("services-0", "services"), {}, made)
    settled = json.loads((Path(host.folder) / "tasks.json").read_text())["variables"]
    assert (settled["STACKYARD_HOME"], settled["STACKYARD_DATA"]) == (str(around.home), "/data")
    assert "STACKYARD_DATA" not in host.environment


def test_an_address_with_a_login_is_handed_to_nobody_and_that_is_said(
    around: Surroundings, tmp_path: Path
) -> None:
    shell = {
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "https://me:hidden@host/simple",
        "https_proxy": "http://me:hidden@proxy:1",
        "PIP_TIMEOUT": "60",
        "NETRC": "/home/me/netrc",
        "MINE": "https://me:hidden@host",
    }
    pips = tmp_path / ".config" / "pip" / "pip.conf"
    pips.parent.mkdir(parents=True)
    pips.write_text("[global]\nindex-url = https://me:hidden@host/simple\n")
    around = dataclasses.replace(around, shell=shell)
    host = configuration.prepare(Slot("cpu-0", "cpu"), {}, around)
    own = configuration.prepare(Slot("any-0", "any", environment="agent"), {}, around)
    settled = json.loads((Path(host.folder) / "tasks.json").read_text())["variables"]
    assert (settled["HOME"], settled["PIP_TIMEOUT"], settled["NETRC"]) == (
        str(tmp_path),
        "60",
        "/home/me/netrc",
    )
    assert own.environment["PIP_CONFIG_FILE"] == str(pips), "in its own home pip would not find it"
    written = json.dumps([host.to_json(), own.to_json()])
    for file in around.agents.rglob("*"):
        written += file.read_text(errors="replace") if file.is_file() else ""
    assert "hidden" not in written
    index, proxy = configuration.left_out(shell)
    assert index == (
        "PIP_INDEX_URL holds a login and is not handed to those who make environments; put the address into pip's own "
        "configuration instead, which they read: pip config set global.index-url ADDRESS"
    )
    assert proxy.startswith("https_proxy holds a login")
    assert proxy.endswith("pip config set global.proxy ADDRESS")
    assert configuration.left_out({"PIP_INDEX_URL": "https://host/simple"}) == []


@pytest.mark.parametrize("letters", [1, 60])
def test_sockets_in_the_temporary_folder_have_names_that_the_kernel_takes(
    around: Surroundings, letters: int
) -> None:
    around = dataclasses.replace(around, home=around.home / ("h" * letters))
    made = configuration.prepare(Slot("cpu-0", "cpu"), {}, around)
    place, deep = Path(made.environment["TMPDIR"]), Path(made.folder, "tmp")
    assert place == deep if len(str(deep)) <= 64 else len(str(place)) <= 64
    configuration.clean(Path(made.folder))
    assert place.resolve() == deep.resolve(), "a disk of its own, or a small /tmp, is no other for it"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    (place / "left").touch()
    configuration.clean(Path(made.folder))
    assert list(deep.iterdir()) == []
    configuration.leave(Path(made.folder))
    assert place.exists() is (place == deep)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("/etc")])
def test_a_name_that_somebody_else_took_is_not_used(
    around: Surroundings, make: Callable[[Path], object]
) -> None:
    around = dataclasses.replace(around, home=around.home / ("h" * 60))
    place = Path(configuration.prepare(Slot("cpu-0", "cpu"), {}, around).environment["TMPDIR"])
    make(place)
    try:
        made = configuration.prepare(Slot("cpu-0", "cpu"), {}, around)
        assert made.environment["TMPDIR"] == str(Path(made.folder, "tmp"))
        configuration.leave(Path(made.folder))
        assert os.path.lexists(place)
    finally:
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()


@pytest.mark.promise("container-credentials")
def test_only_the_owner_reads_what_holds_a_key(around: Surroundings) -> None:
    made = configuration.prepare(Slot("c-0", "c", in_container=True), {"s": "sha256:1"}, around)
    for path in (around.agents, *around.agents.rglob("*")):
        if "box" in path.parts[:-1]:  # code, which containers read, in a closed folder
            continue
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((Path(made.folder) / "clearml.conf").stat().st_mode) == 0o600


@pytest.mark.promise("gate-comes-first")
def test_a_containers_agent_finds_our_docker_first_and_the_gate_takes_its_policy(
    around: Surroundings,
) -> None:
    image = "sha256:" + "a" * 64
    slot = Slot(
        "gpu-container-1", "gpu-container", True, (2, 3), 1, cpus=2.0, memory_bytes=4 << 30, shm_bytes=2 << 30
    )
    made = configuration.prepare(slot, {"torch-2": image}, around)
    first = Path(made.environment["PATH"].split(":")[0]) / "docker"
    assert first.stat().st_mode & 0o100
    assert "stackyard.agents.gate" in first.read_text()
    assert {"--docker", "--standalone-mode", "--force-current-version"} <= set(made.command)
    assert made.command[-5:-2] != ("--cpu-only",)
    assert made.command[made.command.index("--gpus") :][:2] == ("--gpus", "1")
    text = Path(made.environment[configuration.POLICY_VARIABLE]).read_text()
    policy = container_rules.policy(json.loads(text))
    assert (policy.queue, policy.docker, policy.network) == ("gpu-container", "/usr/bin/docker", "host")
    assert policy.allowed == {image: "torch-2"}
    assert (policy.cpuset, policy.gpu) == ("2,3", 1)
    assert (policy.cpus, policy.memory_bytes, policy.shm_bytes) == (2, 4 << 30, 2 << 30)
    assert [(m.source, m.read_only) for m in policy.mounts] == [("/data", True), ("/scratch", False)]
    assert policy.labels == {configuration.SLOT_LABEL: made.environment[MARK]}
    assert policy.environment[MARK] == made.environment[MARK]
    assert SERVER.secret_key not in text


def test_a_changed_key_or_core_set_makes_another_start_necessary(
    around: Surroundings, tmp_path: Path
) -> None:
    def digest(cores: tuple[int, ...], server: Connection) -> str:
        other = Surroundings(tmp_path / "home", "host-one", server, python="/opt/agent/bin/python")
        return configuration.prepare(Slot("cpu-0", "cpu", cores=cores), {}, other).digest

    key = Connection(SERVER.api, SERVER.web, SERVER.files, "key", "another")
    assert digest((1,), SERVER) == digest((1,), SERVER)
    assert len({digest((1,), SERVER), digest((2,), SERVER), digest((1,), key)}) == 3


def test_the_authorities_of_a_server_that_speaks_tls_reach_agents_and_containers(
    around: Surroundings, tmp_path: Path
) -> None:
    told = replace(around, shell={"REQUESTS_CA_BUNDLE": "/etc/lab/ca.crt"})
    tls = replace(
        told, server=Connection("https://lab:8008", "https://lab:8080", "https://lab:8081", "k", "s")
    )

    def of(surroundings: Surroundings) -> tuple[str | None, dict[str, str], list[str]]:
        host = configuration.prepare(Slot("cpu-0", "cpu"), {}, surroundings)
        held = configuration.prepare(Slot("box-0", "box", in_container=True), {}, surroundings)
        policy = json.loads((Path(held.folder) / "policy.json").read_text())
        return host.environment.get("REQUESTS_CA_BUNDLE"), policy["environment"], policy["mounts"]

    on_host, in_container, mounts = of(tls)
    assert on_host == "/etc/lab/ca.crt"
    assert in_container["REQUESTS_CA_BUNDLE"] == "/etc/stackyard/authorities.crt"
    assert mounts[-1] == "/etc/lab/ca.crt:/etc/stackyard/authorities.crt:ro"
    on_host, in_container, mounts = of(told)
    assert on_host is None
    assert "REQUESTS_CA_BUNDLE" not in in_container
    assert mounts == list(around.mounts)


def test_a_template_with_an_unknown_value_is_refused(around: Surroundings, tmp_path: Path) -> None:
    template = tmp_path / "clearml.conf"
    template.write_text("agent { worker_id: @wroker@ }")
    with pytest.raises(BadInputError, match="@wroker@ is unknown"):
        configuration.configuration("w", tmp_path, around, template=template)


def test_containers_of_ordinary_tasks_get_a_copy_of_what_measures_that_anybody_reads(
    around: Surroundings,
) -> None:
    made = configuration.prepare(
        Slot("c-0", "c", in_container=True, default_stack="s"), {"s": "sha256:1"}, around
    )
    policy = json.loads((Path(made.folder) / "policy.json").read_text())
    settled = json.loads(Path(policy["tasks"]).read_text())
    assert (settled["images"], settled["default_stack"], settled["runs"]) == ({"s": "sha256:1"}, "s", None)
    box = Path(policy["box"])
    assert f"exec {configuration._IMAGE_PYTHON} -I -S -c" in (box / "python").read_text()
    assert os.access(box / "python", os.X_OK)
    code = box / "code" / "stackyard_task"
    assert (code / "interpreter.py").read_text() == Path(interpreter.__file__).read_text()
    for place in (box, *box.rglob("*")):
        assert stat.S_IMODE(place.stat().st_mode) & 0o044 == 0o044, place
    assert stat.S_IMODE(box.parent.stat().st_mode) == 0o700
    again = configuration.prepare(Slot("c-0", "c", in_container=True), {"s": "sha256:1"}, around)
    assert json.loads((Path(again.folder) / "policy.json").read_text())["box"] == policy["box"]
    host = configuration.prepare(Slot("h-0", "h"), {}, around)
    assert json.loads((Path(host.folder) / "tasks.json").read_text())["images"] is None
