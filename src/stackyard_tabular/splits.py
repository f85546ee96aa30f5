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
#: Rows, and columns, that are worked on together: memory beside the matrix itself is that of so many.
_CHUNK_ROWS, _CHUNK_COLUMNS = 4096, 32


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
    seed, share = settings["split_seed"], settings["validation_share"]
    training, validation = indices(y if classes else None, len(y), share, seed)
    parts = {"training": training, "validation": validation}
    arrays = {f"{name}_y": y[rows] for name, rows in parts.items()}
    _refuse_text(table)
    arrays.update({f"{name}_x": _matrix(table, rows, settings["dtype"]) for name, rows in parts.items()})
    mean, varies = _moments(arrays["training_x"])
    constant = varies == 0
    if constant.all():
        raise BadInput("every column is constant in the training part: there is nothing to learn from")
    scale = np.where(constant, 1.0, varies)
    if not settings["standardise"]:
        mean, scale = np.zeros(len(varies)), np.ones(len(varies))
    else:
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


def _moments(x: Any) -> Tuple[Any, Any]:
    """Mean and deviation of each column, as float64."""
    import numpy as np

    mean, deviation = np.empty(x.shape[1]), np.empty(x.shape[1])
    for start in range(0, x.shape[1], _CHUNK_COLUMNS):
        some = slice(start, start + _CHUNK_COLUMNS)
        columns = x[:, some].astype(np.float64)
        same = columns.min(axis=0) == columns.max(axis=0)  # else rounding makes a little deviation of them
        mean[some], deviation[some] = columns.mean(axis=0), np.where(same, 0.0, columns.std(axis=0))
    return mean, deviation


def _refuse_text(table: Table) -> None:
    for name in table.features:
        values = table.frame[name]
        if values.dtype.kind not in "iufb":
            example = next((one for one in values if isinstance(one, str)), values.iloc[0])
            raise BadInput(f"column {name!r} holds text ({str(example)[:40]!r}), and sgd-train takes numbers")


def _matrix(table: Table, rows: Any, dtype: str) -> Any:
    """The features of ``rows`` as one matrix.

    Raises:
        BadInput: a column holds a missing or an infinite value, or the matrix would be too large.
    """
    import numpy as np

    size = len(rows) * len(table.features) * np.dtype(dtype).itemsize
    if size > MOST_BYTES:
        raise BadInput(f"the features would take {size} bytes as {dtype}; {MOST_BYTES} is the most")
    matrix = np.empty((len(rows), len(table.features)), dtype=dtype)
    bad = np.zeros(len(table.features), dtype=bool)
    with np.errstate(over="ignore"):  # looked for below
        for start in range(0, len(rows), _CHUNK_ROWS):  # no second copy of everything
            some = rows[start : start + _CHUNK_ROWS]
            part = matrix[start : start + len(some)]
            part[:] = table.frame.iloc[some][table.features].to_numpy(dtype=dtype)
            bad |= ~np.isfinite(part).all(axis=0)
    if bad.any():
        name = table.features[int(bad.argmax())]
        missing = int(table.frame[name].isna().sum())
        if missing:
            raise BadInput(f"column {name!r} has no value in {missing} rows; tabular-clean removes such rows")
        raise BadInput(f"column {name!r} holds a value that is infinite as {dtype}")
    return matrix
