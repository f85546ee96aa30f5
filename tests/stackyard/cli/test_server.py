"""``stackyard server`` as a user meets it: output, exit status, one sentence on stderr."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stackyard.cli import main
from tests.waiting import PATIENCE_SECONDS

FREE_PORTS = ["--web-port", "0", "--api-port", "0", "--files-port", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a server in the background."""
    data = tmp_path_factory.mktemp("server") / "data"
    assert main.run(["server", "start", "--background", "--folder", str(data), *FREE_PORTS]) == 0
    yield data
    assert main.run(["server", "stop", "--folder", str(data)]) == 0


def run(folder: Path, *arguments: str) -> int:
    return main.run(["server", *arguments, "--folder", str(folder)])


def test_status_names_addresses_and_contents(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "status") == 0
    out = capsys.readouterr().out
    assert out.startswith("running (process ")
    assert len(re.findall(r"http://127\.0\.0\.1:\d+  answers", out)) == 3
    assert "!" not in out
    assert run(folder, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["running"] is True


def test_a_user_from_the_command_line_signs_in(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "user", "add", "ann", "--role", "readonly") == 0
    password = capsys.readouterr().out.rpartition("shown once: ")[2].strip()
    run(folder, "status", "--json")
    api = json.loads(capsys.readouterr().out)["urls"]["api"]
    assert httpx.get(f"{api}/auth.login", auth=("ann", password)).status_code == 200
    monkeypatch.setattr("sys.stdin", _Lines("a new password\n"))
    assert run(folder, "user", "password", "ann", "--password-stdin") == 0
    assert "a new password" not in capsys.readouterr().out
    assert httpx.get(f"{api}/auth.login", auth=("ann", "a new password")).status_code == 200
    assert run(folder, "user", "role", "ann", "user") == 0
    assert run(folder, "user", "list", "--json") == 0
    out = capsys.readouterr().out
    listed = json.loads(out[out.index("{") :])["users"]
    assert [(u["login"], u["role"]) for u in listed] == [("admin", "admin"), ("ann", "user")]
    assert run(folder, "user", "remove", "ann", "--yes") == 0


class _Lines:
    def __init__(self, text: str) -> None:
        self.text = text

    def readline(self) -> str:
        return self.text

    def isatty(self) -> bool:
        return False


def test_keys_are_made_listed_without_secrets_and_revoked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "credentials", "create", "admin", "--label", "ci", "--json") == 0
    key = json.loads(capsys.readouterr().out)
    assert run(folder, "credentials", "list") == 0
    out = capsys.readouterr().out
    assert key["access_key"] in out
    assert key["secret_key"] not in out
    assert run(folder, "credentials", "revoke", key["access_key"]) == 0
    assert run(folder, "credentials", "list", "admin") == 0
    assert key["access_key"] not in capsys.readouterr().out.replace(f"revoked {key['access_key']}", "")


def test_config_replaces_only_with_consent(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clearml.conf"
    monkeypatch.setattr("sys.stdin", _Lines(""))
    assert run(folder, "config", "--to", str(path)) == 0
    text = path.read_text()
    assert run(folder, "config", "--to", str(path)) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert path.read_text() == text
    assert run(folder, "config", "--to", str(path), "--force", "--host", "labbox") == 0
    assert "http://labbox:" in path.read_text()


def test_a_backup_is_restored_verified_and_cleaned(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "backup", str(tmp_path / "copy")) == 0
    assert run(tmp_path / "again", "restore", str(tmp_path / "copy"), "--verify") == 0
    assert "verified: rows, files and hashes" in capsys.readouterr().out
    assert run(tmp_path / "again", "restore", str(tmp_path / "copy")) == 1
    assert "is not empty" in capsys.readouterr().err
    assert run(folder, "verify") == 0
    assert capsys.readouterr().out.startswith("sound: ")
    assert run(folder, "gc", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("would go:")
    assert run(tmp_path / "again", "status") == 1
    assert "No server runs on this folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["start", "--background"], 1, "is in use by process"),
        (["user", "add", "admin"], 2, "stackyard: the login 'admin' is taken; choose another"),
        (
            ["user", "add", "x", "--role", "king"],
            2,
            "stackyard: role: one of readonly, user, admin is needed",
        ),
        (["start", "--host", ""], 2, "--host: host is ''; expected an IP address"),
        (["config", "--force", "--host", ""], 2, "stackyard: --host is ''; expected a name or an IP address"),
        (["config", "--force", "--host", "a b"], 2, "stackyard: --host is 'a b'; expected a name"),
        (["config", "--force", "--to", "/"], 2, "stackyard: / is a folder: name the file to write in it"),
        (["config", "--force", "--to", "/proc/x"], 1, "stackyard: /proc/x: No such file"),
        (["config", "--force", "--to", "/etc/passwd/x"], 1, "stackyard: /etc/passwd: Not a directory"),
        (["user", "remove", "nobody", "--yes"], 2, "no user is called 'nobody'"),
        (["user", "add", "x", "--prompt", "--password-stdin"], 2, "exclude each other"),
        (["credentials", "revoke", "NONE"], 2, "no access key"),
        (["config", "--user", "nobody", "--to", "/nonexistent/x/y"], 2, "no user is called 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    assert run(folder, *arguments) == status
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_status_of_a_folder_without_a_server_fails_as_it_does_where_none_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "r 1"
    assert run(folder, "status") == 1
    said = f"stackyard: {folder} holds no server yet: stackyard server start --folder '{folder}'\n"
    assert capsys.readouterr().err == said
    assert run(folder, "verify") == 2
    assert capsys.readouterr().err == said


def test_an_empty_folder_is_not_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["server", "start", "--background", "--folder", ""]) == 2
    assert "Invalid value for '--folder': it is empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_start_into_a_closed_pipe_says_how_to_have_another_password(tmp_path: Path) -> None:
    nobody, out = os.pipe()
    os.close(nobody)
    command = [sys.executable, "-m", "stackyard.cli.main", "server", "start", "--folder", str(tmp_path)]
    try:
        done = subprocess.run(
            [*command, *FREE_PORTS, "--background"], stdout=out, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(out)
        stopped = run(tmp_path, "stop")
    assert (done.returncode, stopped) == (1, 0)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Not shown: the new administrator's password")
    assert line.endswith(f"`stackyard server user password admin --folder {tmp_path}`.")


def test_in_the_foreground_it_answers_until_it_is_told_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "stackyard.cli.main",
        "server",
        "start",
        "--folder",
        str(tmp_path / "data"),
        "--json",
    ]
    with subprocess.Popen(
        [*command, *FREE_PORTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        word = json.loads(child.stdout.readline())
        assert word["admin"]["login"] == "admin"
        assert httpx.get(f"{word['urls']['api']}/debug.ping").status_code == 200
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE_SECONDS) == 0
    assert main.run(["server", "stop", "--folder", str(tmp_path / "data")]) == 0


def test_the_other_commands_do_not_load_the_server() -> None:
    code = (
        "import sys, stackyard.cli.main; print([m for m in sys.modules if m.startswith('stackyard_server')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['stackyard_server', 'stackyard_server.once']", "but how options are read"
