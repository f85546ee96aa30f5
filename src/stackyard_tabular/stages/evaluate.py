"""Stage 4, tabular-evaluate: what the models are worth on the test rows, which nothing was learnt from.

The model that counts is the one with the best score in cross-validation: to choose by the test would be to learn from
it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping

from stackyard_tabular import handed_on, repeats
from stackyard_tabular.stages import fitted, preprocess, search
from stackyard_task.channel import BadInput, Channel

EVALUATION_FILE = "evaluation.json"


def evaluate(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Judge what tabular-search left in ``model`` by the test rows in ``path``; leaves ``evaluation.json``.

    Raises:
        BadInput: a folder cannot be used, or the models were fitted on other rows.
    """
    channel.phase("data")
    rows = handed_on.opened(Path(parameters["path"]), preprocess.STAGE)
    given = handed_on.opened(Path(parameters["model"]), search.STAGE)
    if given.made_from != rows.digest:
        raise BadInput(f"{given.folder}: its models were fitted on other rows than those of {rows.folder}")
    arrays = rows.arrays(preprocess.ARRAYS_FILE)
    try:
        x, y = arrays["test_x"], arrays["test_y"]
        kinds, chosen = list(given.about["models"]), given.about["chosen"]
        models = {
            kind: fitted.load(given, fitted.file_of(kind), kind, x.shape[1]) for kind in [chosen, *kinds]
        }
    except (KeyError, TypeError) as error:
        raise BadInput(f"{rows.folder} or {given.folder}: lacks {error}") from error
    channel.phase("warmup")
    import sklearn.metrics  # noqa: F401 - loaded before the clock runs

    worth, times = repeats.timed(channel, lambda: judged(models, x, y), parameters["repeats"])
    told = {"chosen": chosen, "mcc": worth[chosen]["mcc"], "accuracy": worth[chosen]["accuracy"]}
    whole = {"api_version": 1, **told, "models": worth, "test_rows": len(y)}
    (Path(output_folder) / EVALUATION_FILE).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    channel.results(
        **told,
        **{f"mcc_{kind}": one["mcc"] for kind, one in worth.items()},
        test_rows=len(y),
        made_from=given.digest,
        **times,
    )


def judged(models: Mapping[str, Any], x: Any, y: Any) -> Dict[str, Dict[str, float]]:
    """Matthews' correlation coefficient and the accuracy of each model."""
    from sklearn.metrics import matthews_corrcoef

    found = {}
    for kind, model in models.items():
        told = model.predict(x)
        found[kind] = {"mcc": float(matthews_corrcoef(y, told)), "accuracy": float((told == y).mean())}
    return found
