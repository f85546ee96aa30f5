"""The run folder: what may be written into, what counts as done, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stackyard.errors import BadInputError, StackyardError
from stackyard.matrix.plan import Plan, PlannedCell
from stackyard.matrix.runs import RunFolder, counts_as_done
from stackyard_task.records import Code, Failure, RunRecord, StackPin
from stackyard_task.workloads import Parameter, Workload


def plan(**changes: object) -> Plan:
    first = Plan(
        name="demo",
        title="Demo",
        started_at="2026-01-01T00:00:00+00:00",
        repeats=2,
        warm_up_runs=0,
        seed=1,
        axes={"stack": ["a"]},
        cells=[PlannedCell("a", {"stack": "a"}, "w")],
        not_runnable=[],
        excluded=0,
        blocks=[],
        preparations=[],
        scenario={"name": "demo", "repeats": 2, "workloads": {"w": {"epochs": 3}}},
        only={},
        stacks={"a": StackPin("a", "111")},
        code=Code(digest="c"),
        inputs={"dataset:x/y": 10},
    )
    return replace(first, **changes)  # type: ignore[arg-type]


@pytest.fixture
def out(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "out")
    with folder.locked():
        folder.begin(plan(), "name = 'demo'")
    (folder.run("b01", "a")).mkdir()
    (folder.run("b01", "a") / "output.log").write_text("kept")
    return folder


def test_a_new_folder_holds_the_file_as_read_and_the_plan(out: RunFolder) -> None:
    assert (out.path / "scenario.toml").read_text() == "name = 'demo'"
    assert out.plan() == plan()
    assert json.loads(out.plan_path.read_text())["cells"] == [
        {"name": "a", "axes": {"stack": "a"}, "workload": "w", "reason": None}
    ]


def test_a_folder_with_runs_is_not_written_into_unasked(out: RunFolder) -> None:
    with pytest.raises(BadInputError, match=r"already holds runs of 'demo'.*--resume.*--fresh.*--out"):
        out.begin(plan(), "")
    assert (out.run("b01", "a") / "output.log").read_text() == "kept"


def test_fresh_replaces_what_is_ours_and_nothing_else(out: RunFolder) -> None:
    (out.path / "notes.txt").write_text("mine")
    (out.path / "report.html").write_text("old")
    out.begin(plan(seed=2), "new", fresh=True)
    assert not out.run("b01", "a").exists()
    assert not (out.path / "report.html").exists()
    assert (out.path / "notes.txt").read_text() == "mine"
    assert out.plan() == plan(seed=2)


def test_fresh_never_touches_a_folder_that_is_not_a_run_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "thesis.txt").write_text("mine")
    with pytest.raises(BadInputError, match="not a run folder"):
        folder.begin(plan(), "", fresh=True)
    (tmp_path / "plan.json").write_text('{"name": "my own plan"}')
    with pytest.raises(BadInputError, match="--out"):
        folder.begin(plan(), "", fresh=True)
    assert (tmp_path / "runs" / "thesis.txt").read_text() == "mine"


def test_resume_needs_the_same_scenario_and_says_what_differs(out: RunFolder) -> None:
    changed = plan(scenario={"name": "demo", "repeats": 2, "workloads": {"w": {"epochs": 4}}})
    with pytest.raises(BadInputError, match=r"workloads.w.epochs: 3 then, 4 now"):
        out.begin(changed, "", resume=True)
    with pytest.raises(BadInputError, match=r"stacks.a: '111' then, '222' now"):
        out.begin(plan(stacks={"a": StackPin("a", "222")}), "", resume=True)
    with pytest.raises(BadInputError, match="--only"):
        out.begin(plan(only={"stack": ["a"]}), "", resume=True)
    with pytest.raises(BadInputError, match="inputs"):
        out.begin(plan(inputs={"dataset:x/y": 11}), "", resume=True)
    with pytest.raises(BadInputError, match="measured code"):
        out.begin(plan(code=Code(digest="e")), "", resume=True)
    assert out.plan() == plan()


def declared(entry: str = "work:main", **changes: object) -> dict[str, Workload]:
    epochs = replace(Parameter("epochs", "integer", 3, "passes"), **changes)  # type: ignore[arg-type]
    return {"learn": Workload("learn", entry, "learns", (epochs,))}


def test_resume_needs_the_same_declarations_and_says_what_differs(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    with folder.locked():
        folder.begin(plan(declared=declared()), "")
    with pytest.raises(BadInputError, match=r"workloads.toml.learn.parameters.epochs.default: 3 then, 4 now"):
        folder.begin(plan(declared=declared(default=4)), "", resume=True)
    with pytest.raises(
        BadInputError, match=r"workloads.toml.learn.entry: 'work:main' then, 'work:other' now"
    ):
        folder.begin(plan(declared=declared("work:other")), "", resume=True)
    folder.begin(plan(declared=declared(help="how often", section="Form")), "", resume=True)


def test_a_plan_older_than_its_declarations_can_be_resumed(out: RunFolder) -> None:
    old = json.loads(out.plan_path.read_text())
    del old["declared"]
    out.plan_path.write_text(json.dumps(old))
    out.begin(plan(declared=declared()), "", resume=True)
    found = out.plan()
    assert found is not None
    assert found.declared == declared()


def test_resume_may_add_repeats_but_not_take_them_away(out: RunFolder) -> None:
    more = plan(repeats=9, scenario={**plan().scenario, "repeats": 9, "title": "Another"})
    out.begin(more, "", resume=True)
    assert out.plan() == more
    with pytest.raises(BadInputError, match="has 9 repeats, and 2 are fewer"):
        out.begin(plan(), "", resume=True)


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no run to resume"):
        RunFolder(tmp_path).begin(plan(), "", resume=True)
    absent = RunFolder(tmp_path / "absent")
    with pytest.raises(BadInputError, match="absent: holds no run to resume"), absent.locked(made=False):
        pass
    assert not absent.path.exists()


def test_a_start_that_ended_before_its_plan_can_be_made_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked():
        pass
    (tmp_path / "runs").mkdir()
    (tmp_path / "scenario.toml").write_text("")
    folder.begin(plan(), "text")
    assert folder.plan() == plan()


def test_two_runners_on_one_folder_are_refused(out: RunFolder) -> None:
    other = RunFolder(out.path)
    with out.locked(), pytest.raises(BadInputError, match=r"another runner \(process \d+\)"), other.locked():
        pass
    with other.locked():
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StackyardError, match="cannot be written") as caught,
        RunFolder(tmp_path / "file/out").locked(),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_full_disk_at_the_very_start_is_one_sentence_with_the_folder(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); from stackyard.errors import StackyardError;"
        "from stackyard.matrix.runs import RunFolder\n"
        "try:\n"
        "    with RunFolder(Path(sys.argv[1])).locked(): pass\n"
        "except StackyardError as error:\n"
        "    print(error)"
    )
    command = [sys.executable, "-B", "-c", script, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path / 'out'}: cannot be written (File too large); ")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EMFILE, "raise the limit of open files"),
        (errno.EISDIR, "a run laid a folder in the place of its record"),
        (errno.EACCES, "check its permissions"),
    ],
)
def test_what_cannot_be_written_names_its_advice_and_the_command_that_continues(
    number: int, advice: str, out: RunFolder
) -> None:
    error = OSError(number, os.strerror(number), str(out.path / "x"))
    said = str(RunFolder(out.path, "stackyard scenario run s.toml").unusable(error))
    assert f"cannot be written ({os.strerror(number)}); {advice}" in said
    assert said.endswith(
        f"Finished runs are kept; continue with: stackyard scenario run s.toml --out {out.path} --resume"
    )


def test_before_there_is_a_plan_nothing_is_to_be_continued(tmp_path: Path) -> None:
    said = str(RunFolder(tmp_path).unwritable(OSError(errno.ENOSPC, "No space left on device")))
    assert said.endswith("free some space. Nothing was started")


def test_a_plan_that_is_no_json_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(BadInputError, match="not JSON"):
        RunFolder(tmp_path).plan()


def test_abandoned_runs_keep_their_output_each_under_its_own_name(out: RunFolder) -> None:
    place = out.run("b01", "a")
    out.set_aside(place)
    place.mkdir()
    (place / "output.log").write_text("second")
    out.set_aside(place)
    kept = {p.parent.name: p.read_text() for p in (out.path / "abandoned").glob("*/output.log")}
    assert kept == {"b01-a.1": "kept", "b01-a.2": "second"}


@pytest.mark.parametrize(
    ("kind", "number", "done"),
    [
        ("code", None, True),
        ("bad_input", None, True),
        ("out_of_memory", None, True),
        ("time_limit", None, True),
        ("killed", signal.SIGSEGV, True),
        ("killed", signal.SIGKILL, False),
        ("interrupted", None, False),
        ("infrastructure", None, False),
        ("stack_mismatch", None, False),
    ],
)
def test_only_runs_that_failed_by_their_own_code_stand(kind: str, number: int | None, done: bool) -> None:
    failure = Failure(kind, "why", signal=number)
    record = RunRecord("r", "w", "failed", "a", "b", failure=failure)
    assert counts_as_done(record) is done


def test_completed_runs_stand_and_missing_ones_do_not() -> None:
    assert counts_as_done(RunRecord("r", "w", "completed", "a", "b"))
    assert not counts_as_done(None)
