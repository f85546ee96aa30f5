"""The user's folder of code: what of it travels, its digest and archive, and every folder that cannot travel."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads import folder
from stackyard.workloads.folder import Folder
from stackyard_task import manifest, working
from tests.stackyard.workloads.test_repository import git


def write(top: Path, **files: str) -> Path:
    for name, text in files.items():
        path = top / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


@pytest.fixture
def code(tmp_path: Path) -> Path:
    top = tmp_path / "code"
    for name in ("train.py", "lib/model.py", "lib/deep/er.py"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(f"# {name}\n" * 50)
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "latest.py").symlink_to("lib/model.py")
    return top


NAMES = ["latest.py", "lib/deep/er.py", "lib/model.py", "run.sh", "train.py"]


def test_files_modes_and_links_are_known_and_nothing_is_written(code: Path) -> None:
    before = sorted(code.rglob("*"))
    found = folder.looked_at(code)
    assert list(found.files) == NAMES
    assert found.files["run.sh"].executable
    assert not found.files["train.py"].executable
    assert found.files["latest.py"].target == "lib/model.py"
    assert found.size == sum((code / name).lstat().st_size for name in NAMES)
    assert (found.commit, found.dirty, found.diff, found.notes) == (None, None, None, ())
    assert sorted(code.rglob("*")) == before


def test_the_digest_says_names_modes_and_contents_and_not_where_or_when(code: Path, tmp_path: Path) -> None:
    first = folder.looked_at(code).digest
    os.utime(code / "train.py", (1, 1))
    assert folder.looked_at(code.rename(tmp_path / "elsewhere")).digest == first
    code = tmp_path / "elsewhere"
    seen = {first}
    for change in (
        lambda: (code / "train.py").write_text("other"),
        lambda: (code / "train.py").chmod(0o755),
        lambda: (code / "train.py").rename(code / "fit.py"),
        lambda: ((code / "latest.py").unlink(), (code / "latest.py").symlink_to("fit.py")),
        lambda: ((code / "latest.py").unlink(), (code / "latest.py").write_text("fit.py")),
    ):
        change()
        seen.add(folder.looked_at(code).digest)
    assert len(seen) == 6


def test_differences_name_each_file(code: Path) -> None:
    old = folder.looked_at(code).marks
    (code / "train.py").write_text("other")
    (code / "run.sh").chmod(0o644)
    (code / "lib" / "model.py").rename(code / "lib" / "net.py")
    (code / "latest.py").unlink()
    assert folder.differences(old, folder.looked_at(code).marks) == [
        *["gone: latest.py", "gone: lib/model.py", "new: lib/net.py", "changed: run.sh", "changed: train.py"]
    ]
    assert folder.differences(old, old) == []


def archive_of(found: Folder, home: Path) -> bytes:
    return folder.archived(found, home).read_bytes()


def test_an_archive_is_named_by_the_digest_and_the_same_bytes_for_the_same_content(
    code: Path, tmp_path: Path
) -> None:
    found = folder.looked_at(code)
    first = folder.archived(found, tmp_path / "home")
    assert first == tmp_path / "home" / "work" / f"{found.digest[:12]}.zip"
    assert (
        oct(first.stat().st_mode & 0o777) == "0o600"
    )  # others may read the home, and the code may be private
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == NAMES
        modes = {e.filename: oct(e.external_attr >> 16) for e in archive.infolist()}
    assert (modes["run.sh"], modes["train.py"], modes["latest.py"]) == ("0o100755", "0o100644", "0o120777")
    os.utime(code / "train.py", (1, 1))
    assert archive_of(folder.looked_at(code), tmp_path / "other") == first.read_bytes()
    # contents that were not kept are read again, to the same bytes
    again = folder.looked_at(code)
    again.contents.clear()
    assert archive_of(again, tmp_path / "third") == first.read_bytes()
    assert list((tmp_path / "third" / "work").iterdir()) == [folder.kept(tmp_path / "third", found.digest)]


def test_what_is_archived_arrives_as_it_was(code: Path, tmp_path: Path) -> None:
    found = folder.looked_at(code)
    working.unpacked(folder.archived(found, tmp_path / "home"), tmp_path / "work", found.digest)
    arrived = folder.looked_at(tmp_path / "work")
    assert (arrived.digest, arrived.files) == (found.digest, found.files)


def test_a_whole_archive_is_used_again_and_a_damaged_one_made_anew(code: Path, tmp_path: Path) -> None:
    found = folder.looked_at(code)
    assert folder.again(tmp_path, found.digest) is None
    place = folder.archived(found, tmp_path)
    inode = place.stat().st_ino
    assert folder.archived(folder.looked_at(code), tmp_path).stat().st_ino == inode
    assert folder.again(tmp_path, found.digest) == place
    content = place.read_bytes()
    for damaged in (content[:-30], b"", content.replace(b"# train.py", b"# drain.py"), b"x" * 100):
        place.write_bytes(damaged)
        if damaged != content:
            assert folder.again(tmp_path, found.digest) is None
            folder.archived(folder.looked_at(code), tmp_path)
            assert place.read_bytes() == content
    # of another folder, whole as it is
    other = write(tmp_path / "other", a_DOT_py="pass")
    place.write_bytes(archive_of(folder.looked_at(other), tmp_path))
    assert folder.again(tmp_path, found.digest) is None


def test_an_empty_folder_travels_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    found = folder.looked_at(tmp_path / "empty")
    assert found.files == {}
    with zipfile.ZipFile(folder.archived(found, tmp_path)) as archive:
        assert archive.namelist() == []


def test_code_that_is_changed_between_looking_and_archiving_is_refused(code: Path, tmp_path: Path) -> None:
    found = folder.looked_at(code)
    (code / "train.py").write_text("other")
    kept = folder.archived(found, tmp_path / "a")  # what was kept in memory is what was looked at
    assert b"# train.py" in zipfile.ZipFile(kept).read("train.py")
    for change in (lambda: (code / "train.py").write_text("third"), (code / "train.py").unlink):
        again = folder.looked_at(code)
        again.contents.clear()
        change()
        with pytest.raises(BadInputError, match=r"train\.py was changed after it was looked at"):
            folder.archived(again, tmp_path / "b")
        assert list((tmp_path / "b" / "work").iterdir()) == []


def test_a_home_that_cannot_be_written_is_one_sentence(code: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StackyardError, match=r"home: cannot be written .*; set STACKYARD_HOME"):
        folder.archived(folder.looked_at(code), tmp_path / "home")


def test_a_file_that_changes_while_it_is_read_is_looked_at_once_more(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, times = folder._opened, []

    def touching(path: Path, most: int) -> object:
        if path.name == "train.py" and len(times) < most:
            times.append(1)
            path.write_text("more" * (len(times) + 1))
        return opened(path)

    monkeypatch.setattr(folder, "_opened", lambda path: touching(path, 1))
    assert folder.looked_at(code).files["train.py"].size == 8
    times.clear()
    monkeypatch.setattr(folder, "_opened", lambda path: touching(path, 2))
    with pytest.raises(BadInputError, match=r"train\.py changes while it is read; wait until"):
        folder.looked_at(code)


def test_a_file_that_vanishes_is_looked_for_once_more(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = folder._opened

    def vanishing(path: Path) -> object:
        (code / "train.py").unlink(missing_ok=True)
        return opened(path)

    monkeypatch.setattr(folder, "_opened", vanishing)
    assert "train.py" not in folder.looked_at(code).files


@pytest.mark.parametrize("path", ["absent", "file", "a\0b", "loop", "x" * 5000])
def test_what_is_no_folder_is_refused_in_a_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadInputError, match=r"is no folder|cannot be looked at"):
        folder.looked_at(tmp_path / path)


def test_a_pointer_of_lfs_is_no_file(code: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    (code / "weights.bin").write_text(pointer)
    with pytest.raises(
        BadInputError, match=r"weights.bin is a pointer of Git LFS .*; run `git lfs pull` first"
    ):
        folder.looked_at(code)
    (code / "weights.bin").write_text(pointer + "x" * 2000)  # that is a text about them
    assert "weights.bin" in folder.looked_at(code).files


def test_an_unreadable_file_is_named(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refusing(path: object, *rest: object, **named: object) -> int:
        if str(path).endswith("model.py"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(folder.os, "open", refusing)
    with pytest.raises(BadInputError, match=r"model.py cannot be read \(Permission denied\); exclude it in"):
        folder.looked_at(code)


def test_a_repository_that_is_dirty_says_how(code: Path) -> None:
    git(code, "init", "-q")
    git(code, "add", "-A")
    git(code, "commit", "-qm", "first")
    clean = folder.looked_at(code)
    assert (clean.commit, clean.dirty, clean.diff) == (git(code, "rev-parse", "HEAD"), False, b"")
    (code / "new.py").write_text("pass")
    untracked = folder.looked_at(code)
    assert (untracked.dirty, untracked.diff, "new.py" in untracked.files) == (True, b"", True)
    (code / "new.py").unlink()
    (code / "train.py").write_text("other\n")
    changed = folder.looked_at(code)
    assert changed.dirty is True
    assert b"+other" in (changed.diff or b"")
    assert changed.commit == clean.commit


def test_most_code_is_read_once(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = folder.looked_at(code)
    monkeypatch.setattr(folder, "_opened", lambda path: pytest.fail(f"{path} is read again"))
    folder.archived(found, tmp_path)
    assert found.contents == {}


def test_large_files_are_kept_as_they_are_and_read_in_pieces(code: Path, tmp_path: Path) -> None:
    noise = os.urandom(3 << 20)
    (code / "noise.bin").write_bytes(noise)
    (code / "zeros.bin").write_bytes(bytes(3 << 20))
    found = folder.looked_at(code)
    assert "noise.bin" not in found.contents
    with zipfile.ZipFile(folder.archived(found, tmp_path)) as archive:
        assert archive.read("noise.bin") == noise
        assert archive.getinfo("noise.bin").compress_type == zipfile.ZIP_STORED
        assert archive.getinfo("zeros.bin").compress_size < 1 << 16
    assert folder.again(tmp_path, found.digest) is not None


def test_bounds_of_an_archive_are_those_of_a_folder(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = folder.looked_at(code)
    folder.archived(found, tmp_path)
    monkeypatch.setattr(manifest, "MOST_FILES", 2)
    assert folder.again(tmp_path, found.digest) is None
