"""The files of an installation's services: what is taken from them, and what is refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from stackyard.agents.configuration import Prepared
from stackyard.cli.main import run
from stackyard.errors import StackyardError
from stackyard.services.files import EMBEDDED, GIVEN, RUN, Plan, QueueRule, Server, ServicesFiles
from stackyard.services.status import status
from stackyard.settings import Settings
from tests.counts import examples
from tests.stackyard.mutation import mutations

AGENT = Prepared(
    "cpu-0", "cpu", "m:cpu-0", "/agents/cpu-0", ("agent",), {"A": "1"}, (0, 1), None, False, "digest"
)
PLAN = Plan(
    RUN,
    Server(GIVEN, "http://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9"),
    "m",
    (AGENT,),
    {"id": QueueRule("cpu", 60.0, 2)},
    {"gpu": "no GPU"},
)
STATE = {
    "at": 1.0,
    "over": False,
    "metrics": None,
    "more": {"than": "others read"},
    "slots": [
        {
            "slot": "cpu-0",
            "queue": "cpu",
            "worker": "m:cpu-0",
            "phase": "running",
            "hold": None,
            "trouble": None,
            "restarts": 0,
            "digest": "digest",
            "pid": None,
            "started": None,
            "cores": [0, 1],
            "gpu": None,
        }
    ],
}


@pytest.fixture
def files(tmp_path: Path) -> ServicesFiles:
    made = ServicesFiles(tmp_path)
    made.write_plan(PLAN)
    made.write_state(STATE)
    made.write_key("key", "secret")
    return made


def test_no_value_in_plan_or_state_ends_status_with_a_traceback(
    files: ServicesFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(files.home))
    embedded = Server(EMBEDDED, "http://h", "http://h", "http://h", str(files.home / "server"))
    files.write_plan(dataclasses.replace(PLAN, server=embedded))
    texts = {path: path.read_text() for path in (files.plan_file, files.state_file)}

    @settings(
        max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(mutations(texts))
    def check(mutation: tuple[Path, str]) -> None:
        path, text = mutation
        path.write_text(text)
        status = run(["status"])
        said = capsys.readouterr()
        assert status == 1
        assert said.err == "" or (said.err.startswith("stackyard: ") and said.err.count("\n") == 1)
        assert path.read_text() == text
        path.write_text(texts[path])

    check()


def test_plan_state_and_key_come_back_as_they_were_written(files: ServicesFiles) -> None:
    assert (files.plan(), files.state(), files.key()) == (PLAN, STATE, ("key", "secret"))


def changed(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(agents=3), "agents is 3, expected a list"),
        (lambda v: v.update(agents=[None]), r"agents\[0\] is null, expected an object"),
        (lambda v: v["agents"][0].update(cores="01"), r"agents\[0\].cores is '01', expected a list"),
        (lambda v: v["agents"][0].pop("digest"), r"agents\[0\] key 'digest' is missing"),
        (
            lambda v: v["queues"]["id"].update(retries="2"),
            "queues.id.retries is '2', expected a whole number",
        ),
        (lambda v: v.update(taken_memory_share=True), "taken_memory_share is true, expected a number"),
        (lambda v: v["server"].update(options=[]), "server.options is a list, expected an object"),
        (lambda v: v.pop("mode"), "key 'mode' is missing"),
    ],
)
def test_a_plan_with_a_wrong_value_is_refused_by_name(
    files: ServicesFiles, change: Callable[[Any], object], words: str
) -> None:
    changed(files.plan_file, change)
    with pytest.raises(StackyardError, match=rf"plan\.json: {words}: not a plan of this version"):
        files.plan()


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"access_key": 1, "secret_key": "s"}', "{}"])
def test_files_that_are_none_of_ours_are_one_sentence(files: ServicesFiles, text: str) -> None:
    for path in (files.plan_file, files.state_file, files.key_file):
        path.write_text(text, encoding="utf-8")
    for read in (files.plan, files.key):
        with pytest.raises(StackyardError, match=r"\.json: "):
            read()
    assert "slots" not in files.state()


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(slots="cpu-0"),
        lambda v: v.update(slots=["cpu-0"]),
        lambda v: v.update(at="now"),
        lambda v: v["slots"][0].update(pid="1"),
        lambda v: v["slots"][0].pop("phase"),
    ],
)
def test_status_names_a_state_that_cannot_be_read_and_goes_on(
    files: ServicesFiles, change: Callable[[Any], object]
) -> None:
    changed(files.state_file, change)
    found = status(dataclasses.replace(Settings.from_environment(), home=files.home))
    assert found["slots"] == []
    assert [p for p in found["problems"] if p.startswith(f"{files.state_file}: ")]
    assert files.agents_left() == {}
