from __future__ import annotations

import pytest

from stackyard_tabular import presets, sources
from stackyard_task.channel import BadInput


def read(*given):
    return sources.read({"sources": list(given)})


def test_a_preset_is_the_keys_it_stands_for_and_ours_go_before_them():
    (one,) = read({"path": "/a.csv", "preset": "red-wine", "task": "classification"})
    assert (one.target, one.header, len(one.columns), one.task) == ("quality", False, 12, "classification")


def test_every_preset_is_a_source():
    for name in presets.PRESETS:
        more = {"labels_path": "/l"} if name == "mnist-784" else {}
        assert read({"path": "/a", "preset": name, **more})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": "/a", "format": "xls"}, "format is 'xls', expected one of csv, parquet, idx"),
        ({"path": "/a", "preset": "wine"}, "there is no preset 'wine'"),
        ({"format": "csv"}, "names no path"),
        ({"path": "/a", "format": "csv", "seperator": ";"}, "unknown key 'seperator'"),
        (
            {"path": "/a", "format": "parquet", "delimiter": ";"},
            "delimiter has no effect with format 'parquet'",
        ),
        ({"path": "/a", "format": "csv", "delimiter": "ab"}, "expected one character"),
        ({"path": "/a", "format": "csv", "header": "no"}, "header is 'no', expected true or false"),
        ({"path": "/a", "format": "csv", "target": True}, "target is True"),
        ({"path": "/a", "format": "csv", "target": 0}, "target is 0, expected a number from 1 on"),
        (
            {"path": "/a", "format": "csv", "columns": ["a"]},
            "columns has no effect where the file has a header",
        ),
        ({"path": "/a", "format": "csv", "header": False, "columns": ["a", "a"]}, "names 'a' twice"),
        ({"path": "/a", "format": "csv", "drop": [1]}, "drop is no list of at most"),
        ({"path": "/a", "format": "csv", "task": "clustering"}, "task is 'clustering'"),
        ({"path": "/a", "format": "idx"}, "has images and no labels_path"),
        ("/a", "is '/a', expected a table"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_sentence(given, words):
    with pytest.raises(BadInput, match=words):
        read(given)


@pytest.mark.parametrize("data", [{}, {"sources": []}, {"sources": "a"}, {"sources": [{}], "more": 1}])
def test_data_that_is_none_is_refused(data):
    with pytest.raises(BadInput):
        sources.read(data)


def test_two_sources_of_one_table_agree():
    with pytest.raises(BadInput, match=r"sources\[1\].target differs"):
        read({"path": "/a", "format": "csv", "target": "a"}, {"path": "/b", "format": "csv", "target": "b"})
