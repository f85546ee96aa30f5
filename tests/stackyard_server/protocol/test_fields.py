"""The fields of requests: each is read by its endpoint, or says why it is not."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard_server import endpoints
from stackyard_server.protocol import fields
from stackyard_server.protocol.ignored_fields import IGNORED
from stackyard_server.store.documents import COLLECTIONS

from .. import reach


def unread(name: str) -> set[str]:
    """The known fields of an endpoint that nothing it leads to has the name of."""
    entries = endpoints.load()[name]
    service = name.partition(".")[0]
    texts = {t for e in entries for t in reach.texts((f"endpoints.{service}", e.function.__name__))}
    lists = entries[0].lists
    listed = COLLECTIONS[lists].fields if lists in COLLECTIONS else {}
    prefixes = tuple(text for text in texts if text.endswith(".") and text.count(".") > 1)
    known = set(fields.table().get(name, {"fields": {}})["fields"]) - {fields.ANY}
    return {f for f in known - texts - set(listed) if not f.startswith(prefixes)}


def test_every_known_field_is_read_or_says_why_not() -> None:
    served = {name: entries for name, entries in endpoints.load().items() if not entries[0].absent}
    forgotten = {name: unread(name) - set(IGNORED.get(name, ())) for name in served}
    assert {name: names for name, names in forgotten.items() if names} == {}


def test_what_is_ignored_is_known() -> None:
    for name, reasons in IGNORED.items():
        assert set(reasons) <= set(fields.table()[name]["fields"]), name
        assert all(reasons.values())


@pytest.mark.parametrize(
    ("form", "sent", "kept"),
    [
        ("integer", 1.0, 1),
        (["integer"], [2.0, 3], [2, 3]),
        ({"object": {"a": "integer"}}, {"a": 4.0, "b": 5.0}, {"a": 4, "b": 5.0}),
        ({"map": "integer"}, {"x": 6.0}, {"x": 6}),
        ("number", 1.5, 1.5),
    ],
)
def test_a_whole_number_may_be_written_with_a_point(form: Any, sent: Any, kept: Any) -> None:
    fitting = fields.fit(form, sent)
    assert fitting == kept
    assert repr(fitting) == repr(kept)


@pytest.mark.parametrize("sent", [1.5, float("nan"), float("inf"), 1e300, True, "1"])
def test_what_is_no_whole_number_is_refused(sent: Any) -> None:
    with pytest.raises(fields.Mismatch):
        fields.fit("integer", sent)
