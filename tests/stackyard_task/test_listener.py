"""The listener: whatever is written to it, and however fast, it stays small and comes back to its caller."""

from __future__ import annotations

import json
import os
import select
import threading
from typing import Any, Iterator

import pytest

from stackyard_task import listener as room
from stackyard_task.listener import Listener
from stackyard_task.records import Environment, Measurement


class Line:
    """A listener and the pipe that leads to it."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        self.listener = Listener(reading, 0.0, os.getpid())

    def say(self, *messages: Any) -> None:
        for message in messages:
            os.write(
                self.writing, message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
            )
        assert self.listener.read()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    os.close(made.listener.descriptor)
    os.close(made.writing)


def test_a_writer_that_never_pauses_does_not_hold_the_supervisor(line: Line) -> None:
    stop = threading.Event()
    message = json.dumps({"kind": "steps", "seconds": [0.001]}).encode() + b"\n"

    def flood() -> None:
        while not stop.is_set():
            os.write(line.writing, message * 100)

    writer = threading.Thread(target=flood)
    writer.start()
    try:
        for _ in range(5):
            select.select([line.listener.descriptor], [], [])
            assert line.listener.read()  # comes back
    finally:
        stop.set()
        while writer.is_alive():
            line.listener.read()
            writer.join(0.001)
    assert line.listener.pace.times() is not None


def test_a_result_that_is_asked_for_is_kept_whenever_it_comes(line: Line) -> None:
    line.listener = Listener(line.listener.descriptor, 0.0, wanted=["accuracy"])
    for first in range(0, 11_000, 1000):
        line.say({"kind": "results", "values": {str(n): n for n in range(first, first + 1000)}})
    line.say({"kind": "results", "values": {"accuracy": 0.9, "other": 1}})
    assert line.listener.results["accuracy"] == 0.9
    assert "other" not in line.listener.results


def test_what_is_told_of_values_left_out_has_to_make_sense(line: Line) -> None:
    line.say({"kind": "metrics", "points": [[2, 0.0, {"a": 1.0}]]})
    for values in ({"a": [3, -5]}, {"a": [1]}, {"a": "x"}, [], {"a": [True, 0]}, {"b": [1, 1]}):
        line.say({"kind": "left_out", "values": values})
    assert line.listener.notes()[:-1] == [
        "metric a: 3 values came at a step before its last one and were left out"
    ]


def test_what_a_record_names_is_bounded(line: Line) -> None:
    for first in range(0, 3000, 100):
        line.say(*({"kind": "phase", "name": "steady", "at": float(n)} for n in range(first, first + 100)))
    assert len(line.listener.phases) == room.PHASES_KEPT
    for first in range(0, 12_000, 1000):
        line.say({"kind": "results", "values": {str(n): n for n in range(first, first + 1000)}})
    assert len(line.listener.results) == room.RESULTS_KEPT
    line.say({"kind": "results", "values": {"1": "new"}})  # what is known may change
    assert line.listener.results["1"] == "new"
    for index in range(2000):
        line.say({"kind": "gpu", "index": index, "facts": {"name": "x"}})
    assert len(line.listener.gpu_facts) == room.GPUS_KEPT
    assert line.listener.not_understood == 2000 - room.GPUS_KEPT
    # what a message holds is kept as far as there is room; what is left out is no broken message
    line.say({"kind": "results", "values": {"2": "newer", "more": 1}})
    assert line.listener.results["2"] == "newer"
    assert line.listener.notes()[:-1] == [
        "the first 1,000 phases are kept; 2,001 more that were told are left out",
        "the first 10,000 result figures are kept; 2,001 more that were told are left out",
    ]


def test_a_message_that_goes_beyond_the_bound_is_kept_as_far_as_it_goes(line: Line) -> None:
    for first in range(0, 10_001, 987):
        line.say({"kind": "results", "values": {str(n): n for n in range(first, min(first + 987, 10_001))}})
    assert list(line.listener.results.values()) == list(range(10_000))
    assert line.listener.notes() == [
        "the first 10,000 result figures are kept; 1 more that was told is left out"
    ]
    assert line.listener.not_understood == 0


@pytest.mark.parametrize(
    "said",
    [
        b"\0\0\0\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b'{"kind": 3}\n',
        b'{"kind": "__class__"}\n',
        b'{"kind": "phase", "name": "lunch", "at": 0}\n',
        b'{"kind": "results", "values": [1]}\n',
        b'{"kind": "gpu", "index": [], "facts": {}}\n',
        b"{" * 30_000 + b"\n",
        b'{"kind": "steps", "seconds": {"a": 1}}\n',
        b'{"kind": "progress", "done": ' + b"9" * 5000 + b"}\n",
    ],
)
def test_what_is_no_message_is_counted_and_the_next_one_is_heard(line: Line, said: bytes) -> None:
    line.say(said)
    assert line.listener.not_understood >= 1
    line.say({"kind": "results", "values": {"a": 1}})
    assert line.listener.results == {"a": 1}


def test_a_command_says_what_it_loaded_and_nothing_of_the_machine_or_the_code(line: Line) -> None:
    told = {"python": "3.11.7", "host": "elsewhere", "stack_digest": "0", "ram_limit_bytes": 1}
    line.say({"kind": "environment", "facts": told})
    measurement, environment = Measurement(), Environment(host="here")
    line.listener.fill(measurement, environment)
    assert (environment.python, environment.host) == ("3.11.7", "here")
    assert (environment.stack_digest, environment.ram_limit_bytes) == (None, None)


def test_what_a_script_brought_itself_stands_apart_and_is_bounded(line: Line) -> None:
    line.say({"kind": "loaded", "packages": {"six": "1.16.0"}})
    line.say({"kind": "loaded_elsewhere", "packages": {"six": "1.15.0"}})
    line.say(
        {"kind": "loaded_elsewhere", "packages": {"six": 3}}, {"kind": "loaded_elsewhere", "packages": []}
    )
    line.say({"kind": "loaded_elsewhere", "packages": {f"p{n:05}": "1" for n in range(room.PACKAGES_KEPT)}})
    environment = Environment()
    line.listener.fill(Measurement(), environment)
    assert environment.packages == {"six": "1.16.0"}
    assert environment.packages_elsewhere is not None
    assert len(environment.packages_elsewhere) == room.PACKAGES_KEPT
    assert line.listener.not_understood == 2


def test_notes_are_kept_once_short_and_bounded(line: Line) -> None:
    line.say(
        {"kind": "note", "sentence": "60 alarms\n of 832\x1b[2J sessions"}, {"kind": "note", "sentence": 5}
    )
    line.say(*({"kind": "note", "sentence": "x" * 2000} for _ in range(3)))
    assert line.listener.notes()[:2] == ["60 alarms of 832 [2J sessions", "x" * 497 + "..."]
    assert line.listener.not_understood == 1
    line.say(*({"kind": "note", "sentence": f"note {n}"} for n in range(50)))
    assert len(line.listener.notes()) == room.NOTES_KEPT + 2
    assert line.listener.notes()[-2] == "the first 20 notes are kept; 32 more that were told are left out"


def test_what_is_not_understood_is_noted_with_its_number_and_the_first_reason(line: Line) -> None:
    line.say({"kind": "steps", "seconds": [1e308] * 50})
    assert line.listener.notes() == [
        "50 things that it told were not understood and left out; the first: a step took 1e+308 s, expected 0 to "
        "1e+12 s"
    ]


def test_a_metric_at_a_step_beyond_all_bounds_is_noted(line: Line) -> None:
    line.listener.metric("val", -1e308, 1.0)
    (note,) = line.listener.notes()
    assert note.startswith("1 thing that it told was not understood")
    assert "from -2^53 to 2^53" in note
