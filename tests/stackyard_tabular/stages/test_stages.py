"""The four stages one after the other, each in a process's own folder, as a scenario or a pipeline has them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stackyard_task.channel import BadInput
from tests.stackyard_tabular.running import data, run

FAST = {"population": 2, "generations": 0, "max_iterations": 20, "jobs": 1}


def chain(path, out, search=FAST, **keys):
    """What each stage told."""
    told = {"clean": run("tabular-clean", out, data=data(path, **keys), repeats=2)}
    told["preprocess"] = run("tabular-preprocess", out, path=str(out / "cleaned"), trees=20, repeats=2)
    told["search"] = run("tabular-search", out, path=str(out / "prepared"), **search)
    models = {"path": str(out / "prepared"), "model": str(out / "models")}
    told["evaluate"] = run("tabular-evaluate", out, repeats=2, **models)
    return told


@pytest.fixture
def mixed(tmp_path):
    """300 rows: numbers, a text, a constant, a number of the row; two rows miss a value, ten stand twice."""
    random = np.random.default_rng(1)
    kinds = random.integers(0, 3, 300)
    rows = [
        [
            str(i),
            f"{random.normal(4 * kind, 1):.3f}",
            f"{random.normal(0, 5):.3f}",
            "xyz"[kind] + "!",
            "7",
            f"k{kind}",
        ]
        for i, kind in enumerate(kinds)
    ]
    rows[0][1] = rows[1][2] = ""
    rows += [["-1", *row[1:]] for row in rows[10:20]]
    path = tmp_path / "mixed.csv"
    path.write_text("id,a,b,word,same,kind\n" + "\n".join(map(",".join, rows)) + "\n")
    return path


def test_the_chain_hands_on_and_ends_in_a_score(mixed, tmp_path):
    told = chain(mixed, tmp_path, drop=["id"])
    cleaned, prepared = told["clean"].found, told["preprocess"].found
    assert (cleaned["rows_given"], cleaned["rows_missing"], cleaned["rows_duplicate"], cleaned["rows"]) == (
        310,
        2,
        10,
        298,
    )
    assert prepared["columns_encoded"] == 1
    assert prepared["columns_flat"] == 1
    assert prepared["rows_outliers"] > 0
    assert prepared["training_rows"] + prepared["rows_outliers"] + prepared["test_rows"] == 298
    assert told["search"].found["candidates"] == 3 * 2
    for before, after in (("clean", "preprocess"), ("preprocess", "search"), ("search", "evaluate")):
        assert told[after].found["made_from"] == told[before].found["handed_on"]
    evaluated = told["evaluate"].found
    assert evaluated["mcc"] > 0.9
    assert evaluated["chosen"] == told["search"].found["chosen"]
    assert json.loads((tmp_path / "evaluation.json").read_text())["mcc"] == evaluated["mcc"]
    for stage in ("clean", "preprocess", "evaluate"):
        assert told[stage].found["stage_repeats"] == len(told[stage].steps) == 2
        assert told[stage].found["stage_seconds_min"] > 0


def test_nothing_is_learnt_from_the_test_rows(tmp_path):
    """Whatever stands in the test rows, the training part comes out the same."""
    from stackyard_tabular.stages.preprocess import prepared

    random = np.random.default_rng(2)
    numbers, words = random.normal(size=(200, 4)), np.array(list("ab"))[random.integers(0, 2, 200)]
    target = random.integers(0, 2, 200)
    settings = {"test_share": 0.2, "split_seed": 3, "least_variance": 0.0, "outlier_share": 0.05, "trees": 10}
    settings.update({"kept_variance": 0.9, "seed": 1, "jobs": 1})

    def made(numbers, words):
        return prepared([*numbers.T, words], target, settings)[0]

    first = made(numbers, words)
    from stackyard_tabular import splits

    _, test = splits.indices(target, 200, 0.2, 3)
    numbers[test] *= 1000
    words[test] = "z"
    other = made(numbers, words)
    assert np.array_equal(first["training_x"], other["training_x"])
    assert not np.array_equal(first["test_x"], other["test_x"])
    assert len(other["test_x"]) == len(test)


@pytest.mark.parametrize("kind", ["logistic_regression", "random_forest", "mlp"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_comes_back_from_its_file_and_says_the_same(kind, classes, tmp_path):
    from stackyard_tabular import handed_on
    from stackyard_tabular.stages import fitted

    random = np.random.default_rng(3)
    y = random.integers(0, classes, 120)
    x = random.normal(size=(120, 3)) + y[:, None]
    begin = {**fitted.SPACES[kind][1], **({"n_estimators": 5} if kind == "random_forest" else {})}
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fitted.make(kind, begin, 1, None if kind == "random_forest" else 20).fit(x, y)
    fitted.save(tmp_path / "m.npz", kind, model)
    back = fitted.load(handed_on.seal(tmp_path, "s", "", {}), "m.npz", kind, 3)
    assert np.array_equal(back.predict_proba(x), model.predict_proba(x))
    assert np.array_equal(back.predict(x), model.predict(x))
    with pytest.raises(BadInput, match="takes 3 features, and the rows have 4"):
        fitted.load(handed_on.seal(tmp_path, "s", "", {}), "m.npz", kind, 4)


def test_a_forest_whose_nodes_lead_astray_is_refused(tmp_path):
    from sklearn.ensemble import RandomForestClassifier

    from stackyard_tabular import handed_on
    from stackyard_tabular.stages import fitted

    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    found = fitted.arrays("random_forest", RandomForestClassifier(2, random_state=1).fit(x, y))
    for name, value in (("left_child", 99), ("right_child", 0), ("feature", 7)):
        broken = {**found, name: np.where(found["left_child"] >= 0, value, found[name])}
        np.savez(tmp_path / "m.npz", **broken)
        with pytest.raises(BadInput, match="holds no random_forest"):
            fitted.load(handed_on.seal(tmp_path, "s", "", {}), "m.npz", "random_forest", 1)


@pytest.mark.long
def test_folds_in_processes_score_as_folds_in_one(mixed, tmp_path):
    run("tabular-clean", tmp_path, data=data(mixed, drop=["id"]), repeats=1)
    run("tabular-preprocess", tmp_path, path=str(tmp_path / "cleaned"), trees=10, repeats=1)
    found = []
    for jobs in (1, 2):
        (tmp_path / str(jobs)).mkdir()
        how = {**FAST, "models": "random_forest", "jobs": jobs}
        found.append(
            run("tabular-search", tmp_path / str(jobs), path=str(tmp_path / "prepared"), **how).found
        )
    assert found[0]["score_random_forest"] == found[1]["score_random_forest"]
    assert found[0]["handed_on"] == found[1]["handed_on"]


def test_models_fitted_on_other_rows_are_refused(mixed, tmp_path):
    (tmp_path / "other").mkdir()
    chain(mixed, tmp_path, {**FAST, "models": "logistic_regression"}, drop=["id"])
    cleaned = str(tmp_path / "cleaned")
    run("tabular-preprocess", tmp_path / "other", path=cleaned, trees=10, repeats=1, split_seed=9)
    with pytest.raises(BadInput, match="were fitted on other rows"):
        run(
            "tabular-evaluate",
            tmp_path,
            path=str(tmp_path / "other" / "prepared"),
            model=str(tmp_path / "models"),
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"least_variance": 1e9}, "no column varies more than least_variance"),
        ({"path": "/nowhere"}, "name the folder that tabular-clean left"),
    ],
)
def test_preprocessing_that_leaves_nothing_is_one_sentence(given, words, mixed, tmp_path):
    run("tabular-clean", tmp_path, data=data(mixed, drop=["id"]), repeats=1)
    with pytest.raises(BadInput, match=words):
        run("tabular-preprocess", tmp_path, **{"path": str(tmp_path / "cleaned"), "trees": 10, **given})
    assert not (tmp_path / "prepared").exists()


def test_cleaning_and_searching_refuse_what_is_no_task_for_them(line, tmp_path):
    with pytest.raises(BadInput, match="the stages are for classes"):
        run("tabular-clean", tmp_path, data=data(line))
    (tmp_path / "few.csv").write_text("a,b\n" + "".join(f"{n},{'x' if n < 4 else 'y'}\n" for n in range(30)))
    run("tabular-clean", tmp_path, data=data(tmp_path / "few.csv"), repeats=1)
    run("tabular-preprocess", tmp_path, path=str(tmp_path / "cleaned"), outlier_share=0.0, repeats=1)
    with pytest.raises(BadInput, match="class 'x' has 3 rows to learn from, and 4 folds need as many"):
        run("tabular-search", tmp_path, path=str(tmp_path / "prepared"), **FAST)
    with pytest.raises(BadInput, match="models is 'svm', expected some of"):
        run("tabular-search", tmp_path, path=str(tmp_path / "prepared"), models="svm")
    (tmp_path / "empty.csv").write_text("a,b\n,x\n,y\n,y\n")
    with pytest.raises(BadInput, match="no row is left: 3 of 3 have missing values"):
        run("tabular-clean", tmp_path, data=data(tmp_path / "empty.csv"))


SETS = {
    "kpi-kqi": ("icsoft2025/KPI-KQI/database.csv.gz", 165, 13),
    "unac": ("icsoft2025/UNAC/output_full.csv.gz", 389, 21),
}


@pytest.mark.parametrize("preset", SETS)
def test_the_tables_of_the_study_are_cleaned(preset, public, tmp_path):
    name, rows, features = SETS[preset]
    table = {"sources": [{"preset": preset, "path": str(public / name)}]}
    told = run("tabular-clean", tmp_path, data=table, repeats=1)
    assert (told.found["rows_given"], told.found["features"]) == (rows, features)
