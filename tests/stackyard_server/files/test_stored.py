"""Paths as keys, contents on disk, and who may change what."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_server.files import matching
from stackyard_server.files import rights as file_rights
from stackyard_server.files.stored import GRACE_SECONDS, StoredFiles, key_of, key_of_url, owner_of
from stackyard_server.identity import Identity
from stackyard_server.store import Store
from stackyard_server.store import files as file_rows
from stackyard_server.store.files import StoredFile

ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32

ESCAPES = [
    "../evil",
    "a/../../evil",
    "/../evil",
    "a/..",
    "..",
    ".",
    "./x",
    "a/./b",
    "..\\evil",
    "a\\..\\..\\evil",
    "C:\\..\\evil",
    "\\\\server\\share\\..\\x",
    "%2e%2e/evil",
    "%2E%2E%2Fevil",
    "..%2fevil",
    "a/%252e%252e/evil",
    "%25252e%25252e%25252fevil",
    "..%5cevil",
    "%2e%2e%5cevil",
    "..;/evil",
    "a/..;x=1/evil",
    "%2e%2e;/evil",
    " ../evil",
    "a/.. /evil",
    "\u2024\u2024/evil",
    "\uff0e\uff0e/evil",
    "\uff0e\uff0e\uff0fevil",
    "\u2025/evil",
    "a\x00b",
    "a%00b",
    "a%2500b",
    "a\nb",
    "a\x7fb",
    "a\ud800b",
    "",
    "/",
    "//",
    "x" * 5000,
    ("%" + "25" * 10 + "2e") * 2 + "/evil",
]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.promise("files-stay-in-their-folder")
def test_a_path_that_could_leave_its_folder_is_no_key(path: str) -> None:
    assert key_of(path) is None


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/project/a run.id/x.txt", "project/a run.id/x.txt"),
        ("a//b///c", "a/b/c"),
        ("a/b/", "a/b"),
        ("...", "..."),
        ("a/..b/c..", "a/..b/c.."),
        ("50%/100%.txt", "50%/100%.txt"),
        ("é/日本.txt", "é/日本.txt"),
        ("CON/NUL.txt", "CON/NUL.txt"),
        ("C:/windows", "C:/windows"),
        ("a;b=1/c", "a;b=1/c"),
        ("a\\b", "a\\b"),
    ],
)
def test_other_paths_are_keys(path: str, key: str) -> None:
    assert key_of(path) == key


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://f:1/a/b%20c.txt?download=1#x", "a/b c.txt"),
        ("http://f:1//a//b", "a/b"),
        ("http://f:1//[x/a", "[x/a"),
        ("http://f:1/a\uff03b", "a\uff03b"),
        ("http://f:1/a;b:c@d", "a;b:c@d"),
        ("http://f:1/../a", None),
        ("http://f:1/", None),
        ("http://f:12/a", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_any_text_is_an_address_of_ours_with_a_key_or_none(url: str, key: str | None) -> None:
    """Clients store what they like."""
    assert key_of_url(url, ("http://e", "http://f:1")) == key


@given(st.text(max_size=60))
def test_a_key_is_its_own_key_and_has_no_dots_as_parts(path: str) -> None:
    key = key_of(path)
    if key is not None:
        assert key_of(key) == key
        assert not {"", ".", ".."} & set(key.split("/"))


def test_the_owner_is_the_id_in_the_folders_name() -> None:
    assert owner_of(f"lab/a/run.{ID}/artifacts/x") == ID
    assert owner_of(f"lab/run.{ID}") is None
    assert owner_of(f"lab/{ID}/x") is None


def keep(stored: StoredFiles, key: str, content: bytes, user: str = "u1") -> StoredFile:
    incoming = stored.begin(key)
    incoming.write(content)
    file = stored.settle(incoming, 1000, user)
    with stored.store.writing() as tx:
        file_rows.record(tx, file)
    return file


@pytest.fixture
def stored(tmp_path: Path) -> StoredFiles:
    return StoredFiles(Store(tmp_path / "data"))


@pytest.mark.promise("contents-go-by-a-row")
def test_content_lies_under_a_random_name_and_a_second_upload_leaves_no_rest(stored: StoredFiles) -> None:
    first = keep(stored, "a/b", b"one")
    second = keep(stored, "a/b", b"two!")
    assert stored.reap(time.time() - GRACE_SECONDS) == 0, "a reader may be at the first one"
    assert stored.reap(time.time() + 1) == 1
    assert stored.reap(time.time() + 1) == 0
    assert [path.name for path in stored.blobs()] == [second.blob] != [first.blob]
    assert stored.locate(second.blob).read_bytes() == b"two!"
    assert stored.locate(second.blob).parent.parent == stored.folder
    with stored.store.reading() as tx:
        assert file_rows.usage(tx) == (1, 4)
        found = file_rows.find(tx, "a/b")
        assert found is not None
        assert (found.bytes, found.sha256[:8]) == (4, second.sha256[:8])


def test_below_a_folder_means_below_and_not_beside(stored: StoredFiles) -> None:
    for key in ("a/x", "a/b/y", "a.txt", "ab/z", "a0"):
        keep(stored, key, b"1")
    with stored.store.reading() as tx:
        assert {file.path for file in file_rows.under(tx, "a")} == {"a/x", "a/b/y"}


@pytest.mark.promise("contents-go-by-a-row")
def test_what_no_row_names_stays_and_what_broke_off_goes(stored: StoredFiles) -> None:
    kept = keep(stored, "a", b"1")
    torn = stored.begin("b")
    torn.write(b"half")
    lost = stored.begin("c")
    lost.write(b"settled, never recorded")
    settled = stored.settle(lost, 1, None)
    stored.clear_incoming()
    assert stored.reap(time.time() + 1) == 0
    assert list(stored.incoming.iterdir()) == []
    assert {path.name for path in stored.blobs()} == {kept.blob, settled.blob}
    sides = matching.compare(stored)
    assert (sides.contents, sides.unclaimed, sides.missing, sides.apart) == (2, [settled.blob], [], None)


def who(user: str, role: str = "user") -> Identity:
    return Identity(user, user, role, "c", "c")


def test_published_is_for_nobody_to_change(stored: StoredFiles) -> None:
    own = keep(stored, f"p/t.{ID}/artifacts/x", b"1")
    model = keep(stored, "models/m one.bin", b"1")
    with stored.store.writing() as tx:
        assert file_rights.may_change(tx, who("u2"), own) is None
        tx.run("INSERT INTO task(id, status) VALUES (?, 'published')", (ID,))
        tx.run(
            "INSERT INTO model(id, uri, ready) VALUES ('m', 'http://h:1/models/m%20one.bin', 1), ('n', 'x', 0)"
        )
        for one in (own, model):
            assert file_rights.may_change(tx, who("u1", "admin"), one, ("http://h:1",))
        assert file_rights.may_remove_folder(tx, who("u1"), f"p/t.{ID}", [own])
        tx.run("UPDATE task SET status='stopped'")
        assert file_rights.may_change(tx, who("u2"), own) is None


def test_what_no_task_owns_is_for_its_uploader_and_administrators(stored: StoredFiles) -> None:
    file = keep(stored, "loose/x", b"1", user="u1")
    with stored.store.reading() as tx:
        assert file_rights.may_change(tx, who("u1"), file) is None
        assert file_rights.may_change(tx, who("u2", "admin"), file) is None
        assert file_rights.may_change(tx, who("u2"), file) == "another user uploaded it"


def test_a_projects_folder_goes_only_with_everyones_consent(stored: StoredFiles) -> None:
    mine = keep(stored, f"p/mine.{ID}/x", b"1", user="u1")
    theirs = keep(stored, f"p/theirs.{OTHER}/x", b"1", user="u2")
    with stored.store.reading() as tx:
        assert file_rights.may_remove_folder(tx, who("u1"), "p", [mine, theirs]) == "it holds files of others"
        assert file_rights.may_remove_folder(tx, who("u1"), f"p/theirs.{OTHER}", [theirs]) is None
        assert file_rights.may_remove_folder(tx, who("u1"), "p", [mine]) is None
        assert file_rights.may_remove_folder(tx, who("u9", "admin"), "p", [mine, theirs]) is None
