"""Where a server is and who we are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.clearml import connection
from stackyard.errors import BadInputError
from stackyard.settings import Settings

TEXT = """
api {{ api_server: http://{name}:8008, web_server: http://{name}:8080, files_server: http://{name}:8081
       credentials {{ access_key: "{name}", secret_key: "s" }} }}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("API_HOST", "WEB_HOST", "FILES_HOST", "API_ACCESS_KEY", "API_SECRET_KEY", "CONFIG_FILE"):
        monkeypatch.delenv(f"CLEARML_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    (tmp_path / "clearml.conf").write_text(TEXT.format(name="ours"))
    return Settings(home=tmp_path)


def test_a_server_is_named_by_its_file_or_by_its_address(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other.conf"
    other.write_text(TEXT.format(name="theirs"))
    assert connection.at(settings, str(other)).access_key == "theirs"
    for address in ("http://ours:8008", "http://ours:8008/", "http://ours:8080"):
        assert connection.at(settings, address).access_key == "ours"


def test_a_key_goes_to_no_other_server(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no key is known for it \(known servers: http://ours:8008\)"):
        connection.at(settings, "http://theirs:8008")
    with pytest.raises(BadInputError, match="no such file"):
        connection.at(settings, str(tmp_path / "none.conf"))


def test_variables_of_another_server_do_not_change_a_file_that_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARML_API_HOST", "http://elsewhere:8008")
    assert connection.at(settings, str(tmp_path / "clearml.conf")).api == "http://ours:8008"


def test_who_signs_in_needs_addresses_alone_and_gets_no_key(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "addresses.conf"
    file.write_text(
        'api { api_server: "http://a:1/", web_server: "http://a:2", files_server: "http://a:3" }',
        encoding="utf-8",
    )
    found = connection.addresses(settings, file)
    assert (found.api, found.web, found.files) == ("http://a:1", "http://a:2", "http://a:3")
    assert (found.access_key, found.secret_key, found.token) == ("", "", None)
    with pytest.raises(BadInputError, match="access_key is missing"):
        connection.find(settings, file)
    file.write_text('api { api_server: "http://a:1", web_server: "http://a:2" }', encoding="utf-8")
    with pytest.raises(BadInputError, match="files_server is missing"):
        connection.addresses(settings, file)
