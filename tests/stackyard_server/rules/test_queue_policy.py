"""What a queue's metadata asks for its tasks."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard_server.rules.queue_policy import QueuePolicy, read


def metadata(**values: Any) -> dict[str, Any]:
    return {key: {"key": key, "type": "str", "value": value} for key, value in values.items()}


def test_a_queue_that_says_nothing_asks_for_nothing() -> None:
    for nothing in (None, {}, metadata(colour="blue"), metadata(retries=None, time_limit_seconds="")):
        assert read(nothing) == QueuePolicy()


def test_what_it_says_is_read() -> None:
    found = read(metadata(time_limit_seconds="3600", retries="0", silence_seconds="90.5"))
    assert found == QueuePolicy(3600.0, 0, 90.5)


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "0", "1e999", [], {}])
def test_what_is_no_length_of_time_is_named_and_counts_for_nothing(value: Any) -> None:
    assert read(metadata(time_limit_seconds=value)) == QueuePolicy(unread=("time_limit_seconds",))


@pytest.mark.parametrize("value", ["1.5", "101", "many"])
def test_what_is_no_number_of_retries_is_named(value: str) -> None:
    assert read(metadata(retries=value)) == QueuePolicy(unread=("retries",))
