"""``stackyard scenario`` as a user meets it: files, options, output, exit status, Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from stackyard.cli import main
from stackyard.cli import matrix as command
from stackyard.matrix.runs import RunFolder
from tests.counts import examples
from tests.stackyard.mutation import changed, mutations
from tests.waiting import PATIENCE_SECONDS

ENTRY = "work_for_tests:work"
FILE = f"""
name = "tiny"
repeats = 1
[axes]
stack = ["old", "new"]
[workloads.w]
workload = "{ENTRY}"
parameters = {{ do = "DO", log = "LOG" }}
"""


@pytest.fixture
def here(yard: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The yard's site in place of this machine's."""
    monkeypatch.chdir(yard.folder)
    monkeypatch.setenv("STACKYARD_HOME", str(yard.folder / "home"))
    monkeypatch.setattr(command.stacks, "load", lambda: {"old": None, "new": None})
    monkeypatch.setattr(command.site, "here", lambda premises, workloads: yard.site)
    return yard


def write(yard: Any, do: str = "nothing", text: str = FILE) -> Path:
    path: Path = yard.folder / "tiny.toml"
    shutil.copy(yard.code / "work_for_tests.py", yard.folder)
    path.write_text(text.replace("DO", do).replace("LOG", str(yard.log)))
    return path


@pytest.mark.slow
def test_run_ends_with_the_path_of_the_report(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["scenario", "run", str(write(here))]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "runs/tiny/report.html"
    assert "[2/2] b01" in said.err
    for end in ("html", "json", "csv", "md"):
        assert (here.folder / "runs" / "tiny" / f"report.{end}").stat().st_size > 0


def test_json_is_one_object_on_stdout(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["scenario", "run", str(write(here)), "--json", "--out", "o"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["outcome"]["completed"] == 2
    assert said["report"]["counts"]["completed"] == 2
    assert Path(said["paths"]["html"]).exists()


@pytest.mark.slow
def test_no_value_in_a_file_of_a_run_folder_ends_a_command_with_a_traceback(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands there, report and resume go their way, or refuse in one sentence and leave the file as it was."""
    file = write(here)
    assert main.run(["scenario", "run", str(file), "--out", "o"]) == 0
    names = ("plan.json", "record.json", "timeline.json")
    files = {path: path.read_text() for name in names for path in Path("o").rglob(name)}
    capsys.readouterr()

    @settings(
        max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(mutations(files))
    def check(mutation: tuple[Path, str]) -> None:
        path, text = mutation
        path.write_text(text)
        for command_line in (
            ["scenario", "report", "o", "--out", "r"],
            ["scenario", "run", str(file), "--out", "o", "--resume", "--dry-run"],
        ):
            status = main.run(command_line)
            said = capsys.readouterr()
            assert status in (0, 2), said.err
            assert status == 0 or said.err.startswith("stackyard: ")
            assert status == 0 or said.err.count("\n") == 1
        assert path.read_text() == text
        path.write_text(files[path])

    check()


@pytest.mark.slow
def test_a_record_that_cannot_be_read_is_named_and_its_run_made_again(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(here)
    assert main.run(["scenario", "run", str(file), "--out", "o"]) == 0
    record = next(Path("o").rglob("record.json"))
    value = json.loads(record.read_text())
    record.write_text(json.dumps(changed(value, ("measurement", "wall_seconds"), "3.1")))
    capsys.readouterr()
    assert main.run(["scenario", "report", "o", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["report"]
    assert (said["counts"]["unreadable"], said["counts"]["completed"]) == (1, 1)
    assert "measurement.wall_seconds is '3.1', expected a number" in said["unreadable"][0]["reason"]
    assert main.run(["scenario", "run", str(file), "--out", "o", "--resume"]) == 0
    assert "cannot be read, its run is made again" in capsys.readouterr().err
    assert len(list(Path("o/abandoned").iterdir())) == 1
    assert main.run(["scenario", "report", "o", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"]["counts"]["completed"] == 2


def test_failed_runs_are_reported_and_status_is_4(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["scenario", "run", str(write(here, do="raise")), "--out", "o"]) == 4
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "o/report.html"
    assert said.err.splitlines()[-1].startswith("stackyard: 2 of 2 runs failed (the first: b01")


def test_failed_runs_tell_of_what_stayed_here(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code = here.folder / "own"
    code.mkdir()
    (code / ".gitignore").write_text("*.bin\n")
    (code / "train.bin").write_text("data")
    text = (
        FILE.partition("[workloads.w]")[0] + '[workloads.w]\ncommand = ["cat", "train.bin"]\ncode = "own"\n'
    )
    assert main.run(["scenario", "run", str(write(here, text=text)), "--out", "o"]) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert "ignored files and folders did not travel (w: train.bin)" in said
    assert (
        main.run(["scenario", "run", str(write(here, text=text.replace("cat", "false"))), "--out", "o3"]) == 4
    )
    assert "did not travel" not in capsys.readouterr().err.splitlines()[-1]  # no file was missing
    write(here, text=text)
    (code / ".stackyardignore").write_text("!train.bin\n")
    assert main.run(["scenario", "run", "tiny.toml", "--out", "o2"]) == 0


def test_dry_run_writes_nothing(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    here.reasons = {"old": "no GPU"}
    assert main.run(["scenario", "run", str(write(here)), "--dry-run", "--repeats", "2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "tiny: 2 runs of 1 cell"
    assert "not runnable  bare-old-machine-w: no GPU" in said
    assert said[-1] == "b02  bare-new-machine-w"
    assert main.run(["scenario", "run", str(write(here)), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["not_runnable"][0]["reason"] == "no GPU"
    assert not (here.folder / "runs").exists()
    assert not (here.folder / "home").exists(), "no snapshot either"
    here.reasons = {}
    assert main.run(["scenario", "run", str(write(here))]) == 0
    begun = json.loads((here.folder / "runs" / "tiny" / "plan.json").read_text())
    assert begun["code"] == plan["code"], "it names the code that would run"


def test_dry_run_names_what_stays_here(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Data that .gitignore excludes are not in the copy that a command works in."""
    code = here.folder / "code"
    (code / "data").mkdir(parents=True)
    (code / "data" / "a.csv").write_text("1")
    (code / "work.py").write_text("print(1)")
    (code / ".gitignore").write_text("/data\n*.log\n")
    for number in range(4):
        (code / f"{number}.log").write_text("")
    (here.folder / "own.toml").write_text(
        'name = "own"\n[workloads.work]\ncommand = ["python", "work.py"]\ncode = "code"\n'
    )
    assert main.run(["scenario", "run", str(here.folder / "own.toml"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "(left out: 5 ignored: data/, 0.log, 1.log, ...)" in said
    assert main.run(["scenario", "run", str(here.folder / "own.toml"), "--dry-run", "--json"]) == 0
    left_out = json.loads(capsys.readouterr().out)["travelling"]["work"]["left_out"]
    assert left_out["ignored"]["count"] == 5
    assert sorted(left_out["ignored"]["names"]) == ["0.log", "1.log", "2.log", "3.log", "data/"]
    (code / ".gitignore").write_text("/data\n")
    assert main.run(["scenario", "run", str(here.folder / "own.toml"), "--dry-run"]) == 0
    assert "(left out: 1 ignored: data/)" in capsys.readouterr().out


def test_dry_run_of_a_matrix_that_goes_on_lists_what_is_left(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(here)
    line = ["scenario", "run", str(path), "--out", "o"]
    assert main.run(line) == 0
    capsys.readouterr()
    assert main.run([*line, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    assert said.err.startswith("this run would be refused: o: already holds runs of 'tiny'")
    assert main.run([*line, "--dry-run", "--fresh"]) == 0
    assert capsys.readouterr().err == ""
    dry = [*line, "--dry-run", "--resume", "--repeats", "2"]
    assert main.run(dry) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "tiny: 4 runs of 2 cells; 2 of them stand"
    assert [row.split()[0] for row in said.out.splitlines()[1:]] == ["b02", "b02"]
    assert main.run([*dry, "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)["kept"]
    assert kept == ["b01-bare-new-machine-w", "b01-bare-old-machine-w"]
    path.write_text(path.read_text().replace('do = "nothing"', 'do = "raise"'))
    assert main.run(dry) == 2
    assert "workloads.w.parameters.do: 'nothing' then, 'raise' now" in capsys.readouterr().err
    assert main.run([*line[:-1], "empty", "--dry-run", "--resume"]) == 2
    assert "holds no run to resume" in capsys.readouterr().err
    assert not Path("empty").exists()


def test_fewer_repeats_than_there_are_is_what_the_refusal_says(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["scenario", "run", str(write(here)), "--out", "o", "--only", "stack=new"]
    assert main.run([*line, "--repeats", "2"]) == 0
    capsys.readouterr()
    assert main.run([*line, "--resume", "--repeats", "1"]) == 2
    assert "o: the matrix there has 2 repeats, and 1 is fewer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('[data.d]\nsources = [{ path = "gone.txt", format = "json" }]', "data.d.sources[0].path"),
        (
            '[data.d]\nsources = [{ path = "here.txt", labels_path = "gone.txt", format = "json" }]',
            "data.d.sources[0].labels_path",
        ),
    ],
)
def test_a_file_that_a_scenario_names_and_is_not_there_is_told_before_anything_starts(
    here: Any, capsys: pytest.CaptureFixture[str], more: str, key: str
) -> None:
    (here.folder / "here.txt").touch()
    path = write(here, text=FILE.replace("{ do", '{ data = "data:d", do') + more)
    for line in (["validate", str(path)], ["run", str(path), "--out", "o"], ["run", str(path), "--dry-run"]):
        assert main.run(["scenario", *line]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"stackyard: {path}: {key} is 'gone.txt': there is no file ")
    assert not Path("o").exists()
    (here.folder / "gone.txt").touch()
    assert main.run(["scenario", "validate", str(path)]) == 0
    assert main.run(["scenario", "run", str(path), "--out", "o"]) == 0


def test_a_data_set_has_the_file_that_a_scenario_names_or_validate_says_so(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    more = '[data.d]\nsources = [{ path = "dataset:SET", format = "sequences" }]'
    text = FILE.replace("{ do", '{ data = "data:d", do') + more
    path = write(here, text=text.replace("SET", "hdfs_logdeep/hdfs_train.gz"))
    assert main.run(["scenario", "validate", str(path)]) == 0  # it need not be here
    path = write(here, text=text.replace("SET", "hdfs_logdeep/nofile.gz"))
    assert main.run(["scenario", "validate", str(path)]) == 2
    assert "data set hdfs_logdeep has no file 'nofile.gz'" in capsys.readouterr().err
    path = write(here, text=text.replace("SET", "of_mine/week.gz"))
    assert main.run(["scenario", "validate", str(path)]) == 2
    mine = here.folder / "sets" / "of_mine" / "week.gz"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert main.run(["scenario", "validate", str(path), "--data", str(here.folder / "sets")]) == 0


def test_a_function_that_nowhere_says_shard_is_warned_of_where_workers_share_it(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILE.replace('"new"]', '"new"]\nworkers = [1, 2]')
    path = write(here, text=text)
    assert main.run(["scenario", "validate", str(path)]) == 0
    assert capsys.readouterr().err == ""
    work = here.folder / "work_for_tests.py"
    work.write_text("def work(parameters, channel, folder):\n    channel.results(done=1)\n")
    assert main.run(["scenario", "validate", str(path), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("warning: the code of workload 'w' nowhere says shard")
    assert json.loads(said.out)["undivided"] == ["w"]
    path.write_text(path.read_text().replace("[1, 2]", "[1]"))
    assert main.run(["scenario", "validate", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_the_entry_of_a_declaration_is_checked_before(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(here, text=FILE.replace("work_for_tests:work", "w"))
    declared = here.folder / "workloads.toml"
    declared.write_text('[w]\nentry = "work_for_tests:none"\nhelp = "w"\n')
    for line in (["validate"], ["run", "--dry-run"]):
        assert main.run(["scenario", line[0], str(path), *line[1:]]) == 2
        said = capsys.readouterr().err
        assert "workloads.w.workload is 'w': its entry is 'work_for_tests:none': " in said
        assert "defines no function 'none'" in said


def test_nothing_runnable_is_status_3_with_the_reason(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    here.reasons = {"old": "no GPU", "new": "not built"}
    assert main.run(["scenario", "run", str(write(here))]) == 3
    assert "no cell can run on this machine: no GPU; not built" in capsys.readouterr().err
    assert not (here.folder / "runs").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--only", "stack"], "--only stack: expected AXIS=VALUE"),
        (["--only", "colour=red"], "there is no axis 'colour'"),
        (["--resume"], "holds no run to resume"),
        (["--resume", "--fresh"], "exclude each other"),
        (["--out", "tiny.toml/out"], "cannot be written (Not a directory)"),
        (["--out", "tiny.toml"], "tiny.toml is no folder; choose another --out"),
        (["--out", "tiny.toml", "--fresh"], "tiny.toml is no folder; choose another --out"),
    ],
)
def test_options_that_cannot_be_meant(
    here: Any, options: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["scenario", "run", str(write(here)), *options]) == 2
    said = capsys.readouterr()
    assert expected in said.err.splitlines()[-1]
    assert said.out == ""


def test_files_that_cannot_be_read(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (here.folder / "latin.toml").write_bytes('title = "Stück"'.encode("latin-1"))
    (here.folder / "empty.toml").write_text("")
    for name, expected in (
        ("latin.toml", "not a UTF-8 text"),
        ("empty.toml", "name is missing"),
        (".", "cannot be read (Is a directory)"),
    ):
        assert main.run(["scenario", "run", name]) == 2
        said = capsys.readouterr()
        assert expected in said.err
        assert said.err.count("\n") == 1


def test_validate_and_list(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(here)
    (here.folder / "wrong.toml").write_text("x = 1")
    assert main.run(["scenario", "validate", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: good; 2 cells, 2 runs\n"
    assert main.run(["scenario", "list", str(here.folder)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "2 cells" in shown[0]
    assert "cannot be used" in shown[1]


@pytest.mark.slow
def test_report_merges_folders(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(here)
    for stack in ("old", "new"):
        options = ["--out", stack, "--only", f"stack={stack}"]
        assert main.run(["scenario", "run", str(path), *options]) == 0
    capsys.readouterr()
    assert main.run(["scenario", "report", "old", "new", "--out", "both", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"]["counts"]["completed"] == 2
    assert (here.folder / "both" / "report.html").exists()
    assert main.run(["scenario", "report", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_resume_keeps_repeats_and_cells_unless_told_otherwise(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(here)
    line = ["scenario", "run", str(path), "--out", "o", "--json"]
    assert main.run([*line, "--repeats", "2", "--only", "stack=new"]) == 0
    capsys.readouterr()
    assert main.run([*line, "--resume"]) == 0
    outcome = json.loads(capsys.readouterr().out)["outcome"]
    assert (outcome["kept"], outcome["completed"]) == (2, 2)
    path.write_text(path.read_text().replace("repeats = 1", "repeats = 3"))
    assert main.run([*line, "--resume"]) == 0
    outcome = json.loads(capsys.readouterr().out)["outcome"]
    assert (outcome["kept"], outcome["completed"]) == (2, 3)


@pytest.mark.slow
def test_resume_with_changed_code_is_refused_and_accepted_starts_a_new_cell(
    here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, file = write(here), here.folder / "work_for_tests.py"
    assert main.run(["scenario", "run", str(path), "--out", "o"]) == 0
    begun, original = RunFolder(Path("o")).plan(), file.read_text()
    assert begun is not None
    assert begun.code.own_digest
    for text in ("def broken(", original + "\n# changed\n"):
        file.write_text(text)
        capsys.readouterr()
        assert main.run(["scenario", "run", str(path), "--out", "o", "--resume"]) == 2
        assert "your own functions" in capsys.readouterr().err
    file.write_text(original)
    (Path("o/runs/b01-bare-old-machine-w/record.json")).unlink()
    assert main.run(["scenario", "run", str(path), "--out", "o", "--resume"]) == 0
    assert RunFolder(Path("o")).plan().code == begun.code
    file.write_text(original + "\n# changed\n")
    assert main.run(["scenario", "run", str(path), "--out", "o", "--resume", "--accept-changes"]) == 0
    again = RunFolder(Path("o")).plan()
    assert again.renamed == {"w": "w.2"}
    assert "b01 old · w.2  " in capsys.readouterr().err
    assert (again.changes["w.2"].of, again.changes["w.2"].differs) == ("w", ["your own functions"])
    assert again.code.own_digest != begun.code.own_digest
    assert sorted(p.name for p in Path("o/runs").glob("b01-bare-old*")) == [
        "b01-bare-old-machine-w",
        "b01-bare-old-machine-w.2",
    ]
    assert main.run(["scenario", "run", str(path), "--out", "o", "--resume"]) == 0
    assert RunFolder(Path("o")).plan().changes == again.changes
    assert "w.2 is w since this changed: your own functions." in capsys.readouterr().out


DRIVER = """
import sys
from pathlib import Path
from stackyard.cli import main, matrix
from stackyard.launch.bare import BareDeployment
from stackyard.launch.deployment import Premises
from stackyard.matrix.site import Site
from stackyard.settings import Settings
from stackyard_task.records import StackPin

class Here(BareDeployment):
    def why_not(self, stack, hardware, workers):
        return None

    def warm(self, stack, code):
        return None

matrix.stacks.load = lambda: {"old": None, "new": None}
matrix.site.here = lambda premises, workloads: Site(
    python_of=lambda name: Path(sys.executable),
    pin_of=lambda name: StackPin(name=name),
    environment_of=lambda name: ({}, {}),
    declared=lambda name: None,
    dataset=lambda reference: Path(reference),
    deployment=lambda name: Here(Premises.here(Settings(home=Path()), {})),
)
sys.exit(main.run(sys.argv[1:]))
"""


def started(yard: Any, path: Path, *options: str) -> subprocess.Popen[str]:
    """The command as a process of its own, in a group of its own, as a shell starts it."""
    arguments = ["scenario", "run", str(path), "--out", "o", *options]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments],
        cwd=yard.folder,
        env={**os.environ, "STACKYARD_HOME": str(yard.folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def hanging_child(yard: Any, process: subprocess.Popen[str]) -> int:
    """The id of the run's process, once it hangs."""
    path = Path(f"{yard.log}.hanging")
    while not (path.exists() and path.read_text()):
        assert process.poll() is None, process.communicate()
        with_patience(process)
    return int(path.read_text())


def with_patience(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(0.05)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.slow
def test_ctrl_c_loses_nothing_and_resume_continues(yard: Any) -> None:
    """As at a terminal: SIGINT to the whole process group of a real command."""
    flag = yard.folder / "hang"
    text = FILE.replace('do = "DO"', f'do = "DO", hang_while = "{flag}"')
    flag.write_text("")
    process = started(yard, write(yard, text=text), "--repeats", "1", "--only", "deployment=bare")
    child = hanging_child(yard, process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith(
        "stackyard: stopped after 0 of 2 runs; continue with: stackyard scenario"
    )
    assert " --repeats 1 --only deployment=bare --out o --resume" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert out == ""
    assert not Path(f"/proc/{child}").exists()
    (record,) = (yard.folder / "o" / "runs").glob("*/record.json")
    assert json.loads(record.read_text())["failure"]["kind"] == "interrupted"
    flag.unlink()
    process = started(yard, write(yard, text=text), "--repeats", "1", "--only", "deployment=bare", "--resume")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "o/report.html"
    assert len(list((yard.folder / "o" / "runs").glob("*/record.json"))) == 2
    assert len(list((yard.folder / "o" / "abandoned").glob("*/record.json"))) == 1


@pytest.mark.slow
def test_a_runner_that_is_killed_leaves_its_folder_held_until_its_last_run_has_a_record(yard: Any) -> None:
    path = write(yard, do="hang")
    process = started(yard, path)
    child = hanging_child(yard, process)
    process.kill()
    process.communicate()
    again = started(yard, path, "--resume")
    _, err = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 2
    assert "its last run is still at work there" in err
    os.kill(child, signal.SIGKILL)
    runs = yard.folder / "o" / "runs"
    while not list(runs.glob("*/record.json")):
        os.sched_yield()
    (record,) = runs.glob("*/record.json")
    assert json.loads(record.read_text())["failure"]["kind"] == "killed"
