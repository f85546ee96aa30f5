"""The Python of an ordinary task: what was found is found again while it is there, and asked for when it is not."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from stackyard_task import chosen, installed
from stackyard_task.chosen import NotMet
from stackyard_task.records import StackPin
from stackyard_task.wishes import SETTLED_VARIABLE, Choice, Settled, Wish

#: Stands for our side's Python: answers with the words in its variables, and counts how often it was asked.
ANSWERER = """#!/bin/sh
echo asked >> "$COUNT"
cat > "$COUNT.question"
{more}
printf '%s' "$ANSWER"
exit 0
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = folder / "count"
        environment = folder / "environment"
        (environment / "bin").mkdir(parents=True)
        self.python = environment / "bin" / "python"
        self.python.symlink_to(sys.executable)
        self.marker = environment / "stackyard-complete.json"
        self.marker.write_text(json.dumps({"digest": "d" * 64}))
        self.answer: dict[str, object] = {
            "python": str(self.python),
            "stack": {"name": "s", "digest": "d" * 64},
            "said": ["stack s: because"],
        }
        self.stacks = folder / "stacks.json"
        self.stacks.write_text("{}")
        self.asks("")

    def asks(self, more: str) -> None:
        self.script = self.folder / "ours"
        self.script.write_text(ANSWERER.format(more=more))
        self.script.chmod(0o755)

    @property
    def settled(self) -> Settled:
        return Settled(str(self.script), queue="cpu", variables={"ANSWER": json.dumps(self.answer)})

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "COUNT": str(self.count),
            chosen.CACHE_VARIABLE: str(self.folder / "cache"),
            chosen.STACKS_VARIABLE: str(self.stacks),
        }

    def choose(self, wish: Wish | None = None, how: Settled | None = None) -> Choice:
        return chosen.choose(wish or Wish(requirements="numpy"), how or self.settled, self.variables)

    @property
    def asked(self) -> int:
        return self.count.read_text().count("asked") if self.count.exists() else 0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_answer_is_kept_until_something_that_decides_it_changes(place: Place) -> None:
    how = place.settled
    first, again = place.choose(how=how), place.choose(how=how)
    assert (first.python, again.python, place.asked) == (str(place.python), str(place.python), 1)
    assert again.stack == StackPin("s", "d" * 64)
    place.choose(Wish(requirements="numpy", stack="s"), how)
    assert place.asked == 2, "the wish is another"
    place.stacks.write_text('{"more": {}}')
    place.choose(how=how)
    assert place.asked == 3, "the stacks of the machine are others"
    place.marker.unlink()
    place.choose(how=how)
    assert place.asked == 4, "the environment was removed"


def test_what_was_installed_into_an_environment_has_our_side_look_at_it(place: Place) -> None:
    packages = place.python.parents[1] / "lib" / "python3.11" / "site-packages"
    (packages / "numpy-2.4.6.dist-info").mkdir(parents=True)
    prefix = str(place.python.parents[1])
    place.marker.write_text(json.dumps({"digest": "d" * 64, **installed.noted(prefix)}))
    how = place.settled
    choice = place.choose(how=how)
    place.choose(how=how)
    assert (place.asked, chosen.changed(choice)) == (1, [])
    (packages / "numpy-2.4.6.dist-info").rename(packages / "numpy-2.3.1.dist-info")
    os.utime(packages, ns=(0, packages.stat().st_mtime_ns + 1))
    assert chosen.changed(choice) == [
        "the environment, which other tasks share, was changed while the task ran: numpy 2.3.1 in place of 2.4.6; "
        "the next task gets it as it was built, so list what this one needs among its packages"
    ]
    for number in (2, 3):
        place.choose(how=how)
        assert place.asked == number, "the kept choice is not taken, and the new one holds for now alone"
    choice.said = ["another task runs in the same environment and changed it: numpy 2.3.1 in place of 2.4.6"]
    assert chosen.changed(choice) == [], "it was so before"
    choice.said, choice.image = [], "sha256:1"
    assert chosen.changed(choice) == [], "a container's goes with it"


def test_our_side_is_told_the_wish_and_what_is_settled(place: Place) -> None:
    place.choose(Wish(requirements="numpy==1", python="3.9"))
    told = json.loads(Path(f"{place.count}.question").read_text())
    assert (told["wish"]["requirements"], told["wish"]["python"]) == ("numpy==1", "3.9")
    assert told["settled"]["queue"] == "cpu"


def test_a_refusal_is_a_sentence_and_is_not_kept(place: Place) -> None:
    place.answer = {"refused": "no such torch here", "kind": "bad_input"}
    for number in (1, 2):
        with pytest.raises(NotMet, match="no such torch here"):
            place.choose()
        assert place.asked == number


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"python": 3}', "no JSON", '{"refused": "x"}'])
def test_whoever_answers_nonsense_is_not_believed(place: Place, answer: str) -> None:
    how = Settled(str(place.script), variables={"ANSWER": answer})
    with pytest.raises(NotMet, match="ended with status 0 and without an answer") as caught:
        place.choose(how=how)
    assert caught.value.kind == "infrastructure"


def test_an_answer_of_any_length_is_read(place: Place) -> None:
    place.answer["said"] = ["x" * 100_000]
    assert place.choose().said == ["x" * 100_000]


def test_nothing_is_waited_for_once_the_task_is_over(place: Place) -> None:
    place.asks("exec sleep 600")
    began = time.monotonic()
    with pytest.raises(NotMet, match="ended while its environment was made") as caught:
        chosen.choose(Wish(), place.settled, place.variables, over=lambda: place.asked > 0)
    assert caught.value.kind == "interrupted"
    assert time.monotonic() - began < 300


def test_without_anything_settled_it_is_the_python_that_the_agent_would_have_taken(tmp_path: Path) -> None:
    assert chosen.settled({}) is None
    assert (
        chosen.choose(Wish(), None, {"STACKYARD_PYTHON": "/venv/bin/python3"}).python == "/venv/bin/python3"
    )
    agents = Settled("/ours", environment="agent")
    assert (
        chosen.choose(Wish(requirements="x"), agents, {"STACKYARD_PYTHON": "/v/python3"}).python
        == "/v/python3"
    )
    (tmp_path / "tasks.json").write_text("{")
    with pytest.raises(NotMet, match="how tasks are run here cannot be read"):
        chosen.settled({SETTLED_VARIABLE: str(tmp_path / "tasks.json")})
