"""The numpy scorer gives what the PyTorch scorer gives, position for position."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.detector import fast_scoring
from stackyard_detector.detector.config import DetectorConfig, Weights
from stackyard_detector.detector.windows import pack
from tests.counts import LONG

pytestmark = pytest.mark.torch

INPUTS = ("scalar", "one-hot", "embedding")


def random_model(config, events, seed, scale=3.0):
    """A network with random weights, large enough that predictions differ a lot from context to context."""
    torch = pytest.importorskip("torch")
    from stackyard_detector.detector.model import Model

    torch.manual_seed(seed)
    model = Model(config, events)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


def random_sessions(generator, events, count=40, longest=30):
    """Sessions with repeats, empty ones, and unknown events."""
    sessions = [generator.integers(0, events + 1, size=generator.integers(0, longest)) for _ in range(count)]
    return sessions + sessions[: count // 2]


def assert_equal_scores(model, sessions):
    from stackyard_detector.detector import scoring

    slow, fast = scoring.session_ranks(model, sessions), fast_scoring.session_ranks(model.weights(), sessions)
    np.testing.assert_array_equal(slow.offsets, fast.offsets)
    assert slow.first_position == fast.first_position
    np.testing.assert_array_equal(slow.values, fast.values)
    for k in (1, 2, 5):
        for ours, theirs in zip(
            fast_scoring.verdicts(model.weights(), sessions, k), scoring.verdicts(model, sessions, k)
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("input_kind", INPUTS)
@pytest.mark.parametrize("start_padding", [False, True])
@pytest.mark.parametrize("quantitative", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_both_scorers_agree(input_kind, start_padding, quantitative, layers):
    generator = np.random.default_rng([layers, quantitative, start_padding, INPUTS.index(input_kind)])
    config = DetectorConfig(
        history=int(generator.integers(1, 12)),
        layers=layers,
        hidden_size=int(generator.integers(1, 40)),
        input=input_kind,
        embedding_size=5,
        quantitative=quantitative,
        start_padding=start_padding,
    )
    events = int(generator.integers(1, 40))
    assert_equal_scores(random_model(config, events, seed=layers), random_sessions(generator, events))


#: 200 at full counts.
RANDOM_CONFIGURATIONS = 200 if LONG else 3


@pytest.mark.parametrize("seed", range(RANDOM_CONFIGURATIONS))
def test_both_scorers_agree_on_random_configurations(seed):
    generator = np.random.default_rng(seed)
    config = DetectorConfig(
        history=int(generator.integers(1, 20)),
        layers=int(generator.integers(1, 4)),
        hidden_size=int(generator.integers(1, 70)),
        input=INPUTS[seed % 3],
        embedding_size=int(generator.integers(1, 20)),
        quantitative=bool(generator.integers(2)),
        start_padding=bool(generator.integers(2)),
    )
    events = int(generator.integers(1, 300))
    assert_equal_scores(random_model(config, events, seed), random_sessions(generator, events))


def test_more_contexts_than_one_chunk_and_longer_than_one_number_holds():
    """300 events and 40 of history do not fit a 64-bit key; thousands of contexts do not fit one chunk."""
    generator = np.random.default_rng(0)
    model = random_model(DetectorConfig(history=40, hidden_size=4, layers=1), 300, seed=0)
    sessions = [generator.integers(0, 301, size=140) for _ in range(30)]
    assert_equal_scores(model, sessions)


@pytest.mark.parametrize("sessions", [[], [[]], [[0, 1]], [[0, 1, 0]], [[2, 2, 2, 2]]])
def test_short_empty_and_unknown_sessions(sessions):
    model = random_model(DetectorConfig(history=3, hidden_size=4), 2, seed=0)
    assert_equal_scores(model, [np.array(session, dtype=np.int32) for session in sessions])


def test_equal_predictions_rank_in_the_order_of_ids():
    """A network of zeros finds every event equally probable."""
    model = random_model(DetectorConfig(history=1, hidden_size=2, layers=1), 4, seed=0, scale=0.0)
    sessions = [np.array([0, 0, 1, 2, 3, 4])]
    assert fast_scoring.session_ranks(model.weights(), sessions).values.tolist() == [1, 2, 3, 4, 5]
    assert_equal_scores(model, sessions)


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=12))
def test_every_session_is_a_copy_of_its_distinct_one(sessions):
    packed = pack(sessions)
    distinct, copy_of = fast_scoring.distinct_sessions(packed)
    kept = [
        distinct.values[distinct.offsets[i] : distinct.offsets[i + 1]].tolist() for i in range(len(distinct))
    ]
    assert [kept[number] for number in copy_of] == sessions
    assert len({tuple(session) for session in kept}) == len(kept)


@given(st.lists(st.lists(st.integers(0, 999), min_size=9, max_size=9), min_size=1, max_size=20))
def test_distinct_contexts_are_sorted_and_complete(rows):
    contexts = np.array(rows, dtype=np.int32)
    symbols = np.append(contexts.ravel(), 0)
    distinct, number = fast_scoring.distinct_contexts(symbols, 9 + 9 * np.arange(len(rows)), 9)
    assert distinct.tolist() == [list(row) for row in sorted({tuple(row) for row in rows})]
    np.testing.assert_array_equal(distinct[number], contexts)


def test_the_fast_scorer_needs_no_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from stackyard_detector.detector import fast_scoring\n"
        "from stackyard_detector.detector.config import DetectorConfig, Weights\n"
        "one = {'lstm.weight_ih_l0': (4, 1), 'lstm.weight_hh_l0': (4, 1), 'lstm.bias_ih_l0': (4,),\n"
        "       'lstm.bias_hh_l0': (4,), 'output.weight': (2, 1), 'output.bias': (2,)}\n"
        "arrays = {name: np.ones(shape, dtype=np.float32) for name, shape in one.items()}\n"
        "config = DetectorConfig(history=1, layers=1, hidden_size=1, input='scalar')\n"
        "print(fast_scoring.verdicts(Weights(config, 2, arrays), [[0, 1, 0, 2]], 1)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[1]", done.stderr


def test_hand_computed_scores():
    """One unit, one step: logits from the LSTM equations written out (Hochreiter and Schmidhuber 1997)."""
    arrays = {
        "lstm.weight_ih_l0": np.array([[0.5], [9.0], [1.0], [-0.5]], dtype=np.float32),
        "lstm.weight_hh_l0": np.zeros((4, 1), dtype=np.float32),
        "lstm.bias_ih_l0": np.array([0.1, 0.0, -0.2, 0.3], dtype=np.float32),
        "lstm.bias_hh_l0": np.zeros(4, dtype=np.float32),
        "output.weight": np.array([[1.0], [-2.0], [0.5]], dtype=np.float32),
        "output.bias": np.array([0.0, 0.1, 0.2], dtype=np.float32),
    }
    config = DetectorConfig(history=1, layers=1, hidden_size=1, input="scalar")

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    contexts = np.array([[0], [1], [2]])
    x = contexts[:, 0]
    cell = sigmoid(0.5 * x + 0.1) * np.tanh(1.0 * x - 0.2)
    hidden = sigmoid(-0.5 * x + 0.3) * np.tanh(cell)
    expected = hidden[:, None] * np.array([1.0, -2.0, 0.5]) + np.array([0.0, 0.1, 0.2])
    computed = fast_scoring.Network(Weights(config, 3, arrays)).logits(contexts)
    np.testing.assert_allclose(computed, expected, rtol=1e-5)


def test_logits_in_pieces_give_the_same_ranks(monkeypatch):
    weights = random_model(DetectorConfig(history=3, hidden_size=8), 7, seed=5).weights()
    sessions = random_sessions(np.random.default_rng(1), 7)
    whole = fast_scoring.session_ranks(weights, sessions)
    monkeypatch.setattr(fast_scoring, "CELLS_AT_ONCE", 7 * 11)
    pieces = fast_scoring.session_ranks(weights, sessions)
    np.testing.assert_array_equal(pieces.values, whole.values)
    np.testing.assert_allclose(pieces.surprise, whole.surprise, rtol=1e-5)
