"""Model folders: what is written is read back, in every stack; what is damaged is refused in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackyard_detector.detector.calibrated import calibrate
from stackyard_detector.detector.config import DetectorConfig, Weights
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_task.channel import BadInput

pytest.importorskip("safetensors")
from stackyard_detector.detector import fast_scoring, model_file

pytestmark = pytest.mark.torch

FILES = ["calibration.safetensors", "model.json", "model.safetensors"]
SOURCE = Path(model_file.__file__).resolve().parents[2]


def detector(seed=0):
    generator = np.random.default_rng(seed)
    config = DetectorConfig(history=2, layers=1, hidden_size=3, input="one-hot")
    shapes = {
        "lstm.weight_ih_l0": (12, 4),
        "lstm.weight_hh_l0": (12, 3),
        "lstm.bias_ih_l0": (12,),
        "lstm.bias_hh_l0": (12,),
        "output.weight": (4, 3),
        "output.bias": (4,),
    }
    arrays = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights = Weights(config, 4, arrays)
    sessions = [[0, 1, 2, 3, 1, 0], [1, 1, 2]]
    calibrated = calibrate(sessions, sessions, fast_scoring.session_ranks(weights, sessions), 4)
    return model_file.Detector(weights, Vocabulary(["a", "b", "c", "é"]), 2, calibrated, {"seed": seed})


def test_a_saved_detector_is_read_back_whole(tmp_path):
    saved = detector()
    model_file.save(tmp_path / "model", saved)
    loaded = model_file.load(tmp_path / "model")
    assert (loaded.config, loaded.vocabulary, loaded.k) == (saved.config, saved.vocabulary, saved.k)
    assert loaded.provenance == saved.provenance
    for name, array in saved.weights.arrays.items():
        np.testing.assert_array_equal(loaded.weights.arrays[name], array)
    assert loaded.calibrated.to_json() == saved.calibrated.to_json()
    for name, array in saved.calibrated.arrays().items():
        np.testing.assert_array_equal(loaded.calibrated.arrays()[name], array)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == FILES


def damage_nothing_there(folder):
    (folder / "model.json").unlink()


def damage_json(folder):
    (folder / "model.json").write_text("{", encoding="utf-8")


def damage_key(folder):
    (folder / "model.json").write_text('{"api_version": 1}', encoding="utf-8")


def damage_newer(folder):
    value = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**value, "api_version": 2}), encoding="utf-8")


def damage_no_weights(folder):
    (folder / "model.safetensors").unlink()


def damage_truncated_weights(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def damage_calibration(folder):
    (folder / "calibration.safetensors").write_bytes(b"no arrays")


def damage_another_models_calibration(folder):
    model_file.save(folder / "other", detector(seed=9))
    counted = model_file.load_arrays(folder / "other" / "calibration.safetensors")
    model_file.save_arrays(
        folder / "calibration.safetensors", {**counted, "length.lengths": np.array([1, 2, 3])}
    )


def damage_order_of_names(folder):
    path = folder / "model.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**value, "vocabulary": value["vocabulary"][::-1]}), encoding="utf-8")


def damage_threshold(folder):
    path = folder / "model.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["calibration"]["thresholds"]["combined"]["value"] = float("nan")
    path.write_text(json.dumps(value), encoding="utf-8")


def damage_other_vocabulary(folder):
    value = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**value, "vocabulary": ["a"]}), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_nothing_there, "no model there"),
        (damage_json, "not a model description"),
        (damage_key, "not a model description"),
        (damage_newer, "newer than 1"),
        (damage_no_weights, "cannot be read"),
        (damage_truncated_weights, "cannot be read"),
        (damage_calibration, "calibration.safetensors: cannot be read"),
        (damage_another_models_calibration, "the files are not of one model"),
        (damage_threshold, "was changed after training wrote it"),
        (damage_order_of_names, "was changed after training wrote it"),
        (damage_other_vocabulary, "was changed after training wrote it"),
    ],
)
def test_a_damaged_model_is_refused_in_one_sentence(tmp_path, damage, sentence):
    model_file.save(tmp_path, detector())
    damage(tmp_path)
    with pytest.raises(BadInput, match=sentence) as caught:
        model_file.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_model(tmp_path, monkeypatch):
    model_file.save(tmp_path, detector(seed=1))
    before = (tmp_path / "model.safetensors").read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        model_file.save(tmp_path, detector(seed=2))
    monkeypatch.undo()
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES


def test_the_other_stack_reads_what_this_one_wrote_and_the_reverse(tmp_path):
    """$STACKYARD_OTHER_PYTHON: an interpreter of another stack; the test runs in both."""
    other = os.environ.get("STACKYARD_OTHER_PYTHON")
    if not other:
        pytest.skip("STACKYARD_OTHER_PYTHON names no interpreter of another stack")
    model_file.save(tmp_path / "ours", detector())
    code = (
        "import sys; from pathlib import Path\n"
        "from stackyard_detector.detector import fast_scoring, model_file\n"
        "d = model_file.load(Path(sys.argv[1])); model_file.save(Path(sys.argv[2]), d)\n"
        "print(fast_scoring.session_ranks(d.weights, [[0, 1, 2, 3, 1, 0]]).values.tolist())\n"
    )
    paths = [str(tmp_path / "ours"), str(tmp_path / "theirs")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [other, "-c", code, *paths], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = model_file.load(tmp_path / "theirs")
    for name, array in detector().weights.arrays.items():
        np.testing.assert_array_equal(theirs.weights.arrays[name], array)
    ours = fast_scoring.session_ranks(detector().weights, [[0, 1, 2, 3, 1, 0]]).values.tolist()
    assert json.loads(done.stdout) == ours
