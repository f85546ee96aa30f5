"""Numbers to train and to validate on: a table's features as one matrix, split by a seed and standardised."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from stackyard_tabular import shared_data, sources, tables
from stackyard_tabular.tables import Table
from stackyard_task.channel import BadInput

#: What one matrix of features may take.
MOST_BYTES = 4 << 30
#: A change of how splits are made makes other entries of shared data.
_VERSION = 1


@dataclass(frozen=True)
class Split:
    """Features (rows x columns, float) and targets (rows; classes as numbers from 0) of both parts."""

    training_x: Any
    training_y: Any
    validation_x: Any
    validation_y: Any
    #: What was taken from each column and what it was divided by; none: not standardised.
    mean: Any
    scale: Any
    #: "classification" or "regression".
    task: str
    #: The classes' names, in the order of their numbers; empty for a regression.
    classes: List[str]
    features: List[str]
    constant_columns: int
    sha256: str
    #: Whether the arrays lie in memory that other processes map too.
    shared: bool = False


def load(data: Mapping[str, Any], parameters: Mapping[str, Any]) -> Split:
    """The split of ``data`` by ``split_seed``, ``validation_share``, ``standardise`` and ``dtype`` of ``parameters``.

    Taken from the folder of shared data where one is named, made else.

    Raises:
        BadInput: the data cannot be used.
    """
    settings = {name: parameters[name] for name in ("split_seed", "validation_share", "standardise", "dtype")}
    place = shared_data.folder(parameters["shared"])
    read = sources.read(data)

    def make() -> Tuple[Dict[str, Any], Mapping[str, Any]]:
        return _made(tables.read(read), settings)

    if place is None:
        return _of(*make(), shared=False)
    whole = json.dumps([_VERSION, tables.digest(read), settings], sort_keys=True)
    found = shared_data.arrays(place, hashlib.sha256(whole.encode()).hexdigest(), make)
    return _of(*found)


def _of(arrays: Mapping[str, Any], facts: Mapping[str, Any], shared: bool) -> Split:
    return Split(**arrays, **facts, shared=shared)


def _made(table: Table, settings: Mapping[str, Any]) -> Tuple[Dict[str, Any], Mapping[str, Any]]:
    import numpy as np

    y, classes = _targets(table)
    x = _matrix(table, settings["dtype"])
    seed, share = settings["split_seed"], settings["validation_share"]
    training, validation = indices(y if classes else None, len(y), share, seed)
    parts = {"training": training, "validation": validation}
    arrays = {f"{name}_y": y[rows] for name, rows in parts.items()}
    arrays.update({f"{name}_x": x[rows] for name, rows in parts.items()})
    del x
    varies = arrays["training_x"].std(axis=0, dtype=np.float64)
    constant = varies == 0
    if constant.all():
        raise BadInput("every column is constant in the training part: there is nothing to learn from")
    mean, scale = np.zeros(len(varies)), np.ones(len(varies))
    if settings["standardise"]:
        mean = arrays["training_x"].mean(axis=0, dtype=np.float64)
        scale = np.where(constant, 1.0, varies)
        for name in parts:
            arrays[f"{name}_x"] -= mean.astype(settings["dtype"])
            arrays[f"{name}_x"] /= scale.astype(settings["dtype"])
    facts = {
        "task": table.task,
        "classes": classes,
        "features": table.features,
        "constant_columns": int(constant.sum()),
        "sha256": table.sha256,
    }
    return {**arrays, "mean": mean, "scale": scale}, facts


def indices(classes: Optional[Any], rows: int, share: float, seed: int) -> Tuple[Any, Any]:
    """The rows to learn from and those held out, each in a random order; of each class the same share of rows.

    Args:
        classes: Each row's class as a number from 0; ``None``: there are none, and all rows are alike.
        rows: How many there are.
        share: Which part is held out.
        seed: Of the order.

    Returns:
        Two arrays of row numbers. A class of one row is learnt from; of any other at least one row is on either side.

    Raises:
        BadInput: one of the parts would be empty.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    order = random.permutation(rows)
    if classes is None:
        held = order[: round(share * rows)]
    else:
        groups = [order[classes[order] == one] for one in range(int(classes.max()) + 1)]
        counts = [min(max(1, round(share * len(group))), len(group) - 1) for group in groups]
        held = np.concatenate([group[:count] for group, count in zip(groups, counts)])
        held = held[random.permutation(len(held))]
    learnt = order[~np.isin(order, held)]
    if not len(held) or not len(learnt):
        raise BadInput(f"{rows} rows cannot be split: a part of {share:g} or the rest would be empty")
    return learnt, held


def _targets(table: Table) -> Tuple[Any, List[str]]:
    """The target as numbers, and the classes' names."""
    import numpy as np

    values = table.frame[table.target]
    if values.isna().any():
        raise BadInput(
            f"{int(values.isna().sum())} rows have no target {table.target!r}; tabular-clean removes such rows"
        )
    if table.task == "classification":
        return classes_of(values, table.target)
    if values.dtype.kind not in "iufb":
        raise BadInput(f"the target {table.target!r} holds text, and a regression takes numbers")
    numbers = values.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise BadInput(f"the target {table.target!r} holds an infinite value")
    if (numbers == numbers[0]).all():
        raise BadInput(
            f"the target {table.target!r} is {numbers[0]:g} in every row: there is nothing to learn"
        )
    return numbers, []


def classes_of(values: Any, name: str) -> Tuple[Any, List[str]]:
    """Each value's class as a number from 0, and the classes' names.

    Raises:
        BadInput: there is one class, or there are as many as rows.
    """
    import numpy as np

    found, numbers = np.unique(values.to_numpy(), return_inverse=True)
    if len(found) == 1:
        raise BadInput(
            f"the target {name!r} is {str(found[0])!r} in every row: one class cannot be told from another"
        )
    if len(found) == len(numbers):
        raise BadInput(
            f"the target {name!r} has another value in each of {len(numbers)} rows: these are no classes"
        )
    return numbers.astype(np.int64), [str(one) for one in found]


def _matrix(table: Table, dtype: str) -> Any:
    """The features as one matrix.

    Raises:
        BadInput: a column holds text, a missing or an infinite value, or the matrix would be too large.
    """
    import numpy as np

    features = table.frame[table.features]
    for name in table.features:
        if features[name].dtype.kind not in "iufb":
            example = next((one for one in features[name] if isinstance(one, str)), features[name].iloc[0])
            raise BadInput(f"column {name!r} holds text ({str(example)[:40]!r}), and sgd-train takes numbers")
    size = len(features) * len(table.features) * np.dtype(dtype).itemsize
    if size > MOST_BYTES:
        raise BadInput(f"the features would take {size} bytes as {dtype}; {MOST_BYTES} is the most")
    with np.errstate(over="ignore"):  # looked for below
        matrix = features.to_numpy(dtype=dtype, copy=True)
    bad = ~np.isfinite(matrix).all(axis=0)
    if bad.any():
        name = table.features[int(bad.argmax())]
        missing = int(features[name].isna().sum())
        if missing:
            raise BadInput(f"column {name!r} has no value in {missing} rows; tabular-clean removes such rows")
        raise BadInput(f"column {name!r} holds a value that is infinite as {dtype}")
    return matrix
