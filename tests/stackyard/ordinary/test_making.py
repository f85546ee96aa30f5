"""The environment of an ordinary task, made by real pip from a folder of small wheels; and the process that answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import BadInputError
from stackyard.ordinary import making, sdk
from stackyard.stacks import derived, environment
from stackyard_task.wishes import Choice, Settled, Wish
from tests.stackyard.fake_stacks import wheel
from tests.stackyard.stacks.conftest import Yard
from tests.waiting import until

SDK = metadata.version("clearml")


@pytest.fixture
def place(yard: Yard) -> Yard:
    wheel(yard.wheels, "clearml", SDK, {"clearml.py": f"version = {SDK!r}\n"})
    wheel(yard.wheels, "clearml", "1.0", {"clearml.py": "version = '1.0'\n"})
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    return yard


def made(yard: Yard, requirements: str | None, how: Settled | None = None, **wish: Any) -> Choice:
    said: list[str] = []
    wished = Wish(requirements=requirements, **wish)
    return making.made(wished, how or Settled(sys.executable, "cpu"), yard.settings, said.append)


def loads(choice: Choice, code: str) -> str:
    done = subprocess.run([choice.python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


@pytest.mark.slow
def test_a_task_gets_what_it_lists_on_its_stack_and_the_sdk(place: Yard) -> None:
    choice = made(place, "# Python 3.11\n\ntop == 2.0\n")
    assert loads(choice, "import top, under, torch, clearml; print(clearml.version)") == SDK
    assert choice.stack is not None
    assert (choice.stack.torch, choice.pins) == ("9.9.0", {"top": "2.0"})
    assert choice.said == [f"stack {place.base.name}: the first that is here; the task asks for no torch"]
    again = made(place, "top == 2.0  # the same\n")
    assert again.python == choice.python, "the same list has the same environment"


@pytest.mark.slow
def test_what_the_task_lists_goes_before_what_the_stack_pins_and_is_said(place: Yard) -> None:
    choice = made(place, "small==2.0\nclearml==1.0\n")
    assert loads(choice, "import small, clearml; print(small.x, clearml.version)") == "2 1.0"
    assert choice.said[1:] == [f"other than {place.base.name} pins: small 2.0 for 1.0"]
    assert choice.pins == {"clearml": "1.0", "small": "2.0"}


@pytest.mark.slow
@pytest.mark.long
def test_an_sdk_that_contradicts_the_list_gives_way_to_one_that_does_not(place: Yard) -> None:
    wheel(place.wheels, "clearml", SDK, {"clearml.py": f"version = {SDK!r}\n"}, requires=("small>=2",))
    choice = made(place, "small==1.0\ntop\n")
    assert loads(choice, "import small, clearml; print(small.x, clearml.version)") == "1 1.0"
    assert choice.said[-1] == (
        f"clearml 1.0 instead of the agent's {SDK}, which does not go together with what the task lists"
    )


@pytest.mark.slow
def test_without_a_list_there_is_the_stack_and_the_sdk(place: Yard) -> None:
    choice = made(place, None)
    assert loads(choice, "import clearml, small; print(clearml.version, small.x)") == f"{SDK} 1"
    assert choice.pins == {}


def test_what_cannot_be_had_is_refused_before_anything_is_made(place: Yard) -> None:
    for text, sentence in (
        ("numpy\ntorch==1.0\n", "the task's requirements, line 2 asks for torch==1.0; here are torch 9.9.0"),
        ("-e git+https://user:secret@host/x.git\n", "an editable folder"),
        ("x @ file:///tmp/x.whl\n", "the task's requirements, line 1"),
    ):
        with pytest.raises(BadInputError) as caught:
            made(place, text)
        assert sentence in str(caught.value)
        assert "secret" not in str(caught.value)
    assert not derived.folder_of(place.settings).exists()


def test_stack_none_is_the_agents_python_and_takes_nothing(place: Yard) -> None:
    how = Settled("/agents/python", "cpu", default_stack="none")
    choice = made(place, None, how)
    assert (choice.python, choice.stack) == ("/agents/python", None)
    with pytest.raises(BadInputError, match="the task's requirements cannot be had: stack none is"):
        made(place, "numpy\n", how)


@pytest.mark.long
@pytest.mark.slow
def test_without_an_index_a_task_has_its_stack_and_the_sdk_of_this_installation(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = {"clearml": fake_sdk(yard)}
    monkeypatch.setattr(sdk, "_needed", lambda: installed)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    choice = made(yard, "small==1.0\ntorch\n")
    assert loads(choice, "import clearml, small, torch; print(clearml.version)") == "installed"
    assert choice.pins == {"small": "1.0", "torch": "9.9.0"}
    with pytest.raises(BadInputError) as caught:
        made(yard, "small==1.0\nelsewhere==3\n")
    assert str(caught.value) == (
        "the task's requirements: no file of elsewhere==3 was found that fits Python "
        f"{yard.base.python}; PIP_NO_INDEX is set here, so no index was asked"
    )
    shutil.rmtree(Path(choice.python).parents[1])
    again = made(yard, "small==1.0\ntorch\n")
    assert again.python == choice.python, "it is made again, from the lock"


@pytest.mark.slow
@pytest.mark.long
def test_what_a_task_that_still_runs_installed_besides_is_said(place: Yard) -> None:
    choice = made(place, "top==2.0\n")
    more = wheel(place.folder / "more", "more", "3.0", {"more.py": "z = 3\n"})
    words = [choice.python, "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as running:
        until(lambda: environment.used_by(Path(choice.python).parents[1]) == running.pid, "it runs")
        subprocess.run([choice.python, "-m", "pip", "-q", "install", "--no-index", str(more)], check=True)
        said = made(place, "top==2.0\n").said
        running.communicate(b"\n")
    assert said[-1] == "another task runs in the same environment and changed it: more 3.0 added"
    again = made(place, "top==2.0\n")
    assert again.said == choice.said
    assert "No module named 'more'" in loads(again, "import more")


def fake_sdk(yard: Yard) -> metadata.Distribution:
    """The SDK, installed: as small as may be."""
    there = yard.folder / "installed"
    info = there / f"clearml-{SDK}.dist-info"
    info.mkdir(parents=True)
    (there / "clearml.py").write_text("version = 'installed'\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: clearml\nVersion: {SDK}\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    lines = [
        "clearml.py",
        "../../../bin/clearml",
        *(f"{info.name}/{one}" for one in ("METADATA", "WHEEL", "RECORD")),
    ]
    (info / "RECORD").write_text("".join(f"{line},,\n" for line in lines))
    return metadata.Distribution.at(info)


def asked(question: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "stackyard.ordinary"],
        input=question if isinstance(question, str) else json.dumps(question),
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
def test_the_process_answers_in_json_and_says_on_stderr_what_it_does(place: Yard) -> None:
    settled = {"python": sys.executable, "queue": "cpu"}
    answer = asked({"wish": {"requirements": "top\n"}, "settled": settled})
    assert (answer["stack"]["torch"], answer["pins"]) == ("9.9.0", {"top": "2.0"})
    answer = asked({"wish": {"stack": "nowhere", "stack_from": "Run/stack"}, "settled": settled})
    assert answer["kind"] == "bad_input"
    assert answer["refused"].startswith("Run/stack names 'nowhere', which is no stack here; here are: ")
    answer = asked({"wish": {"requirements": "nothing-of-the-kind==1\n"}, "settled": settled})
    assert "nothing-of-the-kind" in answer["refused"]


@pytest.mark.parametrize("question", ["", "{", "[]", "{}", '{"wish": 3, "settled": {}}'])
def test_a_question_that_is_none_is_refused(question: str) -> None:
    assert asked(question)["kind"] == "infrastructure"
