"""Commands that misbehave, for real: the supervisor keeps its clock, its folder and its figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackyard_task.measure import cgroup
from stackyard_task.records import RunRecord, read_json
from tests.waiting import PATIENCE_SECONDS

SOURCE = Path(__file__).resolve().parents[2] / "src"


def ran(folder: Path, *words: str, **fields: Any) -> RunRecord:
    command = {"words": [word.replace("{", "{{").replace("}", "}}") for word in words]}
    declared = {"name": "w", "entry": "", "help": "", "command": command}
    task = {"run_id": "r", "workload": "w", "declared": declared, **fields}
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stackyard_task.run", str(folder)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert "Traceback" not in done.stderr
    return read_json(RunRecord, folder / "record.json")


FLOOD = """
import os
report = os.open(os.environ["STACKYARD_REPORT"], os.O_WRONLY)
while True:
    os.write(report, b'{"kind": "phase", "name": "steady", "at": 1.0}\\n' * 80)
"""


def test_whoever_floods_the_supervisor_does_not_escape_the_time_limit(tmp_path: Path) -> None:
    record = ran(tmp_path, sys.executable, "-c", FLOOD, time_limit_seconds=0.5)
    assert record.failure is not None
    assert record.failure.kind == "time_limit"
    assert record.not_understood == 0
    assert record.notes[0].startswith("the first 1,000 phases are kept; ")


@pytest.mark.parametrize(
    "method", ["auto", "alike"]
)  # by the latter a run this short may have used no CPU at all
def test_the_wait_for_an_idle_process_is_not_the_commands(method: str, tmp_path: Path) -> None:
    record = ran(tmp_path, "sh", "-c", "sleep 600 & exit 0", measure=method)
    assert record.status == "completed"
    assert record.measurement.orphans_ended == 1
    assert record.measurement.wall_seconds is not None
    assert record.measurement.wall_seconds < 2.0
    assert record.notes == ["1 process outlived the command idly and was ended"]


def test_a_command_that_stops_itself_learns_of_the_time_limit(tmp_path: Path) -> None:
    record = ran(tmp_path, "sh", "-c", "kill -STOP $$", time_limit_seconds=0.3)
    assert record.failure is not None
    assert (record.failure.kind, record.failure.signal) == ("time_limit", signal.SIGTERM)


def test_rights_that_a_command_takes_away_are_given_back(tmp_path: Path) -> None:
    record = ran(tmp_path, "sh", "-c", 'chmod 000 "$STACKYARD_OUTPUTS" "$STACKYARD_OUTPUTS/.."')
    assert record.status == "completed"
    assert (
        "the run took its own rights on its run folder and its outputs away; they were given back"
        in record.notes
    )
    assert os.access(tmp_path / "outputs", os.R_OK | os.W_OK | os.X_OK)
    assert (tmp_path.stat().st_mode & 0o700) == 0o700


#: How nbconvert 7 ends where a cell fails, with IPython's colours.
NOTEBOOK = """
import sys
print("Traceback (most recent call last):\\n  File \\"nbclient/client.py\\", line 949, in cell\\n"
      "nbclient.exceptions.CellExecutionError: An error occurred while executing the following cell:\\n"
      "------------------\\nraise %(name)s('strange')\\n------------------\\n\\n\\n\\x1b[31m-----\\x1b[39m\\n"
      "\\x1b[31m%(name)s\\x1b[39m                         Traceback (most recent call last)\\n"
      "\\x1b[32m----> \\x1b[39m\\x1b[32m1\\x1b[39m " + "f(\\x1b[32m0\\x1b[39m) " * 1000 + "\\n\\n"
      "\\x1b[31m%(name)s\\x1b[39m\\x1b[31m:\\x1b[39m strange\\n\\n", file=sys.stderr)
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("script", "failure", "note"),
    [
        ("raise ValueError('x')", "the command exited with status 1: ValueError: x", None),
        (NOTEBOOK % {"name": "KeyError"}, "the command exited with status 1: KeyError: strange", None),
        (NOTEBOOK % {"name": "Odd"}, "the command exited with status 1: Odd: strange", None),
        (
            "import sys; sys.exit('no data in /x')",
            "the command exited with status 1; its last words: no data in /x",
            None,
        ),
        (
            "import sys, traceback\ntry: 1 / 0\nexcept Exception: traceback.print_exc()\nsys.exit(3)",
            "the command exited with status 3; its last words: ZeroDivisionError: division by zero",
            None,
        ),
        ("x = = 1", "the command exited with status 1; its last words: SyntaxError: invalid syntax", None),
        ("raise ValueError('a\\n  b')", "the command exited with status 1: ValueError: a", None),
        (
            "import atexit\natexit.register(print, 'bye')\nraise StopIteration('x') from KeyError()",
            "the command exited with status 1: StopIteration: x",
            None,
        ),
        (
            "import atexit\natexit.register(print, 'bye')\nbytearray(10 ** 15)",
            "the command exited with status 1: MemoryError",
            None,
        ),
        ("import os; os._exit(4)", "the command exited with status 4; see output.log", None),
        ("input()", "the command exited with status 1: EOFError: EOF when reading a line", None),
        (
            "import traceback\ntry: 1 / 0\nexcept Exception: traceback.print_exc()",
            None,
            "the command exited with status 0, but its output ends with a traceback "
            "(ZeroDivisionError: division by zero)",
        ),
        (
            "import os, shutil; shutil.rmtree(os.environ['STACKYARD_OUTPUTS'])",
            None,
            "the command removed its folder of outputs",
        ),
        ("import os; os.chdir('/'); os.closerange(0, 3)", None, None),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)) * 4000)", None, None),
    ],
)
def test_what_a_command_does_to_itself_is_in_its_record(
    tmp_path: Path, script: str, failure: str | None, note: str | None
) -> None:
    record = ran(tmp_path, sys.executable, "-c", script)
    assert (record.failure and record.failure.message) == failure
    assert record.notes == ([] if note is None else [note])
    assert (tmp_path / "outputs").is_dir()
    assert not (tmp_path / "work").exists()


def test_many_processes_that_outlive_it_are_all_ended(tmp_path: Path) -> None:
    record = ran(tmp_path, "sh", "-c", "for n in $(seq 200); do sleep 600 & done")
    assert record.measurement.orphans_ended == 200
    assert record.notes == ["200 processes outlived the command idly and were ended"]


def writable_cgroup() -> bool:
    made = cgroup.create(f"{os.getpid()}-try")
    if made is not None:
        made.remove()
    return made is not None


needs_cgroup = pytest.mark.skipif(not writable_cgroup(), reason="no writable cgroup on this machine")
#: Moves itself out of every cgroup that was made for it, into the one above.
LEAVE = """
import os, pathlib, time
for line in open("/proc/self/cgroup"):
    _, names, path = line.strip().split(":", 2)
    for name in names.split(",") if names else ["", "unified"]:
        above = pathlib.Path(f"/sys/fs/cgroup/{name}{path}").parent / "cgroup.procs"
        if "stackyard-" in path and above.exists():
            above.write_text(str(os.getpid()))
while time.process_time() < 0.6:
    pass
"""


@needs_cgroup
def test_what_leaves_its_cgroup_is_counted_and_said(tmp_path: Path) -> None:
    record = ran(tmp_path, sys.executable, "-c", LEAVE, limits={"memory_bytes": 500 << 20}, measure="auto")
    assert record.status == "completed"
    assert record.measurement.cpu_seconds is not None
    assert record.measurement.cpu_seconds > 0.5
    assert record.measurement.cpu_method == "wait4 of all descendants (subreaper)"
    assert record.notes[0].startswith(
        "processes of the run left the group in which it is measured and limited"
    )


@needs_cgroup
def test_a_cgroup_that_a_run_makes_in_its_own_goes_with_it(tmp_path: Path) -> None:
    make = """
import pathlib
for line in open("/proc/self/cgroup"):
    _, names, path = line.strip().split(":", 2)
    for name in names.split(",") if names else ["", "unified"]:
        own = pathlib.Path(f"/sys/fs/cgroup/{name}{path}")
        if "stackyard-" in path and own.exists():
            (own / "inner" / "most").mkdir(parents=True, exist_ok=True)
            print(own / "inner" / "most")
"""
    ran(tmp_path, sys.executable, "-c", make)
    made = (tmp_path / "output.log").read_text().split()
    assert made
    assert not [place for place in made if Path(place).parent.parent.exists()]
