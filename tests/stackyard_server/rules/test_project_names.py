"""What the name of a project may be."""

from __future__ import annotations

import pytest

from stackyard_server.protocol.error_table import ApiError
from stackyard_server.rules.project_names import normalise, parents, pattern_of, split


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/lead/", "lead"),
        ("proj//zzz", "proj/zzz"),
        (" a lab / one run ", "a lab/one run"),
        ("a/b/three", "a/b/three"),
        ("x/.pipelines/nightly", "x/.pipelines/nightly"),
    ],
)
def test_outer_slashes_and_space_are_dropped(given: str, kept: str) -> None:
    assert normalise(given) == kept


@pytest.mark.parametrize(
    ("name", "code"),
    [("", 407), ("//", 407), ("ab", 12), ("proj/.pipelines/p1", 12), ("/".join(["abc"] * 11), 409)],
)
def test_names_that_cannot_be_are_refused_with_the_recorded_code(name: str, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        normalise(name)
    assert (refused.value.code, refused.value.subcode) == (400, code)


def test_a_path_of_ten_parts_is_allowed() -> None:
    assert normalise("/".join(["abc"] * 10)).count("/") == 9


def test_a_path_splits_into_parents_and_last_part() -> None:
    assert split("a/b/c") == ("a/b", "c")
    assert split("root") == ("", "root")
    assert parents("a/b/c") == ["a", "a/b"]


@pytest.mark.parametrize(
    ("asked", "finds"),
    [
        ("^/lead$", "^lead$"),
        ("^proj//zzz/$", "^proj/zzz$"),
        (r"^/x/\.pipelines/a\ b$", r"^x/\.pipelines/a\ b$"),
        (r"^\/lead\/sub\-one$", r"^lead/sub\-one$"),
        ("^/lead", "^/lead"),
        ("^/lead.*$", "^/lead.*$"),
        (r"^/a\d$", r"^/a\d$"),
        ("^//$", "^//$"),
        ("/lead", "/lead"),
    ],
)
def test_a_name_asked_for_exactly_is_asked_for_as_it_is_kept(asked: str, finds: str) -> None:
    assert pattern_of(asked) == finds
