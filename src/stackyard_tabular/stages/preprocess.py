"""Stage 2, tabular-preprocess: texts become numbers, flat columns and outliers go, the rest is scaled and condensed.

A part of the rows is held out for the test before anything is learnt. Codes of texts, variances, the Isolation Forest,
means and deviations and the principal components are learnt from the other rows alone, and then applied to both. No row
of the test is removed: what a model says of an outlier counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from stackyard_tabular import cores, handed_on, repeats, splits
from stackyard_tabular.stages import clean
from stackyard_task.channel import BadInput, Channel

STAGE = "tabular-preprocess"
FOLDER = "prepared"
ARRAYS_FILE = "arrays.npz"


def preprocess(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Prepare what tabular-clean left in ``path``; leaves the folder ``prepared``.

    Raises:
        BadInput: the folder cannot be used, or no column or too few rows are left.
    """
    channel.phase("data")
    given = handed_on.opened(Path(parameters["path"]), clean.STAGE)
    arrays = given.arrays(clean.COLUMNS_FILE)
    try:
        columns = [arrays[f"column_{index}"] for index in range(len(given.about["features"]))]
        target, classes = arrays["target"], list(given.about["classes"])
    except (KeyError, TypeError) as error:
        raise BadInput(f"{given.folder}: lacks {error}, which tabular-clean writes") from error
    channel.phase("warmup")
    import numpy as np
    import sklearn.decomposition
    import sklearn.ensemble
    import sklearn.preprocessing  # noqa: F401 - loaded before the clock runs

    settings = {**parameters, "jobs": cores.jobs(parameters["jobs"])}
    work = lambda: prepared(columns, target, settings)  # noqa: E731
    (made, told), times = repeats.timed(channel, work, parameters["repeats"])
    lost = sorted(set(range(len(classes))) - set(made["training_y"].tolist()))
    if lost:
        names = ", ".join(classes[number] for number in lost[:10])
        channel.note(f"no row of these classes is left to learn from, for all were outliers: {names}")
    folder = Path(output_folder) / FOLDER
    folder.mkdir()
    np.savez(folder / ARRAYS_FILE, **made)
    left = handed_on.seal(
        folder, STAGE, given.digest, {"classes": classes, "split_seed": parameters["split_seed"]}
    )
    channel.results(
        rows=len(target),
        **told,
        **times,
        jobs=settings["jobs"],
        made_from=left.made_from,
        handed_on=left.digest,
    )


def prepared(
    columns: List[Any], target: Any, settings: Mapping[str, Any]
) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Training and test part as arrays, and what became of rows and columns.

    Args:
        columns: One array of all rows for each column, of numbers or texts.
        target: Each row's class as a number from 0.
        settings: ``test_share``, ``split_seed``, ``least_variance``, ``outlier_share``, ``trees``, ``kept_variance``,
            ``seed``, ``jobs``.

    Raises:
        BadInput: nothing is left.
    """
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.preprocessing import StandardScaler

    learnt, test = splits.indices(target, len(target), settings["test_share"], settings["split_seed"])
    encoded = [one for one in columns if one.dtype.kind == "U"]
    training_x = np.empty((len(learnt), len(columns)))
    test_x = np.empty((len(test), len(columns)))
    for index, values in enumerate(columns):
        training_x[:, index], test_x[:, index] = _numbers(values[learnt], values[test])
    varies = training_x.var(axis=0) > settings["least_variance"]
    if not varies.any():
        raise BadInput(
            f"no column varies more than least_variance = {settings['least_variance']:g}: the greatest variance is "
            f"{training_x.var(axis=0).max():.3g}"
        )
    training_x, test_x = training_x[:, varies], test_x[:, varies]
    training_y, outliers = target[learnt], 0
    if settings["outlier_share"] > 0:
        forest = IsolationForest(
            n_estimators=settings["trees"],
            contamination=settings["outlier_share"],
            random_state=settings["seed"],
            n_jobs=settings["jobs"],
        )
        inside = forest.fit_predict(training_x) == 1
        outliers = int((~inside).sum())
        training_x, training_y = training_x[inside], training_y[inside]
    if len(set(training_y.tolist())) < 2:
        raise BadInput("fewer than two classes are left to learn from: outlier_share removes too many rows")
    scaler = StandardScaler().fit(training_x)
    # a share of 1 would mean one component to scikit-learn
    share = settings["kept_variance"] if settings["kept_variance"] < 1 else None
    components = PCA(n_components=share, svd_solver="full").fit(scaler.transform(training_x))
    made = {
        "training_x": components.transform(scaler.transform(training_x)),
        "training_y": training_y,
        "test_x": components.transform(scaler.transform(test_x)),
        "test_y": target[test],
    }
    told = {
        "training_rows": len(training_y),
        "test_rows": len(test),
        "columns_encoded": len(encoded),
        "columns_flat": int((~varies).sum()),
        "rows_outliers": outliers,
        "components": int(components.n_components_),
    }
    return made, told


def _numbers(training: Any, test: Any) -> Tuple[Any, Any]:
    """Both parts of a column as numbers: a text is its place among the training part's; one never seen comes last."""
    import numpy as np

    if training.dtype.kind != "U":
        return training, test
    known, codes = np.unique(training, return_inverse=True)
    places = np.searchsorted(known, test)
    seen = known[np.minimum(places, len(known) - 1)] == test
    return codes, np.where(seen, places, len(known))
