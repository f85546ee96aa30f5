"""What is kept only to answer sooner never stands in the way of what is to be written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stackyard_server.store import FILE_NAME, Store
from stackyard_server.store.documents import TASK


@pytest.mark.parametrize(("path", "kept"), [("$.Args.lr.value", 1), ("$[", 0), ("x", 0)])
def test_a_start_forgets_parameters_whose_path_is_none(tmp_path: Path, path: str, kept: int) -> None:
    Store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as rows:
        rows.execute("INSERT INTO parameter(path, filled, last) VALUES (?, 0, 0)", (path,))
        rows.commit()
    store = Store(tmp_path, serving=True)
    with store.writing() as tx:
        assert tx.value("SELECT count(*) FROM parameter") == kept
        TASK.insert(tx, {"id": "a" * 32, "hyperparams": {"Args": {"lr": {"value": "1"}}}})
    store.close()
