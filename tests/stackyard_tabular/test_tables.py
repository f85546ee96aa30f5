from __future__ import annotations

import numpy as np
import pytest

from stackyard_tabular import sources, tables
from stackyard_task.channel import BadInput
from tests.stackyard_tabular.running import data


def table(path, **keys):
    return tables.read(sources.read(data(path, **keys)))


def test_columns_are_told_by_header_number_or_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a;b;c\n1;x;2.5\n2;y;3.5\n")
    read = table(path, delimiter=";")
    assert (read.target, read.features, read.task) == ("c", ["a", "b"], "regression")
    assert table(path, delimiter=";", target=2).target == "b"
    assert table(path, delimiter=";", target=-2, drop=["c"]).features == ["a"]
    bare = tmp_path / "bare.csv"
    bare.write_text("1,0\n2,1\n3,0\n")
    assert table(bare, header=False).features == ["0"]
    assert table(bare, header=False, columns=["a", "b"], target="a").target == "a"


def test_parquet_is_the_same_table_as_csv(flowers, tmp_path):
    pandas = pytest.importorskip("pandas")
    pandas.read_csv(flowers).to_parquet(tmp_path / "flowers.parquet")
    other = table(tmp_path / "flowers.parquet", format="parquet", target="kind")
    assert other.frame.equals(table(flowers).frame)
    (tmp_path / "none.parquet").write_bytes(b"PAR1 no such thing PAR1")
    with pytest.raises(BadInput, match="is no Parquet file that can be read"):
        table(tmp_path / "none.parquet", format="parquet")


def test_two_files_are_one_table_and_must_have_the_same_columns(flowers, line):
    both = {"sources": [*data(flowers)["sources"], *data(flowers)["sources"]]}
    assert len(tables.read(sources.read(both)).frame) == 300
    with pytest.raises(BadInput, match="its columns differ from those of"):
        tables.read(sources.read({"sources": [*data(flowers)["sources"], *data(line)["sources"]]}))


def test_the_digest_follows_bytes_and_settings_and_not_the_place(flowers, tmp_path):
    first = table(flowers).sha256
    moved = tmp_path / "moved.csv"
    moved.write_bytes(flowers.read_bytes())
    assert table(moved).sha256 == first
    assert table(flowers, target=1).sha256 != first
    moved.write_bytes(flowers.read_bytes() + b"5,3,1,0.2,setosa\n")
    assert table(moved).sha256 != first


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("", {}, "is empty"),
        ("a,b\n", {}, "holds no row"),
        ("a,b\n1,2\n1,2,3\n", {}, "is no CSV file that can be read"),
        ("a,b\n1,2,3\n1,2,3\n", {}, "more fields than there are names"),
        ("a,b\n1,2\n", {"target": "c"}, "has no target column 'c'; it has 'a', 'b'"),
        ("a,b\n1,2\n", {"target": 3}, "the target is column 3, and the file has 2"),
        ("a,b\n1,2\n", {"drop": ["c"]}, "has no column 'c' to drop"),
        ("a,b\n1,2\n", {"drop": ["b"]}, "the target 'b' is among the columns to drop"),
        ("a\n1\n", {}, "has no column beside the target"),
        ("a,b\n\xff,1\n", {}, "is not utf-8 text"),
        ("a,b\n1,2\n", {"encoding": "klingon"}, "there is no encoding 'klingon'"),
        ("a,b\n1,2\n", {"one_against_rest": "7"}, "no row's target is '7'"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(text, keys, words, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=words):
        table(path, **keys)


def test_a_file_that_is_absent_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        table(tmp_path / "none.csv")


def test_mnist_is_70_000_images(public):
    parts = [
        {
            "preset": "mnist-784",
            "path": str(public / "mnist" / f"{part}-images-idx3-ubyte.xz"),
            "labels_path": str(public / "mnist" / f"{part}-labels-idx1-ubyte.gz"),
        }
        for part in ("train", "t10k")
    ]
    read = tables.read(sources.read({"sources": parts}))
    assert (read.frame.shape, read.target, read.task) == ((70000, 785), "label", "classification")
    assert np.bincount(read.frame["label"]).tolist()[:2] == [6903, 7877]


@pytest.mark.parametrize(
    "value", [[1.5, 2.0], {"a": 1}, b"\xff\xfe"], ids=["a list", "a struct", "bytes that are no text"]
)
def test_parquet_columns_that_nobody_can_compare_are_one_sentence(value, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    file = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"x": [1, 2], "odd": [value, value], "kind": ["a", "b"]}), file)
    for target in ("kind", "odd"):
        with pytest.raises(BadInput, match="column 'odd' holds"):
            table(file, format="parquet", target=target)
    assert table(file, format="parquet", target="kind", drop=["odd"]).features == ["x"]


def test_parquet_bytes_that_are_text_are_read_as_text(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(pyarrow.table({"x": [1, 2], "kind": [b"a", b"b"]}), tmp_path / "t.parquet")
    assert list(table(tmp_path / "t.parquet", format="parquet", target="kind").frame["kind"]) == ["a", "b"]
