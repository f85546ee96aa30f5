"""The rules of equality: what may differ between two servers, and what may not."""

from __future__ import annotations

from typing import Any

import pytest

from .bodies import continue_list
from .comparison import Comparison
from .mapping import Mapping

A, B, C, D = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)


def find_fields(recorded: Any, ours: Any, mapping: Mapping | None = None, **how: bool) -> list[str]:
    comparison = Comparison(mapping or Mapping(), **how)
    comparison.compare(recorded, ours, "data")
    return [difference.field for difference in comparison.found]


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        ({"id": A, "again": A}, {"id": B, "again": B}),
        ("2026-11-21T20:42:22.852401+00:00", "2026-11-22T01:00:00.000001+00:00"),
        ({"timestamp": 1795293768694}, {"timestamp": 1795300000000}),
        (0.10000000149011612, 0.1),
        (f"Invalid task id: id={A}, company={C}", f"Invalid task id: id={B}, company={D}"),
        ("x" * 20 + "...<80 more chars>", "x" * 100),
        ([1, 2, "...<2 more items>"], [1, 2, 3, 4]),
        (
            [{"id": A, "name": "one"}, {"id": C, "name": "two"}],
            [{"id": D, "name": "two"}, {"id": B, "name": "one"}],
        ),
        (["x", "y"], ["y", "x"]),
        ({"scroll_id": A}, {"scroll_id": "any other"}),
    ],
)
def test_form_is_enough_where_servers_must_differ(recorded: Any, ours: Any) -> None:
    assert find_fields(recorded, ours) == []


@pytest.mark.parametrize(
    ("recorded", "ours", "field"),
    [
        ({"id": A, "again": A}, {"id": B, "again": C}, "data.again"),
        ({"id": A, "other": C}, {"id": B, "other": B}, "data.other"),
        ({"a": 1}, {}, "data.a"),
        ({}, {"a": 1}, "data.a"),
        ({"a": 1}, {"a": "1"}, "data.a"),
        ({"a": None}, {"a": False}, "data.a"),
        ({"a": 0}, {"a": False}, "data.a"),
        ([{"n": 1}], [{"n": 2}], "data.#.n"),
        ([1, 2], [1], "data.length"),
        ("2026-11-21T20:42:22+00:00", "2026-11-21T20:42:22Z", "data"),
        ("2026-11-21T20:42:22+00:00", "soon", "data"),
        (0.5, 0.50001, "data"),
        ("x" * 20 + "...<80 more chars>", "y" * 100, "data"),
        ([1, 2, "...<2 more items>"], [1, 2, 3], "data.length"),
        ({"scroll_id": A}, {"scroll_id": None}, "data.scroll_id"),
        ({A: {"n": 1}}, {B: {"n": 2}}, "data.*.n"),
    ],
)
def test_a_difference_is_seen_at_its_place(recorded: Any, ours: Any, field: str) -> None:
    assert find_fields(recorded, ours) == [field]


def test_an_order_that_was_asked_for_is_kept() -> None:
    recorded, ours = [{"name": "one"}, {"name": "two"}], [{"name": "two"}, {"name": "one"}]
    assert find_fields(recorded, ours) == []
    assert find_fields(recorded, ours, ordered=True) == ["data.#.name", "data.#.name"]


def test_an_id_keeps_its_partner_from_answer_to_answer() -> None:
    mapping = Mapping()
    assert find_fields({"id": A}, {"id": B}, mapping) == []
    assert mapping.translate({"task": A, "url": f"http://x/n.{A}/f"}) == {
        "task": B,
        "url": f"http://x/n.{B}/f",
    }
    assert find_fields({"id": A}, {"id": C}, mapping) == ["data.id"]


def test_a_failed_pairing_binds_nothing() -> None:
    mapping = Mapping()
    assert (
        find_fields([{"id": A, "n": 1}, {"id": B, "n": 2}], [{"id": D, "n": 2}, {"id": C, "n": 1}], mapping)
        == []
    )
    assert (mapping.find_ours(A), mapping.find_ours(B)) == (C, D)


def test_addresses_are_translated_both_ways() -> None:
    mapping = Mapping({"http://127.0.0.1:18081": "http://localhost:9"})
    assert mapping.translate("http://127.0.0.1:18081/a") == "http://localhost:9/a"
    assert find_fields("http://127.0.0.1:18081/a", "http://localhost:9/a", mapping) == []
    assert find_fields("http://127.0.0.1:18081/a", "http://localhost:9/b", mapping) == ["data"]


def test_a_cut_list_goes_on_as_it_began() -> None:
    items = [{"v": v, "iter": i, "value": 1 / (i + 1)} for i in range(6) for v in "ab"]
    assert find_fields(items, continue_list([*items[:8], "...<4 more items>"]), ordered=True) == []
