"""The controller of a study: which tuner it starts, with what, and what becomes of it. Here that is a few lines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest

from stackyard_task import clearml_tuning, records
from stackyard_task.records import RecordError
from stackyard_task.wishes import SETTLED_VARIABLE, Settled

ID = "b" * 32
#: In the place of ``python -m stackyard.cli.main tune run ...``: says what it was given, then does what it is told.
TUNER = """#!{python}
import json, os, pathlib, sys, time
words = sys.argv[1:]
out = pathlib.Path(words[words.index("--out") + 1])
given = out.parent / "given.json"
said = json.loads(given.read_text()) if given.exists() else []
given.write_text(json.dumps(said + [[words, dict(os.environ)]]))
out.mkdir(exist_ok=True)
(out / "plan.json").touch()
(out / "study.json").write_text("{{}}")
text = (out.parent / "study.toml").read_text()
print("t0001 done", file=sys.stderr, flush=True)
exec(text)
"""


class Server:
    """Takes everything."""

    where = SimpleNamespace(api="http://a", web="", files="http://f", key="k", secret="s", output="")

    def __init__(self) -> None:
        self.runtime: Dict[str, Any] = {}
        self.artifacts: List[str] = []
        self.stopped: List[str] = []

    def another(self, patience_seconds: float) -> Server:
        return self

    def call(self, method: str, **fields: Any) -> Dict[str, Any]:
        if method == "tasks.add_or_update_artifacts":
            self.artifacts += [one["key"] for one in fields["artifacts"]]
        if method == "tasks.stop":
            self.stopped.append(fields["task"])
        return {"tasks": [{"id": "trial"}]} if method == "tasks.get_all_ex" else {}

    def upload(self, file: Path, path: str) -> str:
        return path

    def edit_runtime(self, task_id: str, values: Dict[str, Any]) -> None:
        self.runtime.update(values)


class Link:
    """A task that holds a study."""

    def __init__(self, server: Server, text: str) -> None:
        self.server, self._text = server, text
        self.was_aborted = False

    @property
    def document(self) -> Dict[str, Any]:
        return {"id": ID, "name": "n", "project": {"name": "p"}, "runtime": dict(self.server.runtime)}

    def configuration(self, name: str) -> str:
        assert name == "Study"
        return self._text

    def aborted(self) -> bool:
        return self.was_aborted


class Ending:
    """Told to end, once a file is there."""

    def __init__(self, ready: Optional[Path]) -> None:
        self._ready = ready

    def hand_over(self) -> None: ...

    @property
    def asked(self) -> bool:
        return self._ready is not None and self._ready.exists()


@pytest.fixture
def variables(tmp_path: Path) -> Dict[str, str]:
    """Those of an agent with our side beside it."""
    (tmp_path / "python").write_text(TUNER.format(python=sys.executable))
    (tmp_path / "python").chmod(0o700)
    settled = Settled(
        str(tmp_path / "python"), variables={"STACKYARD_HOME": str(tmp_path / "home"), "HOME": "/h"}
    )
    records.write_json(settled, tmp_path / "tasks.json")
    return {SETTLED_VARIABLE: str(tmp_path / "tasks.json"), "STACKYARD_SLOT": "mark", "CLEARML_TASK_ID": ID}


def run(
    variables: Dict[str, str],
    text: str,
    server: Optional[Server] = None,
    *,
    asked: Optional[Path] = None,
    aborted: bool = False,
) -> Any:
    link = Link(server or Server(), text)
    link.was_aborted = aborted
    return clearml_tuning.run(link, Ending(asked), variables)  # type: ignore[arg-type]


def given(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "home" / "studies" / ID / "given.json").read_text())


def test_our_sides_command_searches_with_the_agents_server_and_leaves_its_report(
    variables: Dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    assert run(variables, "(out / 'report.md').write_text('# r')", server) is None
    ((words, environment),) = given(tmp_path)
    place = tmp_path / "home" / "studies" / ID
    assert words[:5] == ["-m", "stackyard.cli.main", "tune", "run", str(place / "study.toml")]
    assert words[words.index("--task") + 1] == ID
    assert "--resume" not in words
    told = {
        name: environment[name]
        for name in ("HOME", "STACKYARD_SLOT", "CLEARML_API_HOST", "CLEARML_API_ACCESS_KEY")
    }
    assert told == {
        "HOME": "/h",
        "STACKYARD_SLOT": "mark",
        "CLEARML_API_HOST": "http://a",
        "CLEARML_API_ACCESS_KEY": "k",
    }
    assert "CLEARML_TASK_ID" not in environment
    assert server.artifacts == ["report.md", "study.json"]
    assert "t0001 done" in capfd.readouterr().out


def test_a_task_that_runs_again_goes_on_and_one_that_was_reset_begins_anew(
    variables: Dict[str, str], tmp_path: Path
) -> None:
    server = Server()
    for _ in range(2):
        assert run(variables, "pass", server) is None
    assert ["--resume" in words for words, _ in given(tmp_path)] == [False, True]
    server.runtime.clear()  # as a reset does
    assert run(variables, "pass", server) is None
    assert ["--resume" in words for words, _ in given(tmp_path)] == [False]


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("sys.exit('stackyard: it is bad')", "infrastructure", "it is bad"),
        (
            "print('stackyard: ' + words[4] + ': no', file=sys.stderr); sys.exit(2)",
            "bad_input",
            "configuration Study: no",
        ),
        ("sys.exit(4)", "code", "t0001 done"),
        ('print(\'{"state": "finished"}\', flush=True); sys.exit(4)', None, ""),
    ],
)
def test_why_a_study_did_not_end_well_is_what_the_tuner_said(
    variables: Dict[str, str], text: str, kind: Optional[str], says: str
) -> None:
    failure = run(variables, text)
    assert (failure and failure.kind) == kind
    assert says in (failure.message if failure else "")


def test_an_aborted_study_is_ended_in_order_with_its_trials_and_leaves_what_it_found(
    variables: Dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearml_tuning, "SHOW_SECONDS", 0.1)
    server, ready = Server(), tmp_path / "ready"
    text = (
        f"try:\n pathlib.Path({str(ready)!r}).touch()\n time.sleep(60)\n"
        "except KeyboardInterrupt:\n (out / 'report.md').write_text('r')"
    )
    failure = run(variables, text, server, asked=ready, aborted=True)
    assert failure.kind == "interrupted"
    assert server.stopped == ["trial"]
    assert "report.md" in server.artifacts


def test_a_study_whose_agent_goes_leaves_its_trials_alone(
    variables: Dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearml_tuning, "SHOW_SECONDS", 0.1)
    server, begun = Server(), tmp_path / "home" / "studies" / ID / "study" / "study.json"
    failure = run(variables, "time.sleep(60)", server, asked=begun)
    assert failure.kind == "interrupted"
    assert not server.stopped + server.artifacts
    assert run(variables, "pass", server) is None
    assert "--resume" in given(tmp_path)[-1][0]


def test_an_agent_without_our_side_says_so_in_one_sentence(variables: Dict[str, str], tmp_path: Path) -> None:
    for less in ({}, {**variables, SETTLED_VARIABLE: str(tmp_path / "none.json")}):
        failure = run(less, "pass")
        assert failure.kind == "infrastructure"
        assert "\n" not in failure.message
    (tmp_path / "python").unlink()
    assert "has no Stackyard beside it" in run(variables, "pass").message


def test_a_task_without_a_study_is_refused(variables: Dict[str, str]) -> None:
    with pytest.raises(RecordError, match="no configuration object 'Study'"):
        run(variables, " \n")


def test_studies_that_nobody_went_on_with_are_removed(tmp_path: Path) -> None:
    now = 1e9
    for name, age in (("old", 31), ("new", 29)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "told.jsonl").touch()
        for path in (tmp_path / name / "told.jsonl", tmp_path / name):
            os.utime(path, (now - age * 86400, now - age * 86400))
    clearml_tuning.sweep(tmp_path, now)
    clearml_tuning.sweep(tmp_path / "none", now)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
