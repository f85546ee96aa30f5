"""Programs of others: what they say is bounded, and silence is told from refusal."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from stackyard.launch import outside_programs
from stackyard.launch.outside_programs import RefusedError
from stackyard.launch.scheduled import SilentError
from tests.waiting import until


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SILENT = re.compile("away")


def called(text: str, *more: str) -> str:
    return outside_programs.called([sys.executable, "-c", text, *more], SILENT, "the cluster")


def test_what_a_program_prints_and_reads() -> None:
    command = [sys.executable, "-c", "print(input().upper())"]
    assert outside_programs.called(command, SILENT, "the cluster", "word") == "WORD\n"


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("I am away", SilentError, r"the cluster does not answer .* \(I am away\)"),
        ("first\nno such thing", RefusedError, "^no such thing$"),
        ("", RefusedError, "^it ended with status 3$"),
    ],
)
def test_silence_is_told_from_refusal(said: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        called("import sys; sys.stderr.write(sys.argv[1]); sys.exit(3)", said)


def test_one_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_programs, "CALL_SECONDS", 0.2)
    with pytest.raises(SilentError, match="did not end within 0 s"):
        called("import time; time.sleep(60)")


def test_one_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SilentError, match="missing cannot be started"):
        outside_programs.called([str(tmp_path / "missing")], SILENT, "the cluster")


def test_what_it_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper's child would submit the run after it was given up."""
    monkeypatch.setattr(outside_programs, "CALL_SECONDS", 1)
    child = "import subprocess\np = subprocess.Popen(['sleep', '600'])\nopen('pid', 'w').write(str(p.pid))\np.wait()"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SilentError, match="did not end within 1 s"):
        called(child)
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not is_running(pid), "the end of the wrapper's child")


def test_one_that_prints_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_programs, "MOST_BYTES", 1 << 20)
    with pytest.raises(SilentError, match="printed more than 1 MiB"):
        called("while True: print('x' * 1000)")


def test_of_what_it_prints_no_more_is_kept_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_programs, "MOST_BYTES", 10)
    monkeypatch.setattr(outside_programs, "_LOOK_SECONDS", 60)  # it ends before anybody looks
    assert called("print('x' * 1000)") == "x" * 10


def test_a_ctrl_c_at_the_terminal_is_not_its_own() -> None:
    assert called("import os; print(os.getsid(0))").strip() != str(os.getsid(0))
