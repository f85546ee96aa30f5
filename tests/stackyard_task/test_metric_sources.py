"""Where a script says its figures, as a scenario names it."""

from __future__ import annotations

import pytest

from stackyard_task.metric_sources import FORMS, Source, checked, parsed


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (
            "line:loss[ =]+(?P<value>[-+.0-9eE]+)",
            Source("line", "loss[ =]+(?P<value>[-+.0-9eE]+)"),
        ),
        ("json:metrics.json#test.accuracy", Source("json", "test.accuracy", "metrics.json")),
        ("jsonl:logs/train.jsonl#loss@epoch", Source("jsonl", "loss@epoch", "logs/train.jsonl")),
        ("csv:**/metrics.csv#val#acc", Source("csv", "val#acc", "**/metrics.csv")),
        ("tensorboard:Loss/train", Source("tensorboard", "Loss/train")),
        ("clearml:loss/validation", Source("clearml", "loss/validation")),
    ],
)
def test_each_form_is_understood(text: str, source: Source) -> None:
    checked(text)
    assert parsed(text) == source


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("accuracy", "is no source of a metric"),
        ("xml:a#b", "is no source of a metric"),
        ("", "is no source of a metric"),
        ("line:loss=(.*)", r"no group \(\?P<value>"),
        ("line:(?P<value>", "is no regular expression"),
        ("line:" + "(?P<value>a)" * 200, "letters long"),
        ("line:", "says nothing after line:"),
        ("tensorboard: ", "says nothing after tensorboard:"),
        ("json:metrics.json", "lacks what to read"),
        ("json:metrics.json#", "lacks what to read"),
        ("csv:#column", "lacks its file"),
        ("json:/etc/passwd#a", "names a file elsewhere"),
        ("json:a/../../b#a", "names a file elsewhere"),
        ("clearml:loss", "names no series"),
    ],
)
def test_what_is_no_source_is_refused_in_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refusal:
        checked(text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 800


def test_a_refusal_says_how_each_form_is_written() -> None:
    with pytest.raises(ValueError, match="no source") as refusal:
        checked("metrics.json")
    assert all(form in str(refusal.value) for form in FORMS.values())
