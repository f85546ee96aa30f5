"""Columns that look like labels, by their names and values."""

from __future__ import annotations

from stackyard_detector.readers.label_columns import VALUES, label_columns


def test_labels_are_found_by_name_and_told_with_some_values() -> None:
    rows = [
        {"ip": "10.0.0.5", "time_label": "x", "event_label": value} for value in ("-", "scan", "-", "dns")
    ]
    assert list(label_columns(rows)) == ["event_label", "time_label"]
    assert label_columns(rows) == {"event_label": ["-", "scan", "dns"], "time_label": ["x"]}
    assert label_columns(rows, used=["time_label"]) == {"event_label": ["-", "scan", "dns"]}
    many = [{"label": str(number)} for number in range(VALUES + 3)]
    assert label_columns(many) == {"label": ["0", "1", "2", "3"]}


def test_names_that_mean_other_things_too_need_values_of_labels() -> None:
    assert label_columns([{"attack": "Eicar.Virus.Test.File"}, {"attack": "0"}]) == {}
    assert label_columns([{"is_attack": "0"}, {"is_attack": "1"}]) == {"is_attack": ["0", "1"]}
    assert label_columns([{"class": "IN", "Class": "anomaly"}]) == {"Class": ["anomaly"]}


def test_texts_and_columns_that_differ_in_every_row_are_no_labels() -> None:
    assert label_columns([{"label": "a sentence that says what happened, word by word"}]) == {}
    assert label_columns([{"label": str(number)} for number in range(100)]) == {}
    assert label_columns([{"label": None}]) == {}
