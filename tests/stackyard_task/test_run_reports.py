"""What a command says of itself, in its record: through the reporting file, on its output, and in its files."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

import pytest

from stackyard_task import report
from stackyard_task.commands import Command
from stackyard_task.records import LOG_FILE, SERIES_FILE, TASK_FILE, RunRecord, TaskSpec, write_json
from stackyard_task.run import TaskError, supervise
from stackyard_task.workloads import Workload

METRICS = {
    "loss": r"line:loss=(?P<value>\S+)",
    "accuracy": "json:metrics.json#test.accuracy",
    "stale": "json:before.json#a",
}


def recorded(folder: Path, script: str, metrics: Dict[str, str], wanted: Sequence[str] = ()) -> RunRecord:
    """The record of a script that works in its own folder, beside a copy of the reporting file."""
    work, place = folder / "work", folder / "run"
    work.mkdir()
    place.mkdir()
    shutil.copy(str(report.__file__), str(work / "telling.py"))
    (work / "script.py").write_text(textwrap.dedent(script), encoding="utf-8")
    (work / "before.json").write_text('{"a": 1}')
    os.utime(str(work / "before.json"), (1_000_000_000, 1_000_000_000))
    command = Command((sys.executable, "script.py"), folder=str(work), metrics=metrics)
    spec = TaskSpec("r", "script", declared=Workload("script", "", "", command=command), wanted=list(wanted))
    write_json(spec, place / TASK_FILE)
    return supervise(place, python=sys.executable)


def test_what_a_task_asks_for_is_kept_however_much_its_script_tells(tmp_path: Path) -> None:
    script = """
    import telling
    telling.metrics(1, **{f"m{n}": 1.0 for n in range(150)})
    telling.metrics(1, accuracy=0.9)
    telling.results(**{f"r{n}": n for n in range(11_000)})
    telling.results(f1=0.8)
    """
    record = recorded(tmp_path, script, {}, wanted=["accuracy", "f1"])
    assert (record.results["accuracy"], record.results["f1"]) == (0.9, 0.8)
    assert "m149" not in record.results
    assert record.not_understood == 0


def test_a_task_that_asks_for_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="wanted has 11 names, expected 10 at most"):
        recorded(tmp_path, "", {}, wanted=[str(n) for n in range(11)])


def test_what_a_script_says_is_in_its_record(tmp_path: Path) -> None:
    record = recorded(
        tmp_path,
        """
        import json, subprocess, sys
        import telling
        telling.phase("data")
        telling.phase("steady")
        for number in telling.steps(range(4)):
            print(f"step {number} loss={1 / (number + 1)}")
        telling.phase("finish")
        telling.results(best=0.25, what=None)
        # a process of its own is heard too, by whatever name it has the file
        subprocess.run([sys.executable, "-c", "import telling; telling.results(of_a_child=True)"], check=True)
        with open("metrics.json", "w") as file:
            json.dump({"test": {"accuracy": 0.9}}, file)
        """,
        METRICS,
    )
    assert record.failure is None
    assert record.results == {"best": 0.25, "what": None, "of_a_child": True, "loss": 0.25, "accuracy": 0.9}
    assert record.notes == ["metric 'stale': before.json is older than the run, which did not write it"]
    assert record.not_understood == 0
    steps = record.measurement.steps
    assert steps is not None
    assert steps.count == 4
    assert record.measurement.steady_seconds is not None
    series: Dict[str, Any] = json.loads((tmp_path / "run" / SERIES_FILE).read_text())
    assert [point[:2] for point in series["loss"]] == [[0, 1.0], [1, 0.5], [2, 1 / 3], [3, 0.25]]
    assert [len(point) for point in series["loss"]] == [4] * 4  # seen live: with seconds and CPU seconds


@pytest.mark.parametrize("ending", ["raise SystemExit('no')", "import os; os.kill(os.getpid(), 9)"])
def test_figures_of_a_run_that_failed_are_kept(tmp_path: Path, ending: str) -> None:
    record = recorded(tmp_path, f"print('loss=0.5', flush=True)\n{ending}", {"loss": METRICS["loss"]})
    assert record.failure is not None
    assert record.results == {"loss": 0.5}


def test_a_script_that_says_nothing_has_nothing_in_its_record(tmp_path: Path) -> None:
    record = recorded(tmp_path, "print('hello')", {})
    assert (record.results, record.notes) == ({}, [])
    assert record.measurement.steps is None
    assert (tmp_path / "run" / LOG_FILE).read_text() == "hello\n"
    assert not (tmp_path / "run" / SERIES_FILE).exists()


def travelled(folder: Path, words: Tuple[str, ...], metrics: Dict[str, str]) -> Tuple[RunRecord, Path]:
    """The record of a command in a copy of a folder that has an old figure, and its run folder."""
    place = folder / "run"
    place.mkdir()
    with zipfile.ZipFile(folder / "code.zip", "w") as archive:
        entry = zipfile.ZipInfo("metrics.json")
        entry.create_system, entry.external_attr = 3, 0o100644 << 16
        archive.writestr(entry, '{"a": 1}')
    declared = Workload("w", "", "", command=Command(words, code=".", metrics=metrics))
    write_json(TaskSpec("r", "w", declared=declared, work=str(folder / "code.zip")), place / TASK_FILE)
    return supervise(place, python=sys.executable), place


def test_a_figure_that_travelled_with_the_folder_is_none_of_the_run(tmp_path: Path) -> None:
    record, place = travelled(tmp_path, ("test", "-s", "metrics.json"), {"a": "json:metrics.json#a"})
    assert record.failure is None, record.failure
    assert record.results == {}
    assert "metrics.json is older than the run" in record.notes[0]
    assert not (place / "work").exists()


def test_a_command_that_cannot_be_executed_leaves_no_copy_of_its_folder(tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    record, place = travelled(tmp_path, ("no-such-command",), {})
    assert record.failure is not None
    assert "there is no command 'no-such-command'" in record.failure.message
    assert not (place / "work").exists()
    assert len(os.listdir("/proc/self/fd")) == open_before
