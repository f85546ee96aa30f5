"""Stage 3, tabular-search: settings of three models are searched by cross-validation, and the best ones are fitted.

Folds and candidates are worked on in processes side by side, as in the study: each takes memory of its own.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from stackyard_tabular import cores, handed_on
from stackyard_tabular.stages import fitted, genetic, preprocess
from stackyard_task.channel import BadInput, Channel

STAGE = "tabular-search"
FOLDER = "models"


def search(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Search on what tabular-preprocess left in ``path``; leaves the folder ``models``.

    Raises:
        BadInput: the folder cannot be used, or a class has fewer rows than there are folds.
    """
    import numpy as np

    channel.phase("data")
    given = handed_on.opened(Path(parameters["path"]), preprocess.STAGE)
    arrays = given.arrays(preprocess.ARRAYS_FILE)
    try:
        x, y = arrays["training_x"], arrays["training_y"]
    except KeyError as error:
        raise BadInput(f"{given.folder}: lacks {error}, which tabular-preprocess writes") from error
    kinds = _kinds(parameters["models"])
    folds = _folds(x, y, given.about["classes"], parameters)
    jobs, seed = cores.jobs(parameters["jobs"]), parameters["seed"]
    population, generations = parameters["population"], parameters["generations"]
    channel.phase("warmup")
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.neural_network  # noqa: F401 - loaded before the clock runs

    channel.phase("steady")
    planned, scored = len(kinds) * (population + generations * (population - 1)), 0
    best: Dict[str, genetic.Found] = {}
    models: Dict[str, Any] = {}
    for number, kind in enumerate(kinds):
        genes, begin = fitted.SPACES[kind]

        def scores(candidates: List[Dict[str, Any]], kind: str = kind) -> List[float]:
            nonlocal scored
            began = time.perf_counter()
            found = _scores(kind, candidates, x, y, folds, parameters, jobs)
            scored += len(candidates)
            channel.step(time.perf_counter() - began)
            channel.progress(scored, planned, "candidates")
            channel.metrics(scored, **{f"score_{kind}": max(found)})
            return found

        best[kind] = genetic.search(genes, begin, scores, population, generations, seed + number)
        models[kind] = _fit(kind, best[kind].settings, x, y, seed, parameters["max_iterations"], jobs)
    channel.phase("finish")
    chosen = max(kinds, key=lambda kind: best[kind].score)
    folder = Path(output_folder) / FOLDER
    folder.mkdir()
    for kind, model in models.items():
        fitted.save(folder / fitted.file_of(kind), kind, model)
    about = {
        "chosen": chosen,
        "models": {kind: {"settings": found.settings, "score": found.score} for kind, found in best.items()},
    }
    left = handed_on.seal(folder, STAGE, given.digest, about)
    for kind in kinds:
        limit = getattr(models[kind], "max_iter", None)
        if limit is not None and np.max(models[kind].n_iter_) >= limit:
            channel.note(
                f"{kind} was still getting better after {limit} passes: max_iterations ends it there"
            )
    channel.results(
        training_rows=len(y),
        components=x.shape[1],
        candidates=sum(found.tried for found in best.values()),
        fits=sum(found.tried for found in best.values()) * parameters["folds"],
        jobs=jobs,
        chosen=chosen,
        score=best[chosen].score,
        made_from=left.made_from,
        handed_on=left.digest,
        **{f"score_{kind}": found.score for kind, found in best.items()},
    )


def _kinds(named: str) -> List[str]:
    kinds = [one.strip().replace("-", "_") for one in named.split(",")]
    for kind in kinds:
        if kind not in fitted.SPACES or kinds.count(kind) > 1:
            raise BadInput(f"models is {named!r}, expected some of {', '.join(fitted.SPACES)}, each once")
    return kinds


def _folds(x: Any, y: Any, classes: List[str], parameters: Mapping[str, Any]) -> List[Tuple[Any, Any]]:
    """The rows to fit and to score by, of each fold; every class is in every fold."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    numbers, counts = np.unique(y, return_counts=True)
    if counts.min() < parameters["folds"]:
        name = classes[int(numbers[counts.argmin()])]
        raise BadInput(
            f"class {name!r} has {counts.min()} rows to learn from, and {parameters['folds']} folds need as many"
        )
    folds = StratifiedKFold(parameters["folds"], shuffle=True, random_state=parameters["seed"])
    return list(folds.split(x, y))


def _scores(
    kind: str,
    candidates: List[Dict[str, Any]],
    x: Any,
    y: Any,
    folds: List[Tuple[Any, Any]],
    parameters: Mapping[str, Any],
    jobs: int,
) -> List[float]:
    """The mean score of each candidate over the folds."""
    from sklearn.utils.parallel import Parallel, delayed

    how = (parameters["seed"], parameters["max_iterations"], parameters["score"])
    work = [delayed(fold_score)(kind, one, x, y, fold, *how) for one in candidates for fold in folds]
    told = Parallel(n_jobs=jobs)(work)
    return [sum(told[start : start + len(folds)]) / len(folds) for start in range(0, len(told), len(folds))]


def fold_score(
    kind: str,
    settings: Mapping[str, Any],
    x: Any,
    y: Any,
    fold: Tuple[Any, Any],
    seed: int,
    max_iterations: Any,
    score: str,
) -> float:
    """The score of a model on one fold: Matthews' correlation coefficient, or the accuracy."""
    from sklearn.metrics import accuracy_score, matthews_corrcoef
    from threadpoolctl import threadpool_limits

    learnt, held = fold
    with threadpool_limits(1):
        model = _fit(kind, settings, x[learnt], y[learnt], seed, max_iterations, 1)
        told = model.predict(x[held])
    return float((matthews_corrcoef if score == "mcc" else accuracy_score)(y[held], told))


def _fit(
    kind: str, settings: Mapping[str, Any], x: Any, y: Any, seed: int, max_iterations: Any, jobs: int
) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said once, of the model that is kept
        return fitted.make(kind, settings, seed, max_iterations, jobs).fit(x, y)
