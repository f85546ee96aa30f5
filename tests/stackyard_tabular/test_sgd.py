from __future__ import annotations

import json

import numpy as np
import pytest

from stackyard_tabular import sgd, sgd_models, splits
from stackyard_task.channel import BadInput
from tests.stackyard_tabular.running import data, run


@pytest.mark.parametrize("model", ["perceptron", "logistic-regression", "svm"])
def test_a_classifier_learns_and_tells_loss_score_and_costs(model, flowers, tmp_path):
    told = run(
        "sgd-train",
        tmp_path,
        data=data(flowers),
        algorithm=model,
        batch_size=10,
        epochs=8,
        evaluate_every=20,
    )
    assert told.found["accuracy"] > 0.7
    assert told.found["steps"] == told.found["steps_planned"] == len(told.steps) == 88
    assert told.phases == ["data", "warmup", "steady", "finish"]
    assert [step for step, training, _ in told.losses if training is not None][:3] == [1, 2, 3]
    assert [step for step, _ in told.points] == [20, 40, 60, 80, 88]
    assert {"accuracy", "mean_step_seconds", "rss_minus_shared_bytes"} <= set(told.points[-1][1])
    assert told.points[-1][1]["accuracy"] == told.found["accuracy"]
    rows = np.array([[5.0, 3.4, 1.4, 0.2], [6.7, 3.1, 5.6, 2.4]])
    assert sgd_models.predict(tmp_path / "model", rows)[0] == "setosa"


def test_two_classes_and_a_regression_learn_too(flowers, line, tmp_path):
    two = data(flowers, one_against_rest="virginica")
    assert (
        run("sgd-train", tmp_path / "a", data=two, batch_size=10, **_made(tmp_path / "a")).found["accuracy"]
        > 0.8
    )
    told = run(
        "sgd-train",
        tmp_path / "b",
        data=data(line),
        algorithm="linear-regression",
        batch_size=10,
        **_made(tmp_path / "b"),
    )
    assert told.found["rmse"] < 0.1
    assert "accuracy" not in told.found
    assert sgd_models.predict(tmp_path / "b" / "model", np.array([[1.0, 2.0]]))[0] == pytest.approx(
        3.0, abs=0.2
    )


def _made(folder):
    folder.mkdir()
    return {"epochs": 10}


def test_the_first_loss_is_that_of_weights_of_zero(flowers, tmp_path):
    told = run("sgd-train", tmp_path, data=data(flowers), batch_size=10, steps=3)
    assert told.losses[0][1] == pytest.approx(3 * np.log(2))


def test_the_same_seed_trains_the_same_model_and_another_order_another_one(flowers, tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        found.append(run("sgd-train", tmp_path / name, data=data(flowers), batch_size=10, seed=seed).found)
    assert found[0]["training_loss"] == found[1]["training_loss"] != found[2]["training_loss"]


def test_every_row_is_seen_once_in_a_pass():
    steps = list(sgd.batches(10, 3, 8, seed=1))
    assert [len(rows) for rows in steps] == [3, 3, 3, 1, 3, 3, 3, 1]
    assert sorted(np.concatenate(steps[:4])) == list(range(10))
    assert not np.array_equal(np.concatenate(steps[:4]), np.concatenate(steps[4:]))


def test_a_training_that_diverges_says_so_and_knows_no_objective(line, tmp_path):
    settings = {"algorithm": "linear-regression", "learning_rate": 1e200, "batch_size": 10, "epochs": 20}
    told = run("sgd-train", tmp_path, data=data(line), **settings)
    assert told.found["diverged"] is True
    assert told.found["diverged_at_step"] >= 1
    assert not {"rmse", "training_loss", "validation_loss"} & set(told.found)
    assert not (tmp_path / "model").exists()
    assert any("diverged at step" in note for note in told.notes)


def test_losses_are_scikit_learns(flowers, tmp_path):
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import hinge_loss

    split = splits.load(data(flowers, one_against_rest="setosa"), SETTINGS)
    model = sgd_models.make("svm", "classification", 0.01, 0.0, 1)
    assert isinstance(model, SGDClassifier)
    model.partial_fit(split.training_x, split.training_y, classes=[0, 1])
    wanted = hinge_loss(split.training_y, model.decision_function(split.training_x))
    assert sgd_models.loss(model, split.training_x, split.training_y, 2) == pytest.approx(wanted, rel=1e-5)
    scored = sgd_models.score(model, split.validation_x, split.validation_y)["accuracy"]
    assert scored == model.score(split.validation_x, split.validation_y)


SETTINGS = {"split_seed": 1, "validation_share": 0.3, "standardise": True, "dtype": "float32", "shared": None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch_size": 106}, "batch_size is 106, and there are 105 rows"),
        ({"steps": 3, "epochs": 3}, "steps or epochs, not both"),
        (
            {"algorithm": "linear-regression"},
            "linear-regression predicts numbers, and the target is for classification",
        ),
        ({"shared": "/nowhere"}, "shared data: '/nowhere' is no absolute path of a folder"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(given, words, flowers, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BadInput, match=words):
        run("sgd-train", out, data=data(flowers), **given)
    assert list(out.iterdir()) == []


def test_a_larger_batch_may_be_cut(flowers, tmp_path):
    told = run("sgd-train", tmp_path, data=data(flowers), batch_size=30000, larger_batch="cut", steps=2)
    assert told.found["rows_per_step"] == told.found["training_rows"] == 105


def test_a_model_that_is_none_is_refused(tmp_path, flowers):
    with pytest.raises(BadInput, match="holds no model of sgd-train"):
        sgd_models.predict(tmp_path, [[1.0]])
    run("sgd-train", tmp_path, data=data(flowers), steps=1, batch_size=5)
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    assert about["classes"] == ["setosa", "versicolor", "virginica"]
    with pytest.raises(BadInput, match="takes 4 features"):
        sgd_models.predict(tmp_path / "model", [[1.0]])


@pytest.mark.parametrize(
    ("preset", "model", "least", "most"),
    [("pima-diabetes", "logistic-regression", 0.7, 0.85), ("red-wine", "linear-regression", 0.55, 0.75)],
)
def test_the_thesis_tables_reach_what_linear_models_reach(preset, model, least, most, public, tmp_path):
    names = {"pima-diabetes": "pima-indians-diabetes.csv", "red-wine": "winequality-red.csv"}
    table = {"sources": [{"preset": preset, "path": str(public / "master_thesis" / names[preset])}]}
    told = run("sgd-train", tmp_path, data=table, algorithm=model, batch_size=30)
    assert least < told.found.get("accuracy", told.found.get("rmse")) < most
    assert told.found["features"] == {"pima-diabetes": 8, "red-wine": 11}[preset]
