"""What is found before a database is opened: none, another's, an older one, one that lost commits, a damaged one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stackyard_server.store import (
    FILE_NAME,
    ApartError,
    ChangedError,
    DamagedError,
    Store,
    StoreError,
    check,
    check_alone,
    mark,
    meta,
    opening,
    schema,
)

LONG_TEXT = "a long text, " * 2000
BLOB = "ab" + "0" * 30


def write(store: Store, value: str, durability: str = "state") -> None:
    with store.writing(durability) as tx:  # type: ignore[arg-type]
        meta.put(tx, "x", value)


def put_content(folder: Path) -> Path:
    content = folder / "files" / BLOB[:2] / BLOB
    content.parent.mkdir(parents=True)
    content.write_bytes(b"kept")
    return content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a content and some commits."""
    folder = tmp_path / "data"
    store = Store(folder)
    for number in range(5):
        write(store, str(number))
    put_content(folder)
    store.close(sealed=True)
    return folder


def other(tmp_path: Path) -> Path:
    store = Store(tmp_path / "other")
    store.close()
    return tmp_path / "other" / FILE_NAME


def without_database(folder: Path) -> None:
    (folder / FILE_NAME).unlink()


def empty(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b"")


def foreign(folder: Path) -> None:
    shutil.copy(other(folder.parent), folder / FILE_NAME)


def of_something_else(folder: Path) -> None:
    without_database(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        rows.execute("CREATE TABLE theirs (a)")


def no_text(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b"this is no database" * 500)


def cut(folder: Path) -> None:
    with (folder / FILE_NAME).open("r+b") as file:
        file.truncate(3 * 4096)


def changed(folder: Path) -> None:
    """By somebody's own hand; SQLite finds no fault with it."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        rows.execute("UPDATE meta SET value='other' WHERE key='x'")
        rows.commit()


def of_an_earlier_release(folder: Path) -> None:
    without_database(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        for script in schema.MIGRATIONS[:3]:
            rows.executescript(script)
        rows.execute("PRAGMA user_version=3")


def mark_overwritten(folder: Path) -> None:
    (folder / "files" / mark.NAME).write_text("{}")


def without_mark(folder: Path) -> None:
    (folder / "files" / mark.NAME).unlink()


def a_folder(folder: Path) -> None:
    without_database(folder)
    (folder / FILE_NAME).mkdir()


def with_journal(folder: Path) -> None:
    (folder / f"{FILE_NAME}-journal").write_bytes(bytes(600))


@pytest.mark.promise("apart-is-refused")
@pytest.mark.parametrize(
    ("happen", "says"),
    [
        (without_database, "is missing"),
        (empty, "is empty"),
        (foreign, "is not the database of the contents"),
        (of_something_else, "no database of this server"),
        (no_text, "is damaged"),
        (cut, "is damaged"),
        (changed, "is not what the server left"),
        (of_an_earlier_release, "older than the contents"),
        (mark_overwritten, "mark is damaged"),
        (without_mark, "mark is missing"),
        (a_folder, "is no file"),
        (with_journal, "journal is not this server's"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_left_alone(
    folder: Path, happen: Callable[[Path], None], says: str
) -> None:
    happen(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ApartError, match=says) as refused:
        check(folder)
    assert "\n" not in str(refused.value)
    assert (folder / "files" / BLOB[:2] / BLOB).read_bytes() == b"kept"
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.promise("lost-commits-are-noticed")
def test_an_older_database_of_the_same_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / FILE_NAME, tmp_path / "old")
    store = Store(folder)
    write(store, "newer")
    store.close()
    shutil.copy(tmp_path / "old", folder / FILE_NAME)
    with pytest.raises(ApartError, match="lost the last 1 of 6 commits"):
        Store(folder)


@pytest.mark.promise("lost-commits-are-noticed")
def test_metrics_that_the_machine_lost_are_no_fault_but_those_of_a_killed_process_are(tmp_path: Path) -> None:
    """A killed process loses nothing it wrote; a machine without power loses what was not synced."""
    folder = tmp_path / "data"
    store = Store(folder)
    write(store, "synced")
    log = folder / f"{FILE_NAME}-wal"
    synced = log.stat().st_size
    write(store, "not synced", "metrics")
    for name in ("killed", "without power"):
        shutil.copytree(folder, tmp_path / name)
        with (tmp_path / name / log.name).open("r+b") as file:
            file.truncate(synced)
    store.close()
    with pytest.raises(ApartError, match="lost the last 1"):
        Store(tmp_path / "killed")
    said = tmp_path / "without power" / "files" / mark.NAME
    said.write_text(said.read_text().replace(mark.boot(), "an-earlier-boot"))
    Store(tmp_path / "without power").close()


def test_a_new_folder_and_one_of_an_earlier_release_are_taken(tmp_path: Path) -> None:
    assert check(tmp_path / "nothing")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(b"")  # as a start leaves it that was killed at once
    of_an_earlier_release(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        rows.execute(
            "INSERT INTO file(path, blob, bytes, sha256, created) VALUES ('a', ?, 4, 'x', 1)", (BLOB,)
        )
        rows.commit()
    put_content(folder)
    Store(folder, serving=True).close()
    marked = mark.read(folder)
    assert marked is not None
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        assert rows.execute("SELECT identity FROM lineage").fetchone() == (marked.identity,)


def test_an_earlier_release_is_changed_by_the_server_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / FILE_NAME).touch()
    of_an_earlier_release(folder)
    before = (folder / FILE_NAME).read_bytes()
    with pytest.raises(
        StoreError, match=r"earlier release \(schema 3.*start the server of this release once"
    ):
        Store(folder)
    assert (folder / FILE_NAME).read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert opening.migration_bytes(folder, FILE_NAME) == 2 * len(before)
    Store(folder, serving=True).close()
    assert opening.migration_bytes(folder, FILE_NAME) == 0
    Store(folder).close()


@pytest.mark.parametrize("database", [False, True])
def test_a_folder_half_restored_is_none_of_a_server(tmp_path: Path, database: bool) -> None:
    folder = tmp_path / "data"
    (folder / opening.DRAFT).mkdir(parents=True)
    if database:
        (folder / FILE_NAME).touch()
    for look in (Store, check, check_alone):
        with pytest.raises(StoreError, match="was broken off: repeat it with this folder"):
            look(folder)
    assert {path.name for path in folder.iterdir()} == {opening.DRAFT, *([FILE_NAME] if database else [])}


def test_an_empty_draft_of_a_restore_goes_with_the_start(folder: Path) -> None:
    (folder / opening.DRAFT).mkdir()
    Store(folder).close()
    Store(folder, serving=True).close()
    assert not (folder / opening.DRAFT).exists()


def test_an_earlier_release_without_rows_does_not_become_the_database_of_contents(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / FILE_NAME).touch()
    of_an_earlier_release(folder)
    put_content(folder)
    with pytest.raises(ApartError, match="names none of the contents"):
        Store(folder)


@pytest.mark.promise("damage-is-noticed")
def test_a_seal_is_gone_once_somebody_writes(folder: Path) -> None:
    marked = mark.read(folder)
    assert marked is not None
    assert marked.seal is not None
    store = Store(folder)  # as the command line does
    write(store, "later")
    store.close()
    marked = mark.read(folder)
    assert marked is not None
    assert marked.seal is None
    assert check(folder)
    Store(folder).close()


@pytest.fixture
def killed(folder: Path, tmp_path: Path) -> Path:
    """What a kill leaves of a server that began on a sealed folder: the sealed file, and a log."""
    store = Store(folder)
    write(store, LONG_TEXT)
    store.close(sealed=True)
    store = Store(folder, serving=True)
    with store.writing() as tx:
        meta.put(tx, "another", "in the log")
    shutil.copytree(folder, tmp_path / "killed")
    store.close()
    assert (tmp_path / "killed" / f"{FILE_NAME}-wal").stat().st_size
    return tmp_path / "killed"


@pytest.mark.promise("damage-is-noticed")
def test_a_command_that_is_killed_while_it_writes_leaves_a_folder_that_is_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It removes much, and SQLite would fold the log in at the end of the commit."""
    monkeypatch.setattr("stackyard_server.store.FOLD_AT_PAGES", 8)
    before = mark.digest_of(folder / FILE_NAME)
    store = Store(folder)
    monkeypatch.setattr(store._mark, "note", lambda *_: shutil.copytree(folder, tmp_path / "killed"))
    with store.writing() as tx:
        for number in range(200):
            meta.put(tx, f"key {number}", "y" * 500)
    store.close()
    assert mark.digest_of(tmp_path / "killed" / FILE_NAME) == before
    assert check(tmp_path / "killed")


@pytest.mark.promise("damage-is-noticed")
def test_beside_a_log_a_file_that_is_not_as_it_was_sealed_is_refused(killed: Path) -> None:
    """Damage within a long text is none to SQLite."""
    marked = mark.read(killed)
    assert marked is not None
    assert marked.seal is not None
    assert check(killed)
    whole = (killed / FILE_NAME).read_bytes()
    (killed / FILE_NAME).write_bytes(whole.replace(LONG_TEXT.encode()[:100], b"damaged!" * 12 + b"here", 1))
    with pytest.raises(ChangedError, match="is not what the server left"):
        check(killed)


@pytest.mark.promise("damage-is-noticed")
def test_a_command_beside_a_server_leaves_the_sealed_file_as_it_is(folder: Path, tmp_path: Path) -> None:
    """The server goes on to state its seal, whatever the command said."""
    server = Store(folder, serving=True)
    write(server, "before")
    command = Store(folder)
    for number in range(300):
        write(command, f"{number} " + "x" * 60_000)
    command.close()
    write(server, "after")
    shutil.copytree(folder, tmp_path / "killed")
    server.close()
    marked = mark.read(tmp_path / "killed")
    assert marked is not None
    assert marked.seal is not None
    assert check(tmp_path / "killed")


@pytest.mark.promise("damage-is-noticed")
def test_damage_after_a_kill_is_found_by_sqlite(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    for number in range(200):
        with store.writing() as tx:
            meta.put(tx, f"key {number}", "y" * 500)
    store.close()
    size = (folder / FILE_NAME).stat().st_size
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(size - 8 * 4096)
        file.write(b"\xff" * 4 * 4096)
    with pytest.raises(DamagedError, match="is damaged"):
        check(folder)


@pytest.mark.promise("damage-is-noticed")
def test_a_check_that_takes_too_long_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(folder)
    write(store, "not sealed any more")
    store.close()
    monkeypatch.setattr(opening, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(opening, "CHECK_STEPS", 1)
    assert not check(folder)


def test_a_later_release_is_told_as_such(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        rows.execute(f"PRAGMA user_version={len(schema.MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="newer release"):
        Store(folder)
