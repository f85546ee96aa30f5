"""What of a folder travels, as data: names, links, the digest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_task import manifest
from stackyard_task.manifest import FileFacts

A, B = "a" * 64, "b" * 64


def test_the_digest_says_names_kinds_and_contents_in_any_order() -> None:
    one = {"x": FileFacts(1, A), "y": FileFacts(1, B)}
    assert manifest.digest_of(one) == manifest.digest_of(dict(reversed(list(one.items()))))
    others = [
        {"x": FileFacts(1, A)},
        {"x": FileFacts(1, B), "y": FileFacts(1, A)},
        {"x": FileFacts(1, A, True), "y": FileFacts(1, B)},
        {"x": FileFacts(1, A, target="y"), "y": FileFacts(1, B)},
        {"z": FileFacts(1, A), "y": FileFacts(1, B)},
        {},
    ]
    assert len({manifest.digest_of(files) for files in [one, *others]}) == 7


def test_the_digest_stays_what_it_is() -> None:
    """Archives are named by it, and records of years hold it."""
    files = {"train.py": FileFacts(3, A), "run.sh": FileFacts(3, B, True), "é": FileFacts(1, A, target="x")}
    assert manifest.digest_of(files) == "bdc31ef949c7892abb2cb07e3682f8891aef8c79cf85373527376e778e34fcfd"


def test_marks_differ_where_files_do() -> None:
    files = {"b": FileFacts(1, A, True), "a": FileFacts(1, A), "c": FileFacts(1, A, target="a")}
    assert manifest.marks_of(files) == {"a": A, "b": f"{A} executable", "c": f"{A} link"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/b.py", None),
        ("é/ü x.py", None),
        ("...", None),
        ("a\\b", None),
        ("/".join(["d"] * 32), None),
        ("", "is no name below a folder"),
        ("/a", "is no name below a folder"),
        ("a//b", "is no name below a folder"),
        ("a/", "is no name below a folder"),
        ("../a", "is no name below a folder"),
        ("a/./b", "is no name below a folder"),
        ("a\nb", "has a control character in its name"),
        ("a\0", "has a control character in its name"),
        ("a\x85", "has a control character in its name"),
        ("\udce9", "has a name that is not UTF-8"),
        ("/".join(["d"] * 33), "lies more than 32 folders deep"),
        ("é" * 128, "has a name of more than 1024 bytes, or a part of it has more than 255"),
        ("/".join(["d" * 200] * 6), "has a name of more than 1024 bytes, or a part of it has more than 255"),
    ],
)
def test_names_that_may_travel(name: str, why: str) -> None:
    assert manifest.why_not(name) == why


FILES = {"lib/a.py", "x"}


@pytest.mark.parametrize(
    ("links", "name", "end"),
    [
        ({"l": "x"}, "l", "x"),
        ({"l": "lib"}, "l", "lib"),
        ({"l": "."}, "l", ""),
        ({"l": "lib/../x"}, "l", "x"),
        ({"lib/l": "../x"}, "lib/l", "x"),
        ({"l": "m/a.py", "m": "lib"}, "l", "lib/a.py"),
        ({"l": "../x"}, "l", None),
        ({"l": "/x"}, "l", None),
        ({"l": "gone"}, "l", None),
        ({"l": "x/y"}, "l", None),
        ({"l": "x/"}, "l", "x"),
        ({"l": "x/.."}, "l", None),
        ({"l": "l"}, "l", None),
        ({"l": "m", "m": "l"}, "l", None),
        ({"l": ""}, "l", ""),
        # what reads as if it stayed inside, and does not: m is the top, so m/.. is above it
        ({"m": "lib/..", "l": "m/../x"}, "l", None),
    ],
)
def test_where_links_lead(links: dict[str, str], name: str, end: str) -> None:
    folders = manifest.folders_of([*FILES, *links])
    assert manifest.leads_to(name, links, FILES, folders) == end


PARTS = st.sampled_from(["a", "b", "c", "..", "."])
TARGETS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


@given(st.dictionaries(st.sampled_from(["a", "c", "b/a", "b/c", "b/b/c"]), TARGETS))
def test_links_lead_where_the_system_says(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]
) -> None:
    top = tmp_path_factory.mktemp("links")
    (top / "b" / "b").mkdir(parents=True)
    files = {"b/b/a"}
    (top / "b/b/a").write_text("")
    for name, target in links.items():
        (top / name).symlink_to(target)
    folders = manifest.folders_of([*files, *links])
    for name in links:
        said = manifest.leads_to(name, links, files, folders)
        try:
            end = (top / name).resolve(strict=True)
        except (OSError, RuntimeError):
            assert said is None
            continue
        if said is not None:
            assert end == (top / said if said else top)
        elif end == top or top in end.parents:
            # it goes out and comes back: that works here, and not where the folder has another name
            assert ".." in "".join(links.values())
