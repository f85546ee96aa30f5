"""Small tables to work on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip(
    "sklearn", reason="the second guest runs on the stack sklearn-1.9.1-cpu; make test arranges that"
)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """150 rows of four numbers, and one of three classes."""
    from sklearn.datasets import load_iris

    found = load_iris(as_frame=True)
    frame = found.frame.assign(target=found.target.map({0: "setosa", 1: "versicolor", 2: "virginica"}))
    frame.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width", "kind"]
    path = tmp_path / "flowers.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """200 rows of two numbers, and a third that is nearly their sum."""
    import numpy as np

    random = np.random.default_rng(1)
    x = random.normal(size=(200, 2))
    rows = np.column_stack([x, x.sum(axis=1) + 0.01 * random.normal(size=200)])
    path = tmp_path / "line.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,total", comments="")
    return path


@pytest.fixture
def public() -> Path:
    """The folder of public data sets."""
    folder = os.environ.get("STACKYARD_DATA", "")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("STACKYARD_DATA names no folder with the public tables")
    return Path(folder)
