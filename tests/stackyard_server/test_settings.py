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
        ('web_port = "many"', "web_port is 'many'; expected a value of type int"),
        ("web_port = 70000", "expected 0 to 65535"),
        ("web_port = true", "web_port is True"),
        ("host = 1", "host is 1; expected a value of type str"),
        ("cors_origins = [1]", "expected a list of texts"),
        ("token_seconds = 0", "expected more than 0"),
        ('tls_key = "/nowhere"', "go together"),
        ('files_url = "labbox:8081"', "begins with http://"),
        ('trusted_proxies = ["proxy.lan"]', "trusted_proxies names 'proxy.lan'; expected an address"),
        ('trusted_proxies = ["10.0.0.5/24"]', "names '10.0.0.5/24'"),
        ('webapp = "/nowhere"', "holds no index.html"),
        ("web_port = ", "server.toml"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(SettingsError, match=said.replace("(", r"\(")):
        settings.read(tmp_path)


def test_the_public_address() -> None:
    def told(**values: object) -> settings.ServerSettings:
        return settings.read(Path("/data"), values)

    assert told().public_url("files", 8081) == "http://127.0.0.1:8081"
    assert told(host="::1").public_url("files", 1) == "http://[::1]:1"
    assert told(host="0.0.0.0").public_url("files", 1) is None
    assert told(host="0.0.0.0", files_url="https://lab/files/").public_url("files", 1) == "https://lab/files"


def test_the_docs_name_every_setting_and_no_other() -> None:
    page = Path(__file__).parents[2] / "docs" / "server.md"
    text = page.read_text(encoding="utf-8").partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {f.name for f in dataclasses.fields(settings.ServerSettings)} - {"folder"}
