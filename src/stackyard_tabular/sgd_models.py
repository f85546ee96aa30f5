"""The linear models of scikit-learn that learn by stochastic gradient descent: making, losses, files without pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Mapping

from stackyard_task.channel import BadInput

WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"
VERSION = 1
#: Model -> its loss for classes, and for numbers ("": it has none).
LOSSES: Mapping[str, Mapping[str, str]] = {
    "perceptron": {"classification": "perceptron", "regression": ""},
    "logistic-regression": {"classification": "log_loss", "regression": ""},
    "svm": {"classification": "hinge", "regression": "epsilon_insensitive"},
    "linear-regression": {"classification": "", "regression": "squared_error"},
}
#: Rows that are scored together: memory then does not grow with the rows.
_CHUNK = 4096


def make(model: str, task: str, learning_rate: float, alpha: float, seed: int) -> Any:
    """An estimator with ``partial_fit`` and a constant learning rate.

    Args:
        model: A name of ``LOSSES``.
        task: "classification" or "regression".
        learning_rate: Of each update.
        alpha: Strength of the L2 penalty; 0: none.
        seed: Of the order in which rows of a batch are seen.

    Raises:
        BadInput: the model does not fit the target.
    """
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    loss = LOSSES[model][task]
    if not loss:
        wanted = "classes" if task == "regression" else "numbers"
        raise BadInput(f"{model} predicts {wanted}, and the target is for {task}; choose another algorithm")
    kind = SGDClassifier if task == "classification" else SGDRegressor
    return kind(
        loss=loss,
        learning_rate="constant",
        eta0=learning_rate,
        penalty="l2" if alpha else None,
        alpha=alpha or 0.0001,
        random_state=seed,
    )


def loss(estimator: Any, x: Any, y: Any, classes: int) -> float:
    """The mean loss over rows, of the kind that the estimator learns by; for classes summed over one against the rest.

    NaN and infinities come back as they are. Before the first ``partial_fit`` all weights count as 0.

    Args:
        estimator: One that ``make`` made.
        x: Features (rows x columns).
        y: Targets; classes as numbers from 0.
        classes: How many classes there are; 0 of a regression.
    """
    import numpy as np

    total, learnt = 0.0, hasattr(estimator, "coef_")
    with np.errstate(all="ignore"):
        for start in range(0, len(y), _CHUNK):
            rows = slice(start, start + _CHUNK)
            wanted = y[rows]
            raw = (
                _raw(estimator, x[rows]) if learnt else np.zeros((len(wanted), classes if classes > 2 else 1))
            )
            total += _summed(estimator, raw, wanted)
    return total / len(y)


def _raw(estimator: Any, x: Any) -> Any:
    """Rows times weights: of shape (rows, 1), or (rows, classes)."""
    import numpy as np

    return x @ np.atleast_2d(estimator.coef_).T + estimator.intercept_


def _summed(estimator: Any, raw: Any, y: Any) -> float:
    import numpy as np

    kind = estimator.loss
    if kind == "squared_error":  # half of it, as scikit-learn has it
        return float((0.5 * (raw[:, 0] - y) ** 2).sum())
    if kind == "epsilon_insensitive":
        return float(np.maximum(0.0, np.abs(raw[:, 0] - y) - estimator.epsilon).sum())
    classes = np.arange(raw.shape[1]) if raw.shape[1] > 1 else np.array([1])
    margin = raw * np.where(y[:, None] == classes, 1.0, -1.0)
    if kind == "log_loss":
        return float(np.logaddexp(0.0, -margin).sum())
    return float(np.maximum(0.0, (1.0 if kind == "hinge" else 0.0) - margin).sum())


def score(estimator: Any, x: Any, y: Any) -> Dict[str, float]:
    """``accuracy`` of classes, or ``rmse`` of numbers."""
    import numpy as np

    total = 0.0
    for start in range(0, len(y), _CHUNK):
        raw = _raw(estimator, x[start : start + _CHUNK])
        wanted = y[start : start + _CHUNK]
        if estimator.loss in ("squared_error", "epsilon_insensitive"):
            total += float(((raw[:, 0] - wanted) ** 2).sum())
        else:
            told = raw.argmax(axis=1) if raw.shape[1] > 1 else (raw[:, 0] > 0).astype(int)
            total += float((told == wanted).sum())
    if estimator.loss in ("squared_error", "epsilon_insensitive"):
        return {"rmse": float(np.sqrt(total / len(y)))}
    return {"accuracy": total / len(y)}


def save(folder: Path, estimator: Any, mean: Any, scale: Any, about: Mapping[str, Any]) -> None:
    """Write the model's folder: weights.npz, whose arrays need no pickle, and model.json."""
    import numpy as np

    folder.mkdir()
    arrays: Dict[str, Any] = {
        "coef": estimator.coef_,
        "intercept": estimator.intercept_,
        "mean": mean,
        "scale": scale,
    }
    np.savez(folder / WEIGHTS_FILE, **arrays)
    whole = {"api_version": VERSION, "loss": estimator.loss, **about}
    (folder / MODEL_FILE).write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def predict(folder: Path, x: Any) -> List[Any]:
    """What the model of ``folder`` says of raw rows (rows x features): names of classes, or numbers.

    Raises:
        BadInput: the folder holds no such model, or the rows have another number of features.
    """
    import numpy as np

    try:
        about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
            coef, intercept, mean, scale = (arrays[name] for name in ("coef", "intercept", "mean", "scale"))
        classes = list(about["classes"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{folder}: holds no model of sgd-train ({error})") from error
    x = np.asarray(x, dtype=float)
    if x.ndim != 2 or x.shape[1] != len(mean):
        raise BadInput(f"{folder}: the model takes {len(mean)} features, and the rows have shape {x.shape}")
    raw = ((x - mean) / scale) @ np.atleast_2d(coef).T + intercept
    if not classes:
        return raw[:, 0].tolist()
    told = raw.argmax(axis=1) if raw.shape[1] > 1 else (raw[:, 0] > 0).astype(int)
    return [classes[number] for number in told]
