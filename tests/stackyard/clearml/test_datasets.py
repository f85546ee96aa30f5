"""Data sets on a server: versions, parents, what is uploaded, what is refused. Real server, real SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.clearml import datasets
from stackyard.errors import BadInputError
from tests.installation.site import Site, site

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), with_agent=False) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secret-place" / "data"
    (made / "deep").mkdir(parents=True)
    (made / "same.txt").write_text("s" * 5000)
    (made / "deep" / "changing.txt").write_text("one")
    (made / "going.txt").write_text("bye")
    return made


@pytest.mark.long
def test_versions_have_parents_and_only_what_changed_is_uploaded(here: Site, folder: Path) -> None:
    first = datasets.publish(
        here.client, folder, "Data sets/deep", "letters", tags=["t"], description="About it."
    )
    assert first.new
    assert (first.version.project, first.version.version, first.version.parents) == (
        "Data sets/deep",
        "1.0.0",
        (),
    )
    assert first.changes.added == ("deep/changing.txt", "going.txt", "same.txt")

    again = datasets.publish(here.client, folder, "Data sets/deep", "letters")
    assert (again.new, again.version) == (False, first.version)

    (folder / "deep" / "changing.txt").write_text("two")
    (folder / "going.txt").unlink()
    (folder / "new.txt").write_text("new")
    second = datasets.publish(here.client, folder, "Data sets/deep", "letters")
    assert second.version.parents == (first.version.id,)
    assert second.changes == datasets.Changes(
        ("new.txt",), ("deep/changing.txt",), ("going.txt",), ("same.txt",)
    )
    assert second.version.files == 3

    task = here.task(second.version.id)
    (data,) = [a for a in task["execution"]["artifacts"] if a["key"].startswith("data")]
    assert data["content_size"] < 1000  # same.txt stayed with the parent
    assert "secret-place" not in str(task) + here.console(task["id"])
    assert [v.version for v in datasets.versions(here.client, "Data sets/deep", "letters")] == [
        "1.0.1",
        "1.0.0",
    ]
    assert datasets.newest(here.client, "Data sets/deep", "letters") == second.version
    assert second.version.reference == "clearml-dataset:Data sets/deep/letters@1.0.1"

    # beside the newest: a version on the first one
    branch = datasets.publish(
        here.client, folder, "Data sets/deep", "letters", version="2.0.0", parent="1.0.0"
    )
    assert branch.version.parents == (first.version.id,)


def test_what_cannot_be_published_is_refused_before_anything_is_made(
    here: Site, folder: Path, tmp_path: Path
) -> None:
    datasets.publish(here.client, folder, "Refused", "letters")
    before = here.client.call("tasks.get_all", search_hidden=True, only_fields=["id"])["tasks"]
    (tmp_path / "empty").mkdir()
    for refused, says in (
        ((tmp_path / "empty", "Refused", "letters"), "holds no file"),
        ((tmp_path / "nowhere", "Refused", "letters"), "no such folder"),
        ((folder, "Refused", "ab"), "at least 3"),
        ((folder, "Refused/../x", "letters"), "at least 3"),
    ):
        with pytest.raises(BadInputError, match=says):
            datasets.publish(here.client, *refused)
    for version, parent, says in (
        ("1.0", None, "not of the form"),
        ("1.0.0", None, "already has version 1.0.0; it has: 1.0.0"),
        ("3.0.0", "2.0.0", "no version 2.0.0 to build on; it has: 1.0.0"),
    ):
        with pytest.raises(BadInputError, match=says):
            datasets.publish(here.client, folder, "Refused", "letters", version=version, parent=parent)
    assert here.client.call("tasks.get_all", search_hidden=True, only_fields=["id"])["tasks"] == before
