"""The door of the command line, on real folders and real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stackyard_server import admin, identity
from stackyard_server.admin import AdminError, processes
from stackyard_server.store import Store, data_folder
from tests.stackyard_server.running import running_server
from tests.waiting import until

FREE_PORTS = {"web_port": 0, "api_port": 0, "files_port": 0}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A server in the background, and what its start said."""
    folder = tmp_path_factory.mktemp("admin") / "data"
    word = admin.start_background(folder, FREE_PORTS)
    yield folder, word
    assert admin.stop(folder) == word["pid"]


def login(word: dict[str, Any], name: str, secret: str) -> int:
    return httpx.get(f"{word['urls']['api']}/auth.login", auth=(name, secret)).status_code


def test_a_first_start_makes_an_administrator_and_keeps_no_secret(
    started: tuple[Path, dict[str, Any]],
) -> None:
    folder, word = started
    first = word["admin"]
    assert login(word, first["access_key"], first["secret_key"]) == 200
    assert login(word, first["login"], first["password"]) == 200
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert first["password"].encode() not in content, path
            assert first["secret_key"].encode() not in content, path


def test_nothing_in_the_folder_is_for_others(started: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = started
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_status_of_a_running_server(started: tuple[Path, dict[str, Any]]) -> None:
    folder, word = started
    found = admin.status(folder)
    assert found["running"]
    assert found["pid"] == word["pid"]
    assert found["urls"] == word["urls"]
    assert found["answers"] == {"web": True, "api": True, "files": True}
    assert found["problems"] == []
    assert found["disk"]["database_bytes"] > 0


def test_a_second_start_says_who_holds_the_folder(started: tuple[Path, dict[str, Any]]) -> None:
    folder, word = started
    with pytest.raises(AdminError, match=f"in use by process {word['pid']}"):
        admin.start_background(folder, FREE_PORTS)


def test_a_taken_port_is_said_by_the_start(started: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, word = started
    port = int(word["urls"]["api"].rpartition(":")[2])
    with pytest.raises(AdminError, match=f"Cannot listen on 127.0.0.1:{port}"):
        admin.start_background(tmp_path / "data", {**FREE_PORTS, "api_port": port})
    assert not data_folder.held(tmp_path / "data")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("nosuch.invalid", "Set host to an IP address of this machine, or to a name that it knows."),
        ("203.0.113.7", "Set host to an address of this machine."),
    ],
)
def test_a_host_that_is_not_this_machines_is_said_by_the_start(tmp_path: Path, host: str, said: str) -> None:
    told = admin.read_settings(tmp_path, {"host": host, "web_port": 0, "api_port": 0, "files_port": 0})
    mask = os.umask(0o077)
    try:
        with pytest.raises(AdminError, match=f"Cannot listen on {host}:0: ") as refused:
            admin.serve(told, lambda *_: None)
    finally:
        os.umask(mask)
    assert str(refused.value).endswith(said)


@pytest.mark.promise("empty-opens-nothing", on="command")
def test_an_empty_host_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match="--host: host is ''; expected an IP address") as refused:
        admin.start_background(tmp_path / "data", {"host": ""})
    assert refused.value.usage
    assert not (tmp_path / "data").exists()


def test_a_key_that_is_none_is_said_by_the_start(tmp_path: Path) -> None:
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).write_text("nonsense")
    options = {**FREE_PORTS, "tls_certificate": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}
    with pytest.raises(AdminError, match="TLS cannot be had from"):
        admin.start_background(tmp_path / "data", options)


def test_with_tls_every_address_is_https(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    asked = (
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 2 -subj /CN=localhost"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *asked.split(), *names], cwd=tmp_path, capture_output=True, check=True)
    options = {**FREE_PORTS, "tls_certificate": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}
    folder = tmp_path / "data"
    word = admin.start_background(folder, options)
    try:
        assert all(url.startswith("https://") for url in word["urls"].values())
        assert admin.status(folder)["problems"] == []
        admin.write_client_config(folder, tmp_path / "clearml.conf", "admin", replace=False)
        text = (tmp_path / "clearml.conf").read_text()
        assert all(f'"{url}"' in text for url in word["urls"].values())
        context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        first = word["admin"]
        answer = httpx.get(
            f"{word['urls']['api']}/auth.login",
            auth=(first["access_key"], first["secret_key"]),
            verify=context,
        )
        assert answer.status_code == 200
        assert "Secure" in answer.headers["set-cookie"]
        header = {"Authorization": f"Bearer {answer.json()['data']['token']}"}
        assert httpx.get(f"{word['urls']['files']}/x", headers=header, verify=context).status_code == 404
    finally:
        admin.stop(folder)


@pytest.mark.promise("other-processes-noticed", on="command")
def test_users_and_keys_change_while_the_server_runs(started: tuple[Path, dict[str, Any]]) -> None:
    folder, word = started
    admin.add_user(folder, "ann", "Ann", "user", "correct horse")
    assert login(word, "ann", "correct horse") == 200
    key = admin.add_credentials(folder, "ann", "laptop")
    token = httpx.get(f"{word['urls']['api']}/auth.login", auth=(key.access_key, key.secret_key)).json()
    header = {"Authorization": f"Bearer {token['data']['token']}"}
    assert httpx.get(f"{word['urls']['files']}/none", headers=header).status_code == 404
    admin.revoke_credentials(folder, key.access_key)
    assert login(word, key.access_key, key.secret_key) == 401
    assert httpx.get(f"{word['urls']['files']}/none", headers=header).status_code == 401, (
        "at once, on files too"
    )
    admin.set_password(folder, "ann", "another horse")
    assert login(word, "ann", "correct horse") == 401
    assert login(word, "ann", "another horse") == 200
    held = httpx.get(f"{word['urls']['api']}/auth.login", auth=("ann", "another horse")).json()["data"][
        "token"
    ]
    header = {"Authorization": f"Bearer {held}"}
    assert httpx.get(f"{word['urls']['files']}/none", headers=header).status_code == 404
    admin.end_sessions(folder, "ann")
    assert httpx.get(f"{word['urls']['files']}/none", headers=header).status_code == 401
    admin.disable_user(folder, "ann")
    assert login(word, "ann", "another horse") == 401
    assert [u["disabled"] for u in admin.list_users(folder) if u["login"] == "ann"] == [True]
    admin.enable_user(folder, "ann")
    assert login(word, "ann", "another horse") == 200
    admin.set_role(folder, "ann", "readonly")
    assert [u["role"] for u in admin.list_users(folder) if u["login"] == "ann"] == ["readonly"]
    admin.remove_user(folder, "ann")
    assert login(word, "ann", "another horse") == 401
    log = (folder / "server.log").read_text()
    for event in (
        "user_added",
        "credentials_added",
        "credentials_revoked",
        "password_changed",
        "sessions_ended",
        "user_disabled",
        "user_enabled",
        "role_changed",
        "user_removed",
    ):
        assert event in log
    assert "horse" not in log


@pytest.mark.promise("last-administrator", on="command")
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: admin.add_user(f, "bob", None, "king", "long enough"), "^role: one of "),
        (lambda f: admin.add_user(f, "bob", None, "user", "short"), "8 to 256 characters"),
        (lambda f: admin.add_user(f, "admin", None, "user", "long enough"), "the login 'admin' is taken"),
        (lambda f: admin.set_role(f, "admin", "user"), "only administrator"),
        (lambda f: admin.disable_user(f, "admin"), "only administrator"),
        (lambda f: admin.remove_user(f, "nobody"), "no user is called 'nobody'"),
        (lambda f: admin.revoke_credentials(f, "NONE"), "no access key is called 'NONE'"),
        (lambda f: admin.add_credentials(f, "nobody", None), "no user is called 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_said(started: tuple[Path, dict[str, Any]], call: Any, said: str) -> None:
    with pytest.raises(AdminError, match=said) as refused:
        call(started[0])
    assert refused.value.usage


def test_the_client_configuration(started: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, word = started
    path = tmp_path / "sub" / "clearml.conf"
    key = admin.write_client_config(folder, path, "admin", replace=False)
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name in ("web", "api", "files"):
        assert f'"{word["urls"][name]}"' in text
    assert "block_pickled_artifacts: true" in text
    assert 'CLEARML_BLOCK_PICKLED_ARTIFACTS: "1"' in text
    assert login(word, key.access_key, key.secret_key) == 200
    keys = len(admin.list_credentials(folder, "admin"))
    with pytest.raises(AdminError, match="left as it is"):
        admin.write_client_config(folder, path, "admin", replace=False)
    assert path.read_text() == text
    assert len(admin.list_credentials(folder, "admin")) == keys, "no key without a file"
    admin.write_client_config(folder, path, "admin", replace=True, host="labbox")
    assert "http://labbox:" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["clearml.conf"]


def test_a_configuration_does_not_follow_a_link(started: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    goal = tmp_path / "goal"
    goal.write_text("mine")
    path = tmp_path / "clearml.conf"
    path.symlink_to(goal)
    admin.write_client_config(started[0], path, "admin", replace=True)
    assert goal.read_text() == "mine"
    path.unlink()
    path.symlink_to(tmp_path / "absent")
    with pytest.raises(AdminError):
        admin.write_client_config(started[0], path, "admin", replace=False)
    assert not (tmp_path / "absent").exists()


def test_without_a_folder_there_is_nothing_to_administer(tmp_path: Path) -> None:
    for call in (admin.status, admin.verify, admin.list_users):
        with pytest.raises(AdminError, match="holds no server yet"):
            call(tmp_path / "none")
    assert admin.stop(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_stop_leaves_a_foreign_process_alone(tmp_path: Path) -> None:
    """The lock is held by one process and names another: a recycled pid."""
    lock = data_folder.FolderLock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        lock.note(pid=child.pid, started=1)
        try:
            with pytest.raises(AdminError, match="was left alone"):
                admin.stop(tmp_path)
            assert child.poll() is None
        finally:
            child.kill()
            lock.release()


def test_a_killed_server_is_seen_as_such_and_another_may_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    word = admin.start_background(folder, FREE_PORTS)
    handle = os.pidfd_open(word["pid"])
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.waitid(os.P_PIDFD, handle, os.WEXITED)
    os.close(handle)
    found = admin.status(folder)
    assert not found["running"]
    assert found["urls"] == {}
    assert "No server runs on this folder" in found["problems"][0]
    again = admin.start_background(folder, FREE_PORTS)
    assert again["admin"] is None, "shown once"
    assert admin.stop(folder) == again["pid"]


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.sys, "executable", "/bin/false")
    with pytest.raises(AdminError, match="ended at once with status 1"):
        admin.start_background(tmp_path / "data", FREE_PORTS)


def test_the_ports_it_listens_on_are_told_where_clients_come_another_way(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_server(folder, files_url="https://files.example.org:8443") as server:
        ports = admin.listening_ports(folder)
        assert f"http://127.0.0.1:{ports['api_port']}" == server.api
        assert admin.public_urls(folder)["files"] == "https://files.example.org:8443"
        assert ports["files_port"] not in (0, 8443)
    assert admin.listening_ports(folder) == {}


@pytest.mark.promise("last-administrator", on="command")
def test_an_administrator_nobody_can_sign_in_as_is_none(tmp_path: Path) -> None:
    """Taken over from another server, say: without password and key."""
    store = Store(tmp_path / "data")
    with store.writing() as tx:
        identity.found(tx, 0)
        identity.add_user(tx, 0, name="Ghost", role="admin")
        identity.add_user(tx, 0, name="Admin", role="user", login="admin", password="long enough")
    first = admin.ensure_admin(store)
    assert first is not None
    assert first.login == "admin2"
    assert admin.ensure_admin(store) is None
    store.close()
    for change in (admin.disable_user, admin.remove_user, lambda f, login: admin.set_role(f, login, "user")):
        with pytest.raises(AdminError, match="only administrator"):
            change(tmp_path / "data", "admin2")
    admin.remove_user(tmp_path / "data", "Ghost")


def test_a_folder_is_made_without_a_server_and_one_takes_it(tmp_path: Path) -> None:
    """As a playbook does it: the password is the operator's, and no other secret is made."""
    folder = tmp_path / "data"
    with pytest.raises(AdminError, match="8 to 256 characters"):
        admin.found(folder, "short")
    assert not folder.exists(), "a server would make an administrator of its own there"
    assert admin.found(folder, "long enough") == "admin"
    assert admin.found(folder, "another one") is None
    assert admin.list_credentials(folder, None) == []
    with running_server(folder) as server:
        answered = httpx.post(f"{server.api}/auth.login", auth=("admin", "long enough"))
        assert answered.status_code == 200
        assert httpx.post(f"{server.api}/auth.login", auth=("admin", "another one")).status_code == 401
        with pytest.raises(AdminError, match="in use by process"):
            admin.found(folder, "long enough")


def test_a_server_whose_starter_is_gone_ends_by_itself(tmp_path: Path) -> None:
    nobody, say = os.pipe()
    os.close(nobody)
    folder, log = tmp_path / "data", tmp_path / "log"
    ports = json.dumps({"web_port": 0, "api_port": 0, "files_port": 0})
    command = [sys.executable, "-m", "stackyard_server", "--folder", str(folder), "--options", ports]
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                [*command, "--say", str(say)], pass_fds=(say,), stdout=out, stderr=out, check=False
            )
    finally:
        os.close(say)
    assert done.returncode == 1
    text = log.read_text()
    assert "Whoever started the server is gone before it could answer: it ends." in text
    assert "Traceback" not in text
    assert not data_folder.held(folder)
    assert admin.verify(folder)["ok"]


@pytest.mark.parametrize("gone", [KeyboardInterrupt, SystemExit])
def test_whoever_is_interrupted_while_a_server_starts_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: type[BaseException]
) -> None:
    begun: list[int] = []

    def interrupted(number: int, patience_seconds: float) -> bytes:
        begun.append(
            until(lambda: (data_folder.read_lock(tmp_path) or {}).get("pid"), "a server that starts")
        )
        raise gone

    monkeypatch.setattr(processes, "_hear", interrupted)
    with pytest.raises(gone):
        admin.start_background(tmp_path, {"web_port": 0, "api_port": 0, "files_port": 0})
    assert data_folder.started_at(begun[0]) is None
    assert not data_folder.held(tmp_path)


def test_an_address_of_ipv6_is_in_brackets_wherever_it_is_shown(tmp_path: Path) -> None:
    ports = {"web_port": 0, "api_port": 0, "files_port": 0}
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    word = admin.start_background(tmp_path, {**ports, "host": "::1"})
    try:
        assert all(url.startswith("http://[::1]:") for url in word["urls"].values())
        assert admin.status(tmp_path)["answers"] == {"web": True, "api": True, "files": True}
        assert admin.public_urls(tmp_path) == word["urls"]
        port = admin.listening_ports(tmp_path)["api_port"]
        assert admin.public_urls(tmp_path, "::2")["api"] == f"http://[::2]:{port}"
    finally:
        admin.stop(tmp_path)
