"""The folder that a command runs in: what arrives in it, and archives that are not what they should be."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackyard_task import archives, manifest, working
from stackyard_task.emptying import emptied
from tests.counts import examples

Entry = Tuple[str, int, bytes]
FILE, SCRIPT, LINK = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777
GOOD: List[Entry] = [
    ("train.py", FILE, b"print(1)\n" * 100),
    ("lib/deep/run.sh", SCRIPT, b"#!/bin/sh\n"),
    ("lib/link", LINK, b"../train.py"),
    ("é.txt", FILE, b""),
]


def packed(path: Path, entries: List[Entry], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode, content in entries:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, packing
            archive.writestr(info, content)
    return path


def digest_of(folder: Path) -> str:
    """As our side would say it."""
    files = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            text = os.readlink(path)
            files[name] = manifest.FileFacts(
                len(text), hashlib.sha256(text.encode()).hexdigest(), target=text
            )
        elif path.is_file():
            content = path.read_bytes()
            executable = bool(path.stat().st_mode & 0o100)
            files[name] = manifest.FileFacts(len(content), hashlib.sha256(content).hexdigest(), executable)
    return manifest.digest_of(files)


def refusal(archive: Path, folder: Path, digest: Any = None) -> str:
    """The sentence; nothing stays in the folder, and nothing came to lie beside it."""
    beside = sorted(folder.parent.iterdir())
    with pytest.raises(working.WorkingError) as caught:
        working.unpacked(archive, folder, digest)
    assert not folder.exists() or list(folder.iterdir()) == []
    assert sorted(set(folder.parent.iterdir()) - {folder}) == [p for p in beside if p != folder]
    (said,) = caught.value.args
    assert "\n" not in said
    return said


def test_files_modes_and_links_arrive(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    working.unpacked(packed(tmp_path / "a.zip", GOOD), folder, None)
    assert (folder / "train.py").read_bytes() == GOOD[0][2]
    assert (folder / "lib/deep/run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "train.py").stat().st_mode & 0o777 == 0o644
    assert os.readlink(folder / "lib/link") == "../train.py"
    assert sorted(p.name for p in folder.iterdir()) == ["lib", "train.py", "é.txt"]


def test_the_digest_is_that_of_what_arrived(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", GOOD)
    working.unpacked(archive, tmp_path / "one", None)
    digest = digest_of(tmp_path / "one")
    working.unpacked(archive, tmp_path / "two", digest)
    assert digest_of(tmp_path / "two") == digest
    said = refusal(archive, tmp_path / "three", "0" * 64)
    assert f"has digest {digest[:12]}, and 000000000000 was asked for" in said


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", GOOD)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine").write_text("")
    with pytest.raises(working.WorkingError, match="work is not empty"):
        working.unpacked(archive, tmp_path / "work", None)
    assert (tmp_path / "work" / "mine").exists()


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("../out", FILE, b"")], "'../out' is no name below a folder"),
        ([("/etc/out", FILE, b"")], "'/etc/out' is no name below a folder"),
        ([("a/../../out", FILE, b"")], "is no name below a folder"),
        ([("a/", FILE, b"")], "is no name below a folder"),
        ([("a\nb", FILE, b"")], "has a control character in its name"),
        ([("/".join(["d"] * 40), FILE, b"")], "lies more than 32 folders deep"),
        ([("a", FILE, b"1"), ("a", FILE, b"2")], "a is there twice"),
        ([("a", FILE, b"1"), ("a/b", FILE, b"2")], "a is a file and a folder"),
        ([("a", LINK, b"b"), ("b/x", FILE, b""), ("a/x", FILE, b"2")], "a is a file and a folder"),
        ([("a", LINK, b"/etc")], "a is a link that leads out, or to what is not there"),
        ([("a", LINK, b"..")], "a is a link that leads out"),
        ([("a", LINK, b"gone")], "a is a link that leads out, or to what is not there"),
        ([("d/x", FILE, b""), ("m", LINK, b"d/.."), ("l", LINK, b"m/../out")], "l is a link that leads out"),
        ([("a", LINK, b"a")], "a is a link that leads out"),
        ([("a", LINK, b"\xff")], "is no archive of code"),
        ([("a", LINK, b"x" * 5000)], "with a it holds more than may travel"),
        ([("a", stat.S_IFIFO | 0o644, b"")], "a is neither a file nor a link"),
        ([("a", stat.S_IFDIR | 0o755, b"")], "a is neither a file nor a link"),
        ([("a", 0, b"")], "a is neither a file nor a link"),
    ],
)
def test_hostile_names_and_links_are_refused(tmp_path: Path, entries: List[Entry], why: str) -> None:
    home = tmp_path / "in" / "side"
    home.mkdir(parents=True)
    with pytest.warns(UserWarning, match="Duplicate") if "twice" in why else contextlib.nullcontext():
        archive = packed(tmp_path / "a.zip", entries)
    assert why in refusal(archive, home / "work")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.zip", tmp_path / "in"]


def test_bombs_are_refused_before_they_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MOST_FILE_BYTES", 1 << 20)
    monkeypatch.setattr(manifest, "MOST_BYTES", 2 << 20)
    bomb = packed(tmp_path / "bomb.zip", [("zeros", FILE, bytes(manifest.MOST_FILE_BYTES + 1))])
    assert bomb.stat().st_size < 1 << 14
    assert "with zeros it holds more than may travel" in refusal(bomb, tmp_path / "work")
    half = bytes(manifest.MOST_BYTES // 3 + 1)
    many = packed(tmp_path / "many.zip", [(name, FILE, half) for name in "abc"])
    assert "with c it holds more than may travel" in refusal(many, tmp_path / "work")


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", [("zeros", FILE, bytes(1 << 20))])
    content = archive.read_bytes()
    lying = content.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 10))
    assert lying != content
    archive.write_bytes(lying)
    assert "is no archive of code" in refusal(archive, tmp_path / "work")


def test_too_many_entries_are_not_even_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "a.zip", [(f"{n}", FILE, b"") for n in range(manifest.MOST_FILES + 1)])
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was listed"))
    assert "it has more than 5000 files" in refusal(archive, tmp_path / "work")


def damaged(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(path.read_bytes())), None)[1]


@pytest.mark.parametrize(
    "change",
    [
        damaged(lambda content: b""),
        damaged(lambda content: content[: len(content) // 2]),
        damaged(lambda content: content[:-1]),
        damaged(lambda content: content + b"x"),
        damaged(lambda content: content[:60] + bytes(20) + content[80:]),
        damaged(lambda content: b"\0" * 2000),
        # where larger numbers stand, and a comment
        damaged(lambda content: content[:-22] + b"PK\6\7" + bytes(16) + content[-22:]),
        damaged(lambda content: content[:-2] + b"\5\0hello"),
        lambda path: (path.unlink(), os.mkfifo(path))[1],
        lambda path: (path.unlink(), path.mkdir())[1],
        lambda path: path.unlink(),
    ],
)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    archive = packed(tmp_path / "a.zip", GOOD)
    change(archive)
    said = refusal(archive, tmp_path / "work")
    assert "is no archive of code" in said or "cannot be unpacked into" in said


def test_an_encrypted_or_oddly_packed_entry_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", GOOD, zipfile.ZIP_BZIP2)
    assert "train.py is encrypted or packed in another way" in refusal(archive, tmp_path / "work")


def test_an_archive_of_more_bytes_than_any_of_ours_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as stream:
        stream.truncate(archives._ARCHIVE_BYTES + 1)
    assert "it has more than 232 MiB" in refusal(path, tmp_path / "work")


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "a.zip", GOOD)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(working.os, "symlink", full)
    assert "cannot be unpacked into" in refusal(archive, tmp_path / "work")


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 2000),
    new=st.binary(min_size=0, max_size=4),
    cut=st.integers(0, 8),
)
def test_whatever_is_changed_in_an_archive_it_is_refused_or_unpacked(
    tmp_path: Path, at: int, new: bytes, cut: int
) -> None:
    home = tmp_path / "in"
    home.mkdir(exist_ok=True)
    archive = packed(tmp_path / "a.zip", GOOD)
    content = archive.read_bytes()
    at %= len(content)
    archive.write_bytes(content[:at] + new + content[at + cut :])
    try:
        working.unpacked(archive, home / "work", None)
    except working.WorkingError:
        assert not (home / "work").exists() or not any((home / "work").iterdir())
    emptied(home / "work")
    assert {path.name for path in home.iterdir()} <= {"work"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "in"}
