"""Which sessions are worth a look, with a real network, and what inference leaves of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("safetensors")
from stackyard_detector.detector import alarm_files, fast_scoring
from stackyard_detector.detector.calibrated import COMBINED, NETWORK, calibrate, judge
from stackyard_detector.detector.config import DetectorConfig, Weights
from stackyard_detector.detector.dataset import collect
from stackyard_detector.detector.evaluation import by_rank
from stackyard_detector.detector.model_file import Detector
from stackyard_task.channel import BadInput
from tests.stackyard_detector.detector.judging import CAME_FROM, session

pytestmark = pytest.mark.python

USUAL = ["a", "b", "c", "d", "a", "b", "c", "d", "a", "b"]


def untrained(vocabulary, history=2):
    """A network that knows nothing: weights drawn at random."""
    config = DetectorConfig(history=history, layers=1, hidden_size=4, embedding_size=3)
    draw, events = np.random.default_rng(1), vocabulary.size
    shapes = {
        "embedding.weight": (events + 2, 3),
        "lstm.weight_ih_l0": (16, 3),
        "lstm.weight_hh_l0": (16, 4),
        "lstm.bias_ih_l0": (16,),
        "lstm.bias_hh_l0": (16,),
        "output.weight": (events, 4),
        "output.bias": (events,),
    }
    arrays = {name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    return Weights(config, events, arrays)


@pytest.fixture(scope="module")
def detector():
    usual = collect([session(" ".join(USUAL[start : start + 6])) for start in range(4)] * 20)
    vocabulary = usual.vocabulary(np.arange(len(usual)))
    weights, encoded = untrained(vocabulary), usual.encoded(vocabulary)
    calibrated = calibrate(
        encoded, encoded, fast_scoring.session_ranks(weights, encoded), vocabulary.size, 0.02
    )
    return Detector(weights, vocabulary, calibrated.k, calibrated, {})


def gathered(detector, *sessions, most=10, by=None, texts=None):
    dataset = collect(sessions)
    encoded = dataset.encoded(detector.vocabulary)
    ranks = fast_scoring.session_ranks(detector.weights, encoded)
    judged = {}
    if detector.calibrated is not None:
        judged = judge(detector.calibrated.scores(encoded, ranks), detector.calibrated.thresholds)
    if by is not None:
        judged[NETWORK] = by_rank(ranks, by)
    return alarm_files.gather(
        dataset, detector, ranks, judged, by or detector.k, by is not None, most, texts or {}
    )


ODD = session("a b x x d a", key="unknown events", started_at=1.0, ended_at=2.0, label=1)
ORDER = session("d c b a d c b a", key="another order")
ORDINARY = [session("a b c d a b", key=f"ordinary {number}") for number in range(70)]


def test_alarms_and_what_comes_nearest_are_gathered_by_score(detector):
    found = gathered(detector, *ORDINARY, ODD, ORDER)
    assert found.decided_by == COMBINED
    assert set(found.dataset.keys[:2]) == {"unknown events", "another order"}
    assert (found.total_sessions, found.total_alarms) == (72, 2)
    assert len(found.dataset) == 52, "two alarms and fifty of the others"
    assert (np.diff(found.deciding.scores) <= 0).all()
    only = gathered(detector, *ORDINARY, ODD, ORDER, most=1)
    assert (only.total_alarms, len(only.alarmed()), len(only.dataset)) == (2, 1, 51)


def test_files_tell_of_unseen_events_pairs_and_what_was_expected(detector, tmp_path):
    found = gathered(detector, *ORDINARY, ODD, ORDER, texts={"x": "something <*> odd"})
    assert alarm_files.write(tmp_path, found, CAME_FROM, 10) == {"alerts": 2, "alerts_left_out": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alarms.html",
        "alerts.cef",
        "alerts.ecs.jsonl",
        "alerts.jsonl",
    ]
    lines = (tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    alarms = {alarm["key"]: alarm for alarm in map(json.loads, lines)}
    odd, order = alarms["unknown events"], alarms["another order"]
    assert odd["unexpected"][0]["text"] == "something <*> odd"
    assert "unseen_event" in odd["unexpected"][0]["reasons"]
    assert "unseen_pair" in order["unexpected"][0]["reasons"]
    expected = odd["unexpected"][0]["expected"]
    assert len(expected) == 3
    assert {event["name"] for event in expected} < {"a", "b", "c", "d"}
    shares = [event["probability"] for event in expected]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) < 1
    assert len((tmp_path / "alerts.cef").read_text(encoding="utf-8").splitlines()) == 2
    ecs = (tmp_path / "alerts.ecs.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"]["kind"] for line in ecs] == ["alert", "alert"]


def test_the_same_is_said_whatever_else_was_judged(detector):
    alone, among = gathered(detector, ODD), gathered(detector, *ORDINARY, ODD, ORDER)
    row = among.dataset.keys.index("unknown events")
    one, other = alone.seen(0), among.seen(row)
    assert np.isnan(one.surprises[:2]).all()
    assert one.surprises.tolist() == pytest.approx(other.surprises.tolist(), nan_ok=True)
    assert one.ranks.tolist() == other.ranks.tolist()
    ids, shares = alone.expected(np.array([0, 0]), np.array([3, 5]))
    others, same = among.expected(np.array([row, row]), np.array([3, 5]))
    assert ids.tolist() == others.tolist()
    assert shares == pytest.approx(same)


def test_by_rank_an_event_beyond_k_is_unusual(detector):
    found = gathered(detector, *ORDINARY[:3], ODD, by=4)
    row = found.dataset.keys.index("unknown events")
    assert found.flags[NETWORK][found.seen(row).begin :][:6].tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_model_without_calibration_alarms_by_rank_alone(detector, tmp_path):
    bare = Detector(detector.weights, detector.vocabulary, 4, None, {})
    found = gathered(bare, *ORDINARY[:3], ODD, by=4)
    assert (found.decided_by, found.total_alarms) == (NETWORK, 1)
    alarm_files.write(tmp_path, found, CAME_FROM, 10)
    (line,) = (tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    alarm = json.loads(line)
    assert (alarm["key"], alarm["severity"], list(alarm["verdicts"])) == ("unknown events", 5, ["network"])


def test_sessions_shorter_than_the_history_are_judged_by_the_other_parts(detector, tmp_path):
    found = gathered(detector, session("x", key="short"), *ORDINARY)
    alarm_files.write(tmp_path, found, CAME_FROM, 10)
    alarm = json.loads((tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (alarm["key"], alarm["unexpected"][0]["rank"], alarm["unexpected"][0]["expected"]) == (
        "short",
        None,
        [],
    )


def test_a_disk_that_fills_up_leaves_no_file_of_alarms(detector, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(alarm_files.whole_files.os, "replace", full)
    with pytest.raises(BadInput, match=r"the alarms cannot be written \(No space left on device\)"):
        alarm_files.write(tmp_path, gathered(detector, ODD), CAME_FROM, 10)
    assert list(tmp_path.iterdir()) == []
