"""Training: it learns, repeats exactly, stops early, resumes exactly, and refuses what cannot work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stackyard_detector.detector.config import DetectorConfig
from stackyard_task.channel import BadInput, Channel

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from stackyard_detector.detector import scoring, training  # noqa: E402
from stackyard_detector.detector.training import TrainingParameters, learning_rate, train  # noqa: E402

pytestmark = pytest.mark.torch
CONFIG = DetectorConfig(history=3, layers=1, hidden_size=16)
CYCLES = [np.array([(start + step) % 5 for step in range(12)]) for start in range(5)] * 8


class Listener(Channel):
    """Keeps what training says; may break off after some validations."""

    def __init__(self, break_off_after=None):
        super().__init__()
        self.losses, self.phases, self.steps, self.said = [], [], [], {}
        self._break_off_after = break_off_after

    def phase(self, name):
        self.phases.append(name)

    def step(self, seconds):
        self.steps.append(seconds)

    def loss(self, step, training=None, validation=None):
        self.losses.append((step, training, validation))

    def progress(self, done, total, unit="steps"):
        if self._break_off_after is not None and len(self.losses) >= self._break_off_after:
            raise KeyboardInterrupt
        assert 0 < done <= total

    def results(self, **values):
        self.said.update(values)


def weights_of(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def assert_same_weights(one, other):
    for name, array in weights_of(one).items():
        np.testing.assert_array_equal(array, weights_of(other)[name], err_msg=name)


@pytest.mark.parametrize(
    ("input_kind", "quantitative"),
    [
        ("scalar", False),
        ("one-hot", True),
        ("embedding", False),
        pytest.param("scalar", True, marks=pytest.mark.long),
        pytest.param("one-hot", False, marks=pytest.mark.long),
        pytest.param("embedding", True, marks=pytest.mark.long),
    ],
)
def test_it_learns_what_follows_what(input_kind, quantitative):
    config = DetectorConfig(3, 1, 16, input=input_kind, quantitative=quantitative)
    listener = Listener()
    model = train(CYCLES, CYCLES[:5], config, 5, TrainingParameters(epochs=30, batch_size=32), listener)
    assert listener.losses[-1][2] < listener.losses[0][2] / 2
    assert scoring.session_ranks(model, CYCLES[:5]).values.max() == 1
    assert listener.phases == ["warmup", "steady"]
    assert len(listener.steps) == listener.said["steps"] - training.WARM_UP_STEPS


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    how = TrainingParameters(epochs=2, batch_size=32, seed=5)
    one, other = (train(CYCLES, CYCLES[:5], CONFIG, 5, how) for _ in range(2))
    assert_same_weights(one, other)
    different = train(CYCLES, CYCLES[:5], CONFIG, 5, TrainingParameters(epochs=2, batch_size=32, seed=6))
    assert not np.array_equal(weights_of(one)["output.weight"], weights_of(different)["output.weight"])


def test_equal_windows_merged_give_the_loss_and_gradient_of_all_windows():
    from stackyard_detector.detector.model import Model
    from stackyard_detector.detector.windows import windows

    cut = windows(CYCLES, CONFIG, 5)
    contexts, targets = torch.from_numpy(cut.contexts).long(), torch.from_numpy(cut.targets).long()
    torch.manual_seed(0)
    model = Model(CONFIG, 5)
    plain = torch.nn.functional.cross_entropy(model(contexts), targets)
    plain.backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    batches = training._Batches(cut, TrainingParameters(batch_size=10_000), torch.device("cpu"))
    batch = batches.at(0)
    assert len(batch[0]) == 5  # of 360 windows
    loss = training._step(model, optimizer, training._Arithmetic("float32", torch.device("cpu")), *batch)
    assert loss == pytest.approx(plain.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_every_window_is_used_once_per_epoch():
    from stackyard_detector.detector.windows import windows

    cut = windows([np.arange(4) for _ in range(11)], DetectorConfig(history=1), 4)
    batches = training._Batches(cut, TrainingParameters(batch_size=4, seed=2), torch.device("cpu"))
    shares = [float(batches.at(step)[2].sum()) for step in range(9)]
    assert shares == pytest.approx([1.0] * 9)
    drawn = np.zeros(4)
    for step in range(9):
        contexts, _, share = batches.at(step)
        size = 4 if step < 8 else 1
        np.add.at(drawn, contexts[:, 0].numpy(), np.round(share.numpy() * size))
    assert drawn.tolist() == [11, 11, 11, 0]


def test_an_interrupted_run_resumes_to_the_very_same_weights(tmp_path):
    how = TrainingParameters(epochs=6, batch_size=32, validate_every=5, checkpoint_seconds=0)
    whole = train(CYCLES, CYCLES[:5], CONFIG, 5, how)
    with pytest.raises(KeyboardInterrupt):
        train(CYCLES, CYCLES[:5], CONFIG, 5, how, Listener(break_off_after=4), tmp_path)
    saved = json.loads((tmp_path / "checkpoint.json").read_text(encoding="utf-8"))
    assert saved["step"] == 20
    listener = Listener()
    resumed = train(CYCLES, CYCLES[:5], CONFIG, 5, how, listener, tmp_path, resume_from=tmp_path)
    assert listener.losses[0][0] == 25
    assert_same_weights(whole, resumed)
    assert list(tmp_path.iterdir()) == [], "a finished training leaves no checkpoint"


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    how = TrainingParameters(epochs=3, batch_size=32, checkpoint_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        train(CYCLES, CYCLES[:5], CONFIG, 5, how, Listener(break_off_after=1), tmp_path)
    other = TrainingParameters(epochs=3, batch_size=64, checkpoint_seconds=0)
    with pytest.raises(BadInput, match="the checkpoint was made with parameters"):
        train(CYCLES, CYCLES[:5], CONFIG, 5, other, resume_from=tmp_path)
    with pytest.raises(BadInput, match="no checkpoint to resume"):
        train(CYCLES, CYCLES[:5], CONFIG, 5, how, resume_from=tmp_path / "elsewhere")


def test_training_stops_when_validation_no_longer_improves():
    reversed_cycles = [session[::-1].copy() for session in CYCLES[:5]]
    how = TrainingParameters(epochs=50, batch_size=32, patience=2)
    listener = Listener()
    train(CYCLES, reversed_cycles, CONFIG, 5, how, listener)
    assert listener.said["stopped_early"]
    losses = [validation for _, _, validation in listener.losses]
    assert min(losses) == losses[-3]
    assert listener.said["validation_loss"] == min(losses)


def test_a_loss_that_is_not_a_number_is_refused():
    how = TrainingParameters(epochs=5, batch_size=32, learning_rate=3e37, schedule="constant")
    with pytest.raises(BadInput, match=r"loss became (nan|inf).*learning_rate"):
        train(CYCLES, CYCLES[:5], CONFIG, 5, how)


def test_a_history_longer_than_every_session_is_refused():
    with pytest.raises(BadInput, match=r"longer than the history of 12 events \(longest: 12\)"):
        train(CYCLES, CYCLES[:5], DetectorConfig(history=12), 5)


def test_bfloat16_trains_or_is_refused_in_one_sentence():
    config = DetectorConfig(3, 1, 16, dtype="bfloat16")
    how = TrainingParameters(epochs=30, batch_size=32)
    try:
        model = train(CYCLES, CYCLES[:5], config, 5, how)
    except BadInput:
        with pytest.raises(BadInput, match='use dtype = "float32"'):
            train(CYCLES, CYCLES[:5], config, 5, how)
        return
    assert model.output.weight.dtype == torch.float32
    assert scoring.session_ranks(model, CYCLES[:5]).values.max() == 1


def test_the_learning_rate_goes_up_and_down_once():
    how = TrainingParameters(learning_rate=0.01)
    course = [learning_rate(how, step, 100) for step in range(100)]
    assert max(course) == pytest.approx(0.01)
    top = course.index(max(course))
    assert top == 30
    assert course[: top + 1] == sorted(course[: top + 1])
    assert course[top:] == sorted(course[top:], reverse=True)
    assert course[-1] < 1e-4
    constant = TrainingParameters(learning_rate=0.01, schedule="constant")
    assert learning_rate(constant, 99, 100) == 0.01
