"""The end of a session as an event: both scorers agree, and a session that stops early or goes on shows."""

from __future__ import annotations

import numpy as np
import pytest

from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.ends import END, as_events, as_network_reads
from stackyard_detector.detector.ranks import Ranks
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.torch

WITH_ENDS = DetectorConfig(history=2, end_event=True)


def test_the_network_reads_each_session_with_its_end():
    read = as_network_reads([[0, 1], [], [2]], WITH_ENDS, 4)
    assert read.values.tolist() == [0, 1, 3, 3, 2, 3]
    assert read.offsets.tolist() == [0, 3, 4, 6]
    plain = DetectorConfig(history=2)
    assert as_network_reads([[0, 1]], plain, 4).values.tolist() == [0, 1]


def test_the_end_counts_with_the_last_event_and_alone_for_nothing():
    ranks = Ranks(
        np.array([1, 2, 9, 7, 5, 3], dtype=np.int32),
        np.array([0, 3, 4, 4, 6]),
        2,
        np.array([0.1, 0.2, 6.0, 4.0, np.inf, 1.0], dtype=np.float32),
    )
    found = as_events(ranks, WITH_ENDS)
    assert found.offsets.tolist() == [0, 2, 2, 2, 3]
    assert found.values.tolist() == [1, 9, 5]
    assert found.surprise.tolist() == pytest.approx([0.1, 6.0, np.inf])
    assert found.first_position == 2
    assert as_events(Ranks(ranks.values, ranks.offsets, 2), WITH_ENDS).surprise is None


@pytest.mark.parametrize("start_padding", [False, True])
@pytest.mark.parametrize("quantitative", [False, True])
def test_both_scorers_agree_and_every_event_has_a_rank(start_padding, quantitative):
    pytest.importorskip("torch")
    from stackyard_detector.detector import fast_scoring, scoring
    from tests.stackyard_detector.detector.test_fast_scoring import random_model, random_sessions

    config = DetectorConfig(
        history=4, hidden_size=9, quantitative=quantitative, start_padding=start_padding, end_event=True
    )
    sessions = random_sessions(np.random.default_rng(3), 11)
    model = random_model(config, 11, seed=2)
    slow, fast = scoring.session_ranks(model, sessions), fast_scoring.session_ranks(model.weights(), sessions)
    np.testing.assert_array_equal(slow.values, fast.values)
    np.testing.assert_array_equal(slow.offsets, fast.offsets)
    np.testing.assert_allclose(slow.surprise, fast.surprise, atol=1e-4)
    wanted = [max(0, len(session) - config.first_position) for session in sessions]
    assert np.diff(fast.offsets).tolist() == wanted


def test_a_session_that_stops_early_or_goes_on_is_found_with_the_end_alone(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from tests.stackyard_detector.detector.test_workloads import infer, sequences, source, train

    normal = [source(sequences(tmp_path / "normal", ["0 1 2 3 4 5 0 1 2 3 4 5", "5 4 3 2 1 0"] * 40), 0)]
    stopped = [source(sequences(tmp_path / "stopped", ["0 1 2 3 4 5 0 1 2 3"] * 3), 1), *normal]
    found = {}
    for end_event in (False, True):
        folder = tmp_path / str(end_event)
        trained = train(folder, normal, epochs=20, start_padding=True, end_event=end_event)
        assert trained.said["known_events"] == 6
        judged = infer(folder / "judged", folder / "model", stopped)
        found[end_event] = judged.said["auprc"]
    assert found[True] == 1.0 > found[False]


def test_data_with_an_event_of_that_name_are_refused(tmp_path):
    pytest.importorskip("torch")
    from tests.stackyard_detector.detector.test_workloads import train

    table = tmp_path / "table.csv"
    table.write_text("events\n" + f"a|b|{END}|a|b\n" * 9, encoding="utf-8")
    data = [{"path": str(table), "format": "csv-sequences", "event_separator": "|"}]
    with pytest.raises(BadInput, match="the name of what end_event adds"):
        train(tmp_path / "out", data, end_event=True)
