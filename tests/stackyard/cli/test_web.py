"""``stackyard web``: what it is told is checked before anything listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.cli.main import run
from stackyard.cli.web import checked_url
from stackyard.errors import BadInputError


@pytest.mark.parametrize("url", ["https://lab.example", "http://lab.example:8090/", "http://[fd00::1]:8090"])
def test_an_address_that_browsers_use(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "lab.example",
        "ftp://lab.example",
        "https://lab.example/stackyard",
        "http://a@b",
        "http://a:x",
        "http://?q",
        "",
    ],
)
def test_one_that_is_none_is_one_sentence(url: str) -> None:
    with pytest.raises(BadInputError, match=r"expected http:// or https:// and a host"):
        checked_url(url)


def test_what_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path))
    file = tmp_path / "file"
    file.touch()
    assert run(["web", "--reports", str(file)]) == 2
    assert "no folder" in capsys.readouterr().err
    assert run(["web", "--port", "65536"]) == 2
    assert run(["web", "--config", str(tmp_path / "nowhere.conf")]) == 2
    assert "cannot be read" in capsys.readouterr().err
