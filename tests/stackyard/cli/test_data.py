"""``stackyard data``: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stackyard.cli.data import app
from stackyard.errors import BadInputError
from stackyard.machine import data


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STACKYARD_DATA", raising=False)
    return tmp_path


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_shows_every_set_and_whether_it_is_here(nowhere: Path) -> None:
    text = call("list")
    for data_set in data.known():
        assert data_set.name in text
        assert data_set.sha256[:8] in text
    assert str(nowhere / "home" / "data") in text.replace("\n", "")
    assert "CC BY 4.0" in text


def test_list_as_json_is_complete() -> None:
    value = json.loads(call("list", "--json"))
    assert [s["name"] for s in value["data_sets"]] == [s.name for s in data.known()]
    first = value["data_sets"][0]
    assert set(first) == {"name", "about", "licence", "source", "bytes", "sha256", "files"}
    assert len(first["files"][0]["sha256"]) == 64
    assert first["files"][0]["here"] is None


def test_one_set_shows_its_files_checksums_and_what_cannot_be_fetched() -> None:
    text = call("list", "hdfs_logdeep")
    for file in data.named("hdfs_logdeep").files:
        assert file.path in text
        assert file.sha256 in text
    assert "derived, not fetchable; made from: normal blocks" in text


def test_fetch_from_a_folder_then_list_and_verify(nowhere: Path) -> None:
    template = data.named("firewall_uci542").files[0]
    with pytest.raises(BadInputError, match="known are"):
        call("fetch", "nope")
    stick = nowhere / "stick" / "firewall_uci542"
    stick.mkdir(parents=True)
    (stick / template.path).write_bytes(b"wrong")
    with pytest.raises(Exception, match="sha256"):
        call("fetch", "firewall_uci542", "--from", str(nowhere / "stick"))
    with pytest.raises(BadInputError, match="get it with: stackyard data fetch firewall_uci542"):
        call("verify", "firewall_uci542")
    with pytest.raises(BadInputError, match="holds no data set"):
        call("verify")


def test_verify_tells_good_from_wrong_and_fails_on_wrong(nowhere: Path) -> None:
    folder = nowhere / "own"
    (folder / "hdfs_logdeep").mkdir(parents=True)
    (folder / "hdfs_logdeep" / "hdfs_train").write_bytes(b"1 2 3\n")
    result = CliRunner().invoke(app, ["verify", "--data", str(folder)])
    assert "wrong   hdfs_logdeep/hdfs_train" in result.stdout
    assert "absent  hdfs_logdeep/HDFS_templates.csv" in result.stdout
    assert isinstance(result.exception, BadInputError)
    assert "stackyard data fetch hdfs_logdeep" in str(result.exception)
    as_json = CliRunner().invoke(app, ["verify", "hdfs_logdeep", "--json", "--data", str(folder)])
    states = {s["file"]: s["state"] for s in json.loads(as_json.stdout)}
    assert states["hdfs_train"] == "wrong"
