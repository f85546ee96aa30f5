"""Settings: which source goes first, and what cannot be used."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from stackyard_server import settings
from stackyard_server.settings import SettingsError


def test_options_before_environment_before_file_before_default(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(
        'api_port = 1\nweb_port = 2\nfiles_port = 3\ncors_origins = ["http://a"]\nwatchdog_minutes = 5\n'
    )
    environment = {
        "STACKYARD_SERVER_WEB_PORT": "20",
        "STACKYARD_SERVER_API_PORT": "10",
        "STACKYARD_SERVER_FOLDER": "/elsewhere",
        "STACKYARD_SERVER_FORMER_FILES_URLS": "http://a:1, http://b:2",
        "PATH": "/bin",
    }
    told = settings.read(tmp_path, {"api_port": 100, "host": None}, environment)
    assert (told.api_port, told.web_port, told.files_port) == (100, 20, 3)
    assert told.cors_origins == ("http://a",)
    assert told.former_files_urls == ("http://a:1", "http://b:2")
    assert told.watchdog_minutes == 5.0
    assert (told.host, told.folder) == ("127.0.0.1", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web_prot = 1", "no setting is called 'web_prot'"),
        ('web_port = "many"', "web_port is 'many'; expected a whole number from 0 to 65535"),
        ("web_port = 70000", "web_port is 70000; expected a whole number from 0 to 65535"),
        ("web_port = true", "web_port is True; expected a whole number"),
        ("api_port = -1", "api_port is -1; expected a whole number from 0"),
        ("files_port = 1.5", "files_port is 1.5; expected a whole number"),
        ("host = 1", "host is 1; expected an IP address"),
        ('host = "0"', "host is '0'; expected an IP address"),
        ('host = "0x0"', "host is '0x0'; expected an IP address"),
        ('host = "127.1"', "host is '127.1'; expected an IP address"),
        ('host = "[::1]"', "host is '[::1]'; expected an IP address"),
        ('host = "a..b"', "host is 'a..b'; expected an IP address"),
        ('host = " 127.0.0.1"', "host is ' 127.0.0.1'; expected an IP address"),
        ("cors_origins = [1]", "cors_origins is [1]; expected a list, each of them an origin"),
        ('cors_origins = "not an origin"', "cors_origins is 'not an origin'; expected a list"),
        ('cors_origins = ["http://a/page"]', "cors_origins is ['http://a/page']; expected a list"),
        ('cors_origins = ["*"]', "cors_origins is ['*']; expected a list"),
        ("token_seconds = 0", "token_seconds is 0; expected a whole number from 1 to 31536000"),
        ("token_seconds = nan", "token_seconds is nan; expected a whole number"),
        ("max_body_bytes = inf", "max_body_bytes is inf; expected a whole number from 1 to 1000000000"),
        ("max_body_bytes = 0", "max_body_bytes is 0; expected"),
        ("max_upload_bytes = -1", "max_upload_bytes is -1; expected a whole number from 1"),
        ("disk_budget_bytes = 0", "disk_budget_bytes is 0; expected a whole number from 1"),
        ("disk_budget_bytes = -5", "disk_budget_bytes is -5; expected"),
        ("watchdog_minutes = inf", "watchdog_minutes is inf; expected a number from 0 to 525600 (0: never)"),
        ("watchdog_minutes = nan", "watchdog_minutes is nan; expected a number"),
        ("watchdog_minutes = -5", "watchdog_minutes is -5; expected a number"),
        ("requeue_limit = 2.5", "requeue_limit is 2.5; expected a whole number from 0 to 100"),
        ("requeue_limit = 101", "requeue_limit is 101; expected"),
        ("time_limit_grace_seconds = -1", "time_limit_grace_seconds is -1; expected a number from 0"),
        ("time_limit_grace_seconds = nan", "time_limit_grace_seconds is nan; expected a number"),
        ('tls_key = "/etc/hostname"', "tls_key and tls_certificate go together: tls_certificate is missing"),
        ('tls_key = "/nowhere"', "tls_key is '/nowhere'; expected a file that is there"),
        (
            'files_url = "labbox:8081"',
            "files_url is 'labbox:8081'; expected an address that begins with http://",
        ),
        ('files_url = "http://h:99999"', "files_url is 'http://h:99999'; expected an address"),
        ('api_url = "http://me:secret@h"', "api_url is 'http://me:secret@h'; expected an address"),
        ('web_url = "https://h/?a=1"', "web_url is 'https://h/?a=1'; expected an address"),
        ('web_url = "https://"', "web_url is 'https://'; expected an address"),
        ('former_files_urls = ["garbage"]', "former_files_urls is ['garbage']; expected a list"),
        (
            'trusted_proxies = ["proxy.lan"]',
            "trusted_proxies is ['proxy.lan']; expected a list, each of them",
        ),
        ('trusted_proxies = ["10.0.0.5/24"]', "trusted_proxies is ['10.0.0.5/24']"),
        ('unknown_fields = "ignore"', "unknown_fields is 'ignore'; expected 'refuse' or 'log'"),
        ('webapp = "/nowhere"', "webapp: /nowhere: holds no index.html"),
        (f"max_body_bytes = 0x{'f' * 5000}", "max_body_bytes is a very large number; expected"),
        (f"max_body_bytes = {'9' * 5000}", "server.toml: "),
        ("web_port = ", "server.toml"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        settings.read(tmp_path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'server.toml'}: ")


#: What an empty text means: a list without anything in it. Everything else would mean more than was said.
EMPTY_IS_NONE = {"cors_origins", "trusted_proxies", "former_files_urls"}


@pytest.mark.promise("empty-opens-nothing", on="command")
@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(settings.ServerSettings)][1:])
def test_an_empty_text_is_no_value_wherever_it_is_said(tmp_path: Path, name: str) -> None:
    variable = f"STACKYARD_SERVER_{name.upper()}"
    if name in EMPTY_IS_NONE:
        assert getattr(settings.read(tmp_path, {name: ""}), name) == ()
        assert getattr(settings.read(tmp_path, None, {variable: ""}), name) == ()
        return
    for told, where in (
        (({name: ""}, None), f"--{name.replace('_', '-')}"),
        ((None, {variable: ""}), variable),
    ):
        with pytest.raises(SettingsError) as refused:
            settings.read(tmp_path, *told)
        assert str(refused.value).startswith(f"{where}: {name} is ''; expected ")


def test_every_setting_has_a_kind_that_takes_its_default() -> None:
    for given in dataclasses.fields(settings.ServerSettings)[1:]:
        if given.default is not None:
            assert settings.KINDS[given.name].read(given.default) == given.default


def test_what_is_written_otherwise_and_means_the_same_is_taken(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text('host = "0:0::0"\nmax_body_bytes = 2e6\nwatchdog_minutes = 0\n')
    told = settings.read(
        tmp_path, {"requeue_limit": "3"}, {"STACKYARD_SERVER_FILES_URL": "https://lab:8443/f/"}
    )
    assert (told.host, told.max_body_bytes, told.watchdog_minutes, told.requeue_limit) == (
        "::",
        2_000_000,
        0.0,
        3,
    )
    assert isinstance(told.max_body_bytes, int)
    assert told.public_url("files", 1) == "https://lab:8443/f"


def test_the_public_address() -> None:
    def told(**values: object) -> settings.ServerSettings:
        return settings.read(Path("/data"), values)

    assert told().public_url("files", 8081) == "http://127.0.0.1:8081"
    assert told(host="::1").public_url("files", 1) == "http://[::1]:1"
    for everywhere in ("0.0.0.0", "::", "0::0", "::ffff:0.0.0.0"):
        assert told(host=everywhere).public_url("files", 1) is None
    assert told(host="0.0.0.0", files_url="https://lab/files/").public_url("files", 1) == "https://lab/files"


def test_the_docs_name_every_setting_and_no_other() -> None:
    page = Path(__file__).parents[2] / "docs" / "server.md"
    text = page.read_text(encoding="utf-8").partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {f.name for f in dataclasses.fields(settings.ServerSettings)} - {"folder"}
