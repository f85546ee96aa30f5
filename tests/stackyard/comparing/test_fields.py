"""Fields of a comparison, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest

from stackyard.comparing import fields
from stackyard.errors import BadInputError


def test_the_baseline_is_one_value_of_each_key() -> None:
    assert fields.baseline(["Args/lr=0.1", "Args/mode=a=b"]) == {"Args/lr": "0.1", "Args/mode": "a=b"}
    for text in ("x", "=1", "Args/lr="):
        with pytest.raises(fields.FieldError, match=rf"^baseline {text}: expected KEY=VALUE"):
            fields.baseline([text])
    with pytest.raises(fields.FieldError, match=r"^baseline Args/lr: given twice"):
        fields.baseline(["Args/lr=0.1", "Args/lr=0.2"])


def test_a_field_is_called_as_a_page_calls_it() -> None:
    error = fields.FieldError("pair-by", "Args/sed: no task has that parameter")
    assert isinstance(error, BadInputError)
    assert str(error) == "pair by Args/sed: no task has that parameter"
    assert (error.field, error.said) == ("pair-by", "Args/sed: no task has that parameter")
