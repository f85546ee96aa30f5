"""The channel and its listener, over a real pipe."""

from __future__ import annotations

import os
import time
from typing import Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_task.channel import CHANNEL_VARIABLE, Channel
from stackyard_task.listener import Listener
from stackyard_task.records import Environment, GpuUse, Measurement


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


def test_an_unknown_phase_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="lunch"):
        Channel().phase("lunch")


@settings(max_examples=60, deadline=None)
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
