"""The channel and its listener, over a real pipe."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_task.channel import CHANNEL_VARIABLE, PHASES, Channel
from stackyard_task.listener import Listener, plain
from stackyard_task.records import Environment, GpuUse, Measurement, RunRecord, from_json, parse, to_json
from tests.counts import examples
from tests.waiting import until


def connected() -> Tuple[Channel, Listener, int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    return Channel(write), Listener(read, time.monotonic()), read, write


class Scalar:
    """Looks like a numpy or torch scalar."""

    def item(self) -> float:
        return 0.25


def test_everything_a_workload_says_arrives() -> None:
    channel, listener, read, write = connected()
    channel.phase("data")
    channel.phase("steady")
    for seconds in (0.1, 0.3, 0.2):
        channel.step(seconds)
    channel.loss(3, training=0.7, validation=0.6)
    channel.progress(3, 10, "epochs")
    channel.environment(torch="1.10.2", numpy="1.26.4", nonsense="kept out")
    channel.gpu(1, torch_peak_allocated_bytes=5)
    channel.results(f1=0.9, scalar=Scalar(), infinite=float("inf"))
    channel.failure("bad_input", "one sentence")
    channel.phase("finish")
    assert listener.read()
    os.close(write)
    assert not listener.read()
    os.close(read)

    measurement, environment = Measurement(wall_seconds=100.0, gpus=[GpuUse(0)]), Environment()
    listener.fill(measurement, environment)
    parts = (measurement.startup_seconds, measurement.data_seconds, measurement.steady_seconds)
    assert sum(part or 0 for part in parts) + (measurement.finish_seconds or 0) == pytest.approx(100.0)
    assert measurement.warmup_seconds is None
    assert measurement.steps is not None
    assert (measurement.steps.count, measurement.steps.p50_seconds, measurement.steps.p95_seconds) == (
        3,
        0.2,
        0.3,
    )
    assert measurement.steps.mean_seconds == pytest.approx(0.2)
    assert [(use.index, use.torch_peak_allocated_bytes) for use in measurement.gpus] == [(0, None), (1, 5)]
    assert (environment.torch, environment.numpy) == ("1.10.2", "1.26.4")
    assert listener.results == {"f1": 0.9, "scalar": 0.25, "infinite": "inf"}
    assert listener.loss == 0.6
    assert listener.progress == {"done": 3, "total": 10, "unit": "epochs"}
    assert listener.failure is not None
    assert (listener.failure.kind, listener.failure.message) == ("bad_input", "one sentence")
    assert listener.not_understood == 0


def test_a_function_that_names_no_phase_has_no_start_up() -> None:
    channel, listener, read, write = connected()
    channel.phase("finish")
    listener.read()
    measurement = Measurement(wall_seconds=100.0)
    listener.fill(measurement, Environment())
    assert (measurement.startup_seconds, measurement.finish_seconds) == (None, None)
    assert [phase["name"] for phase in listener.phases] == ["startup", "finish"]
    os.close(read)
    os.close(write)


def test_an_unknown_phase_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="lunch"):
        Channel().phase("lunch")


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")), max_size=20))
def test_no_line_a_broken_child_writes_breaks_the_listener(lines: list[bytes]) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    listener = Listener(read, 0.0)
    for line in [
        *lines,
        b'{"kind": "phase"}',
        b'{"kind": "steps", "seconds": 3}',
        b'{"kind": "_take"}',
        b"[]",
    ]:
        os.write(write, line + b"\n")
    os.write(write, b'{"kind": "results", "values": {"after": 1}}\n')
    listener.read()
    os.close(read)
    os.close(write)
    assert listener.results == {"after": 1}
    assert listener.not_understood >= 4


#: Whatever JSON can hold, and what Python's reader takes for it.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.one_of(
    st.fixed_dictionaries({"kind": st.just("phase"), "name": st.sampled_from(PHASES), "at": ANYTHING}),
    st.fixed_dictionaries({"kind": st.just("steps"), "seconds": ANYTHING | st.lists(st.floats())}),
    st.fixed_dictionaries(
        {"kind": st.just("progress"), "done": ANYTHING, "total": ANYTHING, "unit": ANYTHING}
    ),
    st.fixed_dictionaries({"kind": st.just("loss"), "training": ANYTHING}),
    st.fixed_dictionaries(
        {
            "kind": st.just("environment"),
            "facts": ANYTHING
            | st.dictionaries(
                st.sampled_from(["torch", "gpu_names", "__class__", "tunables", "threads"]), ANYTHING
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("gpu"),
            "index": st.integers(0, 2) | ANYTHING,
            "facts": ANYTHING
            | st.dictionaries(st.sampled_from(["index", "name", "energy_joules"]), ANYTHING),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("results"), "values": ANYTHING}),
    st.fixed_dictionaries({"kind": st.just("failure"), "failure": ANYTHING, "message": ANYTHING}),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(MESSAGES, max_size=6))
def test_values_of_the_wrong_type_cost_their_message_and_never_the_record(
    messages: List[Dict[str, Any]],
) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    listener = Listener(read, 0.0)
    for message in messages:
        os.write(write, json.dumps(message).encode("ascii") + b"\n")
        listener.read()
    os.close(read)
    os.close(write)
    record = RunRecord("r", "w", "completed", "a", "b", results=listener.results, failure=listener.failure)
    record.phases = listener.phases
    listener.fill(record.measurement, record.environment)
    assert from_json(RunRecord, parse(json.dumps(to_json(record), allow_nan=False), "record")) == record
    assert listener.loss is None or listener.loss == float(listener.loss)


def test_a_loss_that_left_the_numbers_is_not_known() -> None:
    channel, listener, read, write = connected()
    channel.loss(1, training=0.5)
    channel.loss(2, training=float("nan"))
    listener.read()
    assert listener.loss is None
    os.close(read)
    os.close(write)


def test_only_the_bad_step_is_left_out_of_its_batch_and_counted() -> None:
    channel, listener, read, write = connected()
    bad = [float("nan"), float("inf"), -0.1, 1e300, "fast", None, True, 10**400]
    for number in range(100):
        channel.step(0.5)
        if number % 10 == 0 and bad:
            channel.step(bad.pop())  # type: ignore[arg-type]
    channel.flush()
    listener.read()
    steps = listener.pace.times()
    assert steps is not None
    assert (steps.count, steps.mean_seconds, steps.p95_seconds) == (100, 0.5, 0.5)
    assert listener.not_understood == 8
    os.close(read)
    os.close(write)


def test_only_the_bad_value_of_progress_and_loss_is_left_out() -> None:
    channel, listener, read, write = connected()
    channel.progress(1, 10)
    channel.progress(float("nan"), 20, "rounds")
    channel.progress(3, None)  # type: ignore[arg-type]
    channel.loss(1, training=0.5, validation="low")  # type: ignore[arg-type]
    listener.read()
    assert listener.progress == {"done": 3, "total": 20, "unit": "steps"}
    assert listener.loss == 0.5
    assert listener.not_understood == 3
    os.close(read)
    os.close(write)


def test_lines_of_several_threads_stay_whole() -> None:
    channel, listener, read, write = connected()
    threads = [
        threading.Thread(target=lambda name=name: channel.results(**{name: name * 6000}))
        for name in "abcdefgh"
    ]
    for thread in threads:
        thread.start()
    until(
        lambda: listener.read() and not any(t.is_alive() for t in threads), "eight threads to have said all"
    )
    listener.read()
    assert listener.results == {name: name * 6000 for name in "abcdefgh"}
    assert listener.not_understood == 0
    os.close(read)
    os.close(write)


def test_progress_at_every_step_does_not_hold_step_times_back() -> None:
    channel, listener, read, write = connected()

    def one_more() -> bool:
        channel.step(0.5)
        channel.progress(1, 2)
        listener.read()
        return listener.pace.times() is not None

    until(one_more, "step times to be sent beside progress")
    os.close(read)
    os.close(write)


def test_torchs_peaks_are_those_of_the_process_that_used_most() -> None:
    channel, listener, read, write = connected()
    for used in (3, 7, 5):
        channel.gpu(0, torch_peak_allocated_bytes=used, torch_peak_reserved_bytes=10 - used)
    listener.read()
    assert listener.gpu_facts == {0: {"torch_peak_allocated_bytes": 7, "torch_peak_reserved_bytes": 7}}
    os.close(read)
    os.close(write)


def test_what_a_full_fifo_lost_is_counted() -> None:
    channel, listener, read, write = connected()
    channel._send({"kind": "lost", "messages": 12})
    channel._send({"kind": "lost", "messages": "many"})
    listener.read()
    assert listener.not_understood == 13
    os.close(read)
    os.close(write)


def test_a_failure_is_one_bounded_sentence() -> None:
    channel, listener, read, write = connected()
    channel.failure("bad_input", "the file\n  is empty" + "." * 3000)
    listener.read()
    assert listener.failure is not None
    assert listener.failure.message.startswith("the file is empty...")
    assert len(listener.failure.message) == 500
    os.close(read)
    os.close(write)


def test_a_number_too_large_for_a_float_is_not_said_to_be_infinite() -> None:
    assert plain(10**400) == "a whole number of 401 digits"
    assert plain([-(10**309)]) == ["a negative whole number of 310 digits"]
    assert plain(float("inf")) == "inf"


def test_a_message_in_pieces_is_put_together() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    listener = Listener(read, 0.0)
    for piece in (b'{"kind": "resu', b'lts", "values": {"a"', b": 1}}\n"):
        os.write(write, piece)
        listener.read()
    assert listener.results == {"a": 1}
    os.close(read)
    os.close(write)


def test_without_a_supervisor_the_channel_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHANNEL_VARIABLE, raising=False)
    channel = Channel.from_environment()
    channel.phase("data")
    channel.results(a=1)


def test_a_supervisor_that_is_gone_does_not_stop_the_work() -> None:
    channel, _, read, write = connected()
    os.close(read)
    channel.results(a=1)
    channel.results(b=2)
    os.close(write)
