"""What `stackyard official init` makes: secrets, files, sizes, certificate; and that nothing of it is a default."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from stackyard.cli import main
from stackyard.errors import BadInputError, NotRunnableError
from stackyard.official import archives, backup, installation, keys, sizing
from stackyard_server import identity
from tests.compose import plugin
from tests.compose.stack import ROOT, copy_installation
from tests.stackyard_server.running import running_server

DEFAULTS = [
    line
    for line in (ROOT / "tests" / "compose" / "published_defaults.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
#: What people leave in a hurry, as a whole value.
CARELESS = {
    "changeme",
    "password",
    "secret",
    "admin",
    "clearml",
    "elastic",
    "root",
    "12345678",
    "123456",
    "default",
    "",
}
#: ClearML's documentation, "Securing ClearML Server": the settings with published defaults.
DOCUMENTED = [
    "CLEARML__SECURE__HTTP__SESSION_SECRET__APISERVER",
    "CLEARML__SECURE__AUTH__TOKEN_SECRET",
    *(
        f"CLEARML__SECURE__CREDENTIALS__{who}__USER_{what}"
        for who in ("APISERVER", "FILESERVER", "WEBSERVER", "TESTS")
        for what in ("KEY", "SECRET")
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    path.mkdir()
    copy_installation(path)
    return path


def wanted(folder: Path, **more: Any) -> installation.Wanted:
    values: dict[str, Any] = {"name": "clearml.test", "data": folder / "data", "memory_mb": 16000, **more}
    return installation.Wanted(**values)


def everything(folder: Path) -> dict[str, bytes]:
    paths = [folder / ".env", *(folder / "server" / "secrets").iterdir()]
    return {path.name: path.read_bytes() for path in paths}


def rendered(folder: Path) -> dict[str, Any]:
    """The compose file with the variables of .env in place, as the specification says; Compose itself renders it in
    the engine's tests."""
    values = installation.read_env(folder)

    def put(found: re.Match[str]) -> str:
        value = values.get(found[1]) or (found[3] if found[2] == ":-" else None)
        assert value, f"{found[0]} has no value"
        return value

    text = re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", put, (folder / "docker-compose.yml").read_text())
    config: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    return config


def test_secrets_are_long_distinct_and_only_their_owners(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    values = installation.read_env(folder)
    drawn = [values[name] for name in (*installation.KEYS, *installation.SECRETS)]
    kept_in = folder / "server" / "secrets"
    drawn += [(kept_in / name).read_text() for name in ("mongo_root_password", "prometheus_password")]
    assert len(set(drawn)) == len(drawn) == 15
    for value in drawn:
        assert len(value) >= 30
        assert value.isalnum()
        assert value[0].isalpha(), "ClearML would read it as a number"
    for path in [folder / ".env", *kept_in.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(kept_in.stat().st_mode) == 0o700


def test_two_installations_share_nothing(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    copy_installation(other)
    for path in (folder, other):
        installation.install(path, wanted(path))
    one, two = everything(folder), everything(other)
    assert set(one) == set(two)
    assert [name for name in one if one[name] == two[name] and one[name]] == []


def test_a_second_run_changes_nothing(folder: Path) -> None:
    assert installation.install(folder, wanted(folder)).password
    before = everything(folder)
    again = installation.install(folder, wanted(folder, name="another.name", memory_mb=32000))
    assert again.made == []
    assert again.password is None, "a password that is not the login's must not be shown"
    assert everything(folder) == before


def test_what_follows_from_env_is_made_again(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    before = everything(folder)
    for name in (
        "elastic_password",
        "redis.conf",
        "mongo_clearml_password",
        "apiserver.conf",
        "prometheus-web.yml",
    ):
        (folder / "server" / "secrets" / name).unlink()
    (folder / "data" / "data" / "mongo" / "db" / "WiredTiger").touch()
    installation.install(folder, wanted(folder))
    after = everything(folder)
    web = after.pop("prometheus-web.yml").decode()
    hashed = re.search(r'"(\$2b\$[^"]+)"', web)
    assert hashed
    assert bcrypt.checkpw(before["prometheus_password"], hashed[1].encode())
    del before["prometheus-web.yml"]
    assert after == before


def test_secrets_without_their_env_are_refused(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    (folder / ".env").unlink()
    before = {path.name: path.read_bytes() for path in (folder / "server" / "secrets").iterdir()}
    with pytest.raises(BadInputError, match="belong together"):
        installation.install(folder, wanted(folder))
    assert {path.name: path.read_bytes() for path in (folder / "server" / "secrets").iterdir()} == before
    assert not (folder / ".env").exists()


def test_a_password_databases_were_made_with_is_not_drawn_anew(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    (folder / "server" / "secrets" / "mongo_root_password").unlink()
    (folder / "data" / "data" / "mongo" / "db" / "WiredTiger").touch()
    with pytest.raises(BadInputError, match="mongo_root_password is missing but"):
        installation.install(folder, wanted(folder))


def test_half_a_certificate_is_refused(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    (folder / "server" / "secrets" / "tls.key").unlink()
    with pytest.raises(BadInputError, match=r"not all of tls\.key"):
        installation.install(folder, wanted(folder))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "a b"}, "no host name"),
        ({"name": "x;touch /tmp/x"}, "no host name"),
        ({"data": Path("relative")}, "absolute path"),
        ({"data": Path("/opt/with space")}, "absolute path"),
        ({"admin": "a"}, "3 to 64"),
        ({"ports": {"WEB_PORT": 8008}}, "the same"),
    ],
)
def test_what_cannot_be_used_leaves_nothing_behind(folder: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        installation.install(folder, wanted(folder, **given))
    assert not (folder / ".env").exists()
    assert not (folder / "server" / "secrets").exists()


def test_a_small_machine_is_told_of_the_embedded_server(folder: Path) -> None:
    with pytest.raises(NotRunnableError, match="stackyard server start"):
        installation.install(folder, wanted(folder, memory_mb=4000))


def test_no_published_default_in_the_rendered_configuration(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    text = yaml.safe_dump(rendered(folder)) + "".join(
        path.read_text() for path in (folder / "server").rglob("*") if path.is_file()
    )
    text += (folder / ".env").read_text()
    assert [default for default in DEFAULTS if default in text] == []


def test_every_documented_secret_is_overridden_by_a_generated_one(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    config, values = rendered(folder), installation.read_env(folder)
    drawn = {values[name] for name in (*installation.KEYS, *installation.SECRETS)}
    given = config["services"]["apiserver"]["environment"]
    for name in DOCUMENTED:
        assert given[name] in drawn, name
    assert given["CLEARML__APISERVER__CHECK_FOR_UPDATES__ENABLED"] == "false"
    for service, about in config["services"].items():
        for name, value in about.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|_KEY$", name) and not str(value).startswith("/run/secrets/"):
                assert str(value).lower() not in CARELESS, f"{service}: {name}"
                if name != "CLEARML_PASSWORD_FILE":
                    assert value in drawn, f"{service}: {name} was not generated"


def test_no_service_gets_secrets_it_has_no_use_for(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    services, values = rendered(folder)["services"], installation.read_env(folder)
    for name in ("webserver", "front", "redis", "mongo", "elasticsearch", "prometheus", "agent"):
        text = yaml.safe_dump(services[name])
        assert [key for key in (*installation.KEYS, *installation.SECRETS) if values[key] in text] == [], name
    files = yaml.safe_dump(services["fileserver"])
    for name in (
        "ELASTIC_PASSWORD",
        "MONGO_CLEARML_PASSWORD",
        "CLEARML_APISERVER_SECRET",
        "CLEARML_TESTS_SECRET",
    ):
        assert values[name] not in files, name


def test_compose_refuses_to_start_without_the_secrets() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    first = {name: text.index(f"${{{name}") for name in (*installation.KEYS, *installation.SECRETS)}
    for name, place in first.items():
        assert text[place:].startswith(f"${{{name}:?"), f"{name} may be empty"


def test_no_health_check_puts_a_password_on_a_command_line() -> None:
    """Every user of the machine reads the list of processes; the shell's own words are not in it."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    checks = {
        name: " ".join(about["healthcheck"]["test"])
        for name, about in services.items()
        if "healthcheck" in about
    }
    assert len(checks) >= 8
    for name, command in checks.items():
        for part in re.split(r"[|;]|&&", command):
            if "$(cat" in part:
                assert re.search(r"CMD-SHELL printf |^\s*printf |[A-Z]+=\$+\(cat [^)]*\)", part), (name, part)
        assert "--password" not in command, name


def test_image_references_stand_once() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    images = re.findall(r"^ +image: ([^\s$]+)$", text, re.MULTILINE)
    assert len(images) == 8
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for image in images:
        assert re.search(r":v?\d+\.\d+\.\d+", image), f"{image} is not pinned"
        holders = [
            name
            for name in listed
            if (ROOT / name).is_file() and image.encode() in (ROOT / name).read_bytes()
        ]
        assert holders in ([], ["docker-compose.yml"]), f"{image} stands in {holders}"
        assert text.count(image) == 1


def test_the_web_password_is_hashed_and_kept_nowhere(folder: Path) -> None:
    done = installation.install(folder, wanted(folder, admin="operator"))
    assert done.login == "operator"
    assert done.password
    assert done.password not in repr(done)
    for name, content in everything(folder).items():
        assert done.password.encode() not in content, name
    conf = (folder / "server" / "secrets" / "apiserver.conf").read_text()
    hashed = re.search(r'username: "operator", password: "([^"]+)"', conf)
    assert hashed
    assert bcrypt.checkpw(done.password.encode(), base64.b64decode(hashed[1]))
    for line in (
        "pass_hashed: true",
        "secure: true",
        "httponly: true",
        'origins: "https://clearml.test:8080"',
    ):
        assert line in conf


def test_the_configuration_is_hocon_the_server_can_read(folder: Path) -> None:
    import pyhocon

    installation.install(folder, wanted(folder))
    installation.set_user(folder, "jane", "a password of hers", 'Jane "J" Doe')
    parsed = pyhocon.ConfigFactory.parse_file(str(folder / "server" / "secrets" / "apiserver.conf"))
    users = parsed["auth.fixed_users.users"]
    assert [user["username"] for user in users] == ["admin", "jane"]
    assert users[1]["name"] == 'Jane "J" Doe'
    services = pyhocon.ConfigFactory.parse_file(str(folder / "server" / "config" / "services.conf"))
    assert services["tasks.non_responsive_tasks_watchdog.threshold_sec"] == 3600


def test_a_user_is_added_or_gets_another_password_in_place(folder: Path) -> None:
    installation.install(folder, wanted(folder))
    conf = folder / "server" / "secrets" / "apiserver.conf"
    inode = conf.stat().st_ino
    assert installation.set_user(folder, "jane", "first password")
    assert not installation.set_user(folder, "jane", "second password")
    assert conf.stat().st_ino == inode, "the container's mount would stay on the old file"
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    users = json.loads((folder / "server" / "secrets" / "users.json").read_text())
    (jane,) = [user for user in users if user["username"] == "jane"]
    assert bcrypt.checkpw(b"second password", base64.b64decode(jane["password"]))
    with pytest.raises(BadInputError, match="72 bytes"):
        installation.set_user(folder, "jane", "x" * 73)


@pytest.mark.parametrize("memory_mb", [7400, 7900, 16000, 24000, 64000, 512000])
def test_limits_fit_the_machine_and_the_heap_its_limit(memory_mb: int) -> None:
    values = sizing.sizes(memory_mb)
    always = sum(
        int(v) for n, v in values.items() if n.endswith("_LIMIT_MB") and not n.startswith(("AGENT", "PROM"))
    )
    assert always <= memory_mb * 0.87, "nothing is left for the page cache"
    assert int(values["ELASTIC_HEAP_MB"]) * 2 <= int(values["ELASTIC_LIMIT_MB"])
    assert int(values["ELASTIC_HEAP_MB"]) <= 31 * 1024, "above, the JVM's pointers double"
    assert float(values["MONGO_CACHE_GB"]) * 1024 <= int(values["MONGO_LIMIT_MB"]) / 2
    assert int(values["REDIS_MEMORY_MB"]) < int(values["REDIS_LIMIT_MB"])


def test_memory_of_the_machine() -> None:
    assert sizing.memory_of_machine("MemFree: 1 kB\nMemTotal:       16384000 kB\n") == 16000


def test_the_command_line_says_the_login_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "official",
        "init",
        "--folder",
        str(folder),
        "--data",
        str(folder / "data"),
        "--memory-mb",
        "16000",
    ]
    assert main.run(command) == 0
    said = capsys.readouterr().out
    assert re.search(r"password \S{20}\n", said)
    assert "docker compose up -d --wait" in said
    assert main.run(command) == 0
    again = capsys.readouterr().out
    assert "nothing was changed" in again
    assert "password" not in again
    assert main.run([*command[:2], "--folder", str(folder / "nowhere")]) == 2
    assert "docker-compose.yml" in capsys.readouterr().err


def test_a_key_for_the_sdk_over_tls_with_our_own_authority(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.install(folder, wanted(folder, name="localhost"))
    kept_in = folder / "server" / "secrets"
    tls = {"tls_certificate": kept_in / "tls.crt", "tls_key": kept_in / "tls.key"}
    monkeypatch.setenv("SSL_CERT_FILE", str(kept_in / "ca.crt"))  # for the test's own client
    trusted = ssl.create_default_context(cafile=str(kept_in / "ca.crt"))
    trusted.verify_flags |= ssl.VERIFY_X509_STRICT
    with running_server(**tls) as server:
        with server.store.writing() as tx:
            identity.add_user(tx, 0, name="jane", role="user", login="jane", password="a long password")
        port = int(server.api.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            trusted.wrap_socket(plain, server_hostname="localhost"),
        ):  # a strict client agrees with the certificate
            pass
        env = folder / ".env"
        env.write_text(re.sub(r"API_PORT=\d+", f"API_PORT={port}", env.read_text()))
        key = keys.write(folder, "jane", "a long password", tmp_path / "clearml.conf")
        server.client.close()  # or the server waits for it to go
    text = (tmp_path / "clearml.conf").read_text()
    assert key in text
    assert f'api_server: "https://localhost:{port}"' in text
    assert stat.S_IMODE((tmp_path / "clearml.conf").stat().st_mode) == 0o600
    with pytest.raises(BadInputError, match="left as it is"):
        keys.write(folder, "jane", "a long password", tmp_path / "clearml.conf")


def test_a_changed_backup_is_found(tmp_path: Path) -> None:
    (tmp_path / "stamp").mkdir()
    for name in backup.PARTS:
        if name == backup.MONGO:
            (tmp_path / name).write_bytes(name.encode())
        else:
            archives.pack(tmp_path / name, tmp_path, *(["stamp"] if name == backup.ELASTIC else []))
    manifest = {
        "api_version": 1,
        "made_at": "now",
        "parts": {n: backup._about(tmp_path / n) for n in backup.PARTS},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    found = backup.verify(tmp_path)
    assert {**manifest, "digest": found["digest"]} == found
    assert backup.verify(tmp_path, found["digest"].upper().removeprefix("SHA256:")) == found
    with pytest.raises(BadInputError, match="not the backup of that digest"):
        backup.verify(tmp_path, "sha256:" + "0" * 64)
    (tmp_path / backup.MONGO).write_bytes(b"mongo.archive.gX")
    with pytest.raises(BadInputError, match=r"mongo\.archive\.gz is not what"):
        backup.verify(tmp_path)
    (tmp_path / backup.MONGO).unlink()
    with pytest.raises(BadInputError, match="is missing"):
        backup.verify(tmp_path)


def test_what_a_killed_backup_left_is_named_as_such(folder: Path, tmp_path: Path) -> None:
    installation.install(folder, wanted(folder))
    target = tmp_path / "monday"
    target.mkdir()
    with pytest.raises(BadInputError, match=r"monday exists; a backup is a new folder"):
        backup.backup(folder, target, print)
    (target / backup.MONGO).touch()
    with pytest.raises(
        BadInputError, match=r"monday is what a broken-off backup left, secrets in it: remove it"
    ):
        backup.backup(folder, target, print)


def test_settings_of_a_backup_go_into_a_checkout_without_any(folder: Path, tmp_path: Path) -> None:
    installation.install(folder, wanted(folder))
    (tmp_path / "backup").mkdir()
    archives.pack(tmp_path / "backup" / backup.SETTINGS, folder, ".env", "server/secrets")
    other = tmp_path / "other"
    other.mkdir()
    copy_installation(other)
    backup.restore_settings(tmp_path / "backup", other)
    assert everything(other) == everything(folder)
    assert {
        path.stat().st_mode & 0o777 for path in [other / ".env", *(other / "server" / "secrets").iterdir()]
    } == {0o600}
    assert installation.install(other, installation.Wanted()).made == [], "it is complete"
    with pytest.raises(BadInputError, match="there already"):
        backup.restore_settings(tmp_path / "backup", other)


def test_debian_source_is_this_machines_own(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    with pytest.raises(plugin.MissingError, match="no Debian source"):
        plugin.debian_source(tmp_path)
    (tmp_path / "sources.list").write_text("deb http://mirror.test/debian bookworm main contrib\n")
    assert plugin.debian_source(tmp_path) == "deb http://mirror.test/debian trixie main\n"
    (tmp_path / "sources.list.d" / "a.sources").write_text(
        "Types: deb\nURIs: http://other.test/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://other.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/k.gpg\n"
    )
    assert (
        plugin.debian_source(tmp_path)
        == "deb [signed-by=/usr/share/keyrings/k.gpg] http://other.test/debian trixie main\n"
    )
