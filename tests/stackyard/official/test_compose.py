"""docker-compose.yml on a real engine with stand-in images: what starts, what is refused, backup and restore."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard.cli import main
from stackyard.errors import StackyardError
from stackyard.official import backup, installation
from tests.compose import check, plugin
from tests.compose.stack import Stack, running, standin_image
from tests.stackyard.official.test_installation import DEFAULTS, DOCUMENTED

pytestmark = pytest.mark.engine
#: Two whole stacks after another: minutes.
long_only = pytest.mark.skipif(
    not os.environ.get("STACKYARD_LONG"), reason="backup and restore on stand-ins: STACKYARD_LONG=1"
)


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    try:
        return plugin.environment()
    except plugin.MissingError as reason:
        pytest.skip(f"compose-check: {reason}")


@pytest.fixture(scope="module")
def image(variables: dict[str, str]) -> Iterator[str]:
    try:
        with standin_image(variables) as name:
            yield name
    except plugin.MissingError as reason:
        pytest.skip(f"compose-check: {reason}")


@pytest.fixture(scope="module")
def up(variables: dict[str, str], image: str) -> Iterator[Stack]:
    with running(variables, image) as stack:
        yield stack


@pytest.mark.long
def test_everything_is_healthy_and_only_the_front_is_published(up: Stack) -> None:
    check.check_running(up)


@pytest.mark.long
def test_compose_itself_renders_no_published_default(up: Stack) -> None:
    config = up.rendered(plain=True)
    check.check_file(config)
    text = json.dumps(config)
    assert [default for default in DEFAULTS if default in text] == []
    values = installation.read_env(up.folder)
    drawn = {values[name] for name in (*installation.KEYS, *installation.SECRETS)}
    assert {config["services"]["apiserver"]["environment"][name] for name in DOCUMENTED} <= drawn


@pytest.mark.parametrize(
    ("service", "change", "says"),
    [
        ("mongo", {"ports": [{"host_ip": "0.0.0.0", "published": "27017", "target": 27017}]}, "publishes"),
        ("agent", {"privileged": True}, "privileged"),
        ("redis", {"mem_limit": None}, "memory limit"),
        ("apiserver", {"image": "clearml/server:latest"}, "not pinned"),
        ("agent", {"volumes": [{"source": "/var/run/docker.sock"}]}, "socket"),
        ("elasticsearch", {"networks": {"stores": None, "edge": None}}, "another network"),
        ("webserver", {"cap_drop": None}, "capabilities"),
    ],
)
@pytest.mark.long
def test_the_check_sees_what_it_is_for(up: Stack, service: str, change: dict[str, Any], says: str) -> None:
    config = copy.deepcopy(up.rendered(plain=True))
    config["services"][service].update(change)
    if change.get("cap_drop", 0) is None:
        config["services"][service]["cap_drop"] = []
    with pytest.raises(AssertionError, match=says):
        check.check_file(config)


@pytest.mark.long
@pytest.mark.parametrize("program", ["elasticsearch", "apiserver", "fileserver", "redis_exporter"])
def test_a_stand_in_without_its_secrets_ends(image: str, program: str) -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", image, program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "stand-in" in done.stderr or "KeyError" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLEARML__SECURE__AUTH__TOKEN_SECRET", "short", "no generated secret"),
        ("CLEARML_REDIS_SERVICE_PASSWORD", "x" * 40, "Redis does not take"),
        ("CLEARML_ELASTIC_SERVICE_PASSWORD", "x" * 40, "Elasticsearch: HTTP Error 401"),
        ("CLEARML_MONGODB_SERVICE_CONNECTION_STRING", "mongodb://mongo:27017", "MongoDB does not take"),
    ],
)
@pytest.mark.long
def test_the_api_server_does_not_start_with_a_wrong_secret(
    up: Stack, name: str, value: str, says: str
) -> None:
    done = up.compose(
        "run", "--rm", "--no-deps", "-T", "-e", f"{name}={value}", "apiserver", "apiserver", check=False
    )
    assert done.returncode
    assert says in done.stderr


@pytest.mark.long
def test_compose_refuses_an_env_without_a_secret(up: Stack) -> None:
    env = up.folder / ".env"
    before = env.read_text()
    try:
        env.write_text(before.replace("CLEARML_TOKEN_SECRET=", "CLEARML_TOKEN_SECRET_GONE="))
        done = up.compose("config", check=False)
    finally:
        env.write_text(before)
    assert done.returncode
    assert "stackyard official init" in done.stderr


@pytest.mark.long
def test_stores_answer_nobody_outside_their_network(up: Stack) -> None:
    containers = up.containers()
    for name in ("elasticsearch", "mongo", "redis"):
        networks = containers[name]["NetworkSettings"]["Networks"]
        assert {network.removeprefix(f"{up.project}_") for network in networks} == {"stores"}
    # The web server and the agent have no way to the stores, the API server none to the outside.
    for service, host in (
        ("webserver", "mongo:27017"),
        ("agent", "redis:6379"),
        ("apiserver", "192.0.2.1:80"),
    ):
        name, _, port = host.partition(":")
        script = f"import socket; socket.create_connection(({name!r}, {port}), timeout=3)"
        done = up.compose("exec", "-T", service, "python3", "-c", script, check=False)
        assert done.returncode, f"{service} reaches {host}"


@long_only
@pytest.mark.long
def test_a_backup_restores_into_a_new_installation(
    up: Stack, variables: dict[str, str], image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = up.folder / "data" / "data" / "fileserver" / "lab" / "weights.bin"
    uploaded.parent.mkdir(exist_ok=True)
    uploaded.write_bytes(b"weights")
    for name, value in up.variables.items():
        monkeypatch.setenv(name, value)
    target = tmp_path / "backup"
    said: list[str] = []
    manifest = backup.backup(up.folder, target, said.append)
    assert said[0].startswith("stopping")
    assert said[-1] == "starting again"
    assert backup.verify(target) == manifest
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    assert (target / backup.MONGO).read_bytes() == b"an archive of the stand-in\n"
    assert not any((up.folder / "data" / "snapshots").iterdir()), "the snapshot's copy stays behind"
    up.up()  # what was stopped comes back, healthy
    assert main.run(["official", "backup", str(target), "--folder", str(up.folder)]) == 2, (
        "a backup is a new folder"
    )
    with pytest.raises(StackyardError, match="not empty"):
        backup.restore(target, up.folder, said.append)
    new = Stack(tmp_path, variables, image) if not (tmp_path / "docker-compose.yml").exists() else None
    assert new is not None
    for name, value in new.variables.items():
        monkeypatch.setenv(name, value)
    try:
        backup.restore(target, new.folder, said.append)
        assert (
            new.folder / "data" / "data" / "fileserver" / "lab" / "weights.bin"
        ).read_bytes() == b"weights"
        services = {name: one["State"]["Health"]["Status"] for name, one in new.containers().items()}
        assert services["front"] == services["apiserver"] == "healthy"
    finally:
        new.down()


@long_only
@pytest.mark.long
def test_a_failed_backup_starts_the_server_again_and_leaves_nothing(
    up: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in up.variables.items():
        monkeypatch.setenv(name, value)
    password = up.folder / "server" / "secrets" / "mongo_root_password"
    right = password.read_text()
    with password.open("r+") as file:  # in place: it is mounted
        file.write("x" * len(right))
    try:
        with pytest.raises(StackyardError, match="Authentication failed"):
            backup.backup(up.folder, tmp_path / "backup", lambda _: None)
    finally:
        with password.open("r+") as file:
            file.write(right)
    assert not (tmp_path / "backup").exists()
    up.up()
