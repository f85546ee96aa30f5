"""What a command left in its working folder comes to the outputs, and nothing else does."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from pathlib import Path
from typing import Dict

import pytest

from stackyard_task import gathering, working
from stackyard_task.gathering import Gathered, gathered
from tests.stackyard_task.test_emptying import LEVELS, deep
from tests.stackyard_task.test_working import FILE, GOOD, packed


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return packed(tmp_path / "a.zip", [*GOOD, ("data/x.csv", FILE, b"1,2\n")])


@pytest.fixture
def work(tmp_path: Path, archive: Path) -> Path:
    (tmp_path / "run" / "outputs").mkdir(parents=True)
    working.unpacked(archive, tmp_path / "run" / "work", None)
    return tmp_path / "run" / "work"


def left(work: Path) -> Dict[str, str]:
    """Name below outputs -> content, or where a link leads."""
    outputs = work.parent / "outputs"
    found = {}
    for folder, folders, files in os.walk(outputs):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[os.path.relpath(path, outputs)] = f"-> {os.readlink(path)}"
            elif os.path.isfile(path):
                with open(path, "rb") as stream:
                    found[os.path.relpath(path, outputs)] = stream.read(100).decode()
    return found


def test_new_and_changed_files_come_and_nothing_stays(work: Path, archive: Path) -> None:
    (work / "model.pt").write_text("weights")
    (work / "data" / "x.csv").write_text("1,3\n")
    (work / "lib" / "deep" / "new.txt").write_text("new")
    os.utime(work / "train.py", (1, 1))
    (work / "é.txt").chmod(0o755)
    (work / "logs" / "empty").mkdir(parents=True)
    (work / "__pycache__").mkdir()
    (work / "__pycache__" / "train.pyc").write_text("")
    result = gathered(work, archive, work.parent / "outputs")
    assert left(work) == {
        "work/model.pt": "weights",
        "work/data/x.csv": "1,3\n",
        "work/lib/deep/new.txt": "new",
    }
    assert result == Gathered(moved=3, bytes=7 + 4 + 3)
    assert not work.exists()


def test_a_file_that_was_written_again_with_what_it_held_is_kept(work: Path, archive: Path) -> None:
    held = (work / "train.py").read_text()
    (work / "train.py").write_text(held)
    assert gathered(work, archive, work.parent / "outputs").moved == 1
    assert left(work) == {"work/train.py": held[:100]}


def test_a_command_that_left_nothing_leaves_no_folder(work: Path, archive: Path) -> None:
    assert gathered(work, archive, work.parent / "outputs") == Gathered()
    assert left(work) == {}
    assert list((work.parent / "outputs").iterdir()) == []
    assert not work.exists()


def test_a_file_that_became_a_link_or_a_folder_is_new(work: Path, archive: Path) -> None:
    (work / "train.py").unlink()
    (work / "train.py").mkdir()
    (work / "train.py" / "x").write_text("x")
    (work / "lib" / "link").unlink()
    (work / "lib" / "link").write_text("../train.py")
    assert gathered(work, archive, work.parent / "outputs").moved == 2
    assert left(work) == {"work/train.py/x": "x", "work/lib/link": "../train.py"}


def test_where_nothing_was_unpacked_all_is_new(work: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_text("no archive")
    for archive in (None, tmp_path / "gone.zip", tmp_path / "bad.zip"):
        work.mkdir(exist_ok=True)
        shutil.rmtree(work)
        work.mkdir()
        (work / "train.py").write_text("x")
        assert gathered(work, archive, work.parent / "outputs").moved == 1
        assert left(work) == {"work/train.py": "x"}
        shutil.rmtree(work.parent / "outputs" / "work")


def test_links_are_kept_where_they_lead_to_what_is_kept(work: Path, archive: Path) -> None:
    (work / "epoch-3.pt").write_text("3")
    for name, target in {
        "latest.pt": "epoch-3.pt",
        "best.pt": "latest.pt",
        "out": "/etc/hostname",
        "up": "../outputs",
        "code": "train.py",  # unchanged, so it does not come
        "code-too": "code",
        "gone": "nowhere",
        "round": "round",
    }.items():
        (work / name).symlink_to(target)
    result = gathered(work, archive, work.parent / "outputs")
    assert left(work) == {
        "work/epoch-3.pt": "3",
        "work/latest.pt": "-> epoch-3.pt",
        "work/best.pt": "-> latest.pt",
    }
    assert (result.moved, result.bytes, result.dropped) == (3, 1, 6)
    assert result.sentence == (
        "of what the command left, 6 files could not be kept (links are kept where they lead to a file that is)"
    )


def test_sockets_and_pipes_are_removed_and_counted(
    work: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(str(work / "pipe"))
    monkeypatch.chdir(work)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    assert gathered(work, archive, work.parent / "outputs") == Gathered(
        dropped=2,
        sentence=(
            "of what the command left, 2 files could not be kept (pipes, sockets and devices have no content)"
        ),
    )
    assert not work.exists()


def test_all_that_is_dropped_is_one_number_with_its_reasons(work: Path, archive: Path) -> None:
    os.mkfifo(str(work / "pipe"))
    (work / "out").symlink_to("/etc/hostname")
    with (work / "huge").open("wb") as stream:
        stream.truncate(gathering.MOST_MOVED_BYTES + 1)
    result = gathered(work, archive, work.parent / "outputs")
    assert (result.moved, result.dropped) == (0, 3)
    assert result.sentence == (
        "of what the command left, 3 files could not be kept (at most 4 GiB are; links are kept where they lead to a "
        "file that is; pipes, sockets and devices have no content)"
    )


def test_bounds_are_kept_and_what_is_beyond_is_counted(
    work: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (work / f"{number}").write_text("12345")
    monkeypatch.setattr(gathering, "MOST_MOVED", 4)
    result = gathered(work, archive, work.parent / "outputs")
    assert (result.moved, result.dropped) == (4, 2)
    assert result.sentence == "of what the command left, 2 files could not be kept (at most 4 files are)"
    assert not work.exists()


def test_huge_files_are_dropped_by_their_size(work: Path, archive: Path) -> None:
    with (work / "huge").open("wb") as stream:
        stream.truncate(gathering.MOST_MOVED_BYTES + 1)
    (work / "small").write_text("s")
    result = gathered(work, archive, work.parent / "outputs")
    assert (result.moved, result.dropped) == (1, 1)
    assert "at most 4 GiB are" in (result.sentence or "")
    assert not work.exists()


def test_odd_names_come_as_text_and_deep_or_long_ones_do_not(work: Path, archive: Path) -> None:
    for name in (b"caf\xe9", b"a\nb", b"tab\there", b"100%"):
        with open(os.path.join(os.fsencode(work), name), "w") as stream:
            stream.write("x")
    (work / "/".join(["d"] * 63)).mkdir(parents=True)
    (work / "/".join(["d"] * 63) / "in").write_text("x")
    (work / "/".join(["e"] * 64)).mkdir(parents=True)
    (work / "/".join(["e"] * 64) / "out").write_text("x")
    (work / "/".join(["n" * 200] * 6)).mkdir(parents=True)
    (work / "/".join(["n" * 200] * 6) / "out").write_text("x")
    result = gathered(work, archive, work.parent / "outputs")
    names = set(left(work))
    assert {"work/caf%E9", "work/a%0Ab", "work/tab%09here", "work/100%"} < names
    assert "work/" + "/".join(["d"] * 63) + "/in" in names
    assert (result.moved, result.dropped) == (5, 2)
    assert "at most 64 folders deep" in (result.sentence or "")


def test_folders_deeper_than_any_path_and_unreadable_ones_raise_nothing(work: Path, archive: Path) -> None:
    deep(work, LEVELS)
    (work / "closed").mkdir()
    (work / "closed" / "result").write_text("r")
    (work / "closed" / "result").chmod(0)
    (work / "closed").chmod(0)
    result = gathered(work, archive, work.parent / "outputs")
    assert left(work) == {"work/closed/result": "r"}
    assert (work.parent / "outputs" / "work" / "closed" / "result").stat().st_mode & 0o400
    assert result.dropped == 1
    assert not work.exists()


def test_a_working_folder_that_is_gone_closed_or_a_link(work: Path, archive: Path, tmp_path: Path) -> None:
    outputs = work.parent / "outputs"
    (work / "x").write_text("x")
    work.chmod(0)
    assert gathered(work, archive, outputs).moved == 1
    assert gathered(work, archive, outputs) == Gathered()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("")
    work.symlink_to(tmp_path / "mine")
    assert "cannot be looked at" in (gathered(work, archive, outputs).sentence or "")
    assert (tmp_path / "mine" / "file").exists()


def test_outputs_that_were_removed_or_led_astray(work: Path, archive: Path, tmp_path: Path) -> None:
    outputs = work.parent / "outputs"
    outputs.rmdir()
    (work / "x").write_text("x")
    assert gathered(work, archive, outputs).moved == 1
    assert left(work) == {"work/x": "x"}
    # a command that laid a link where its files will come
    (tmp_path / "mine").mkdir()
    shutil.rmtree(outputs / "work")
    (outputs / "work").symlink_to(tmp_path / "mine")
    work.mkdir()
    (work / "y").write_text("y")
    result = gathered(work, archive, outputs)
    assert (result.moved, result.dropped) == (0, 1)
    assert "could not be kept" in (result.sentence or "")
    assert list((tmp_path / "mine").iterdir()) == []


def test_what_the_command_wrote_into_the_outputs_stays(work: Path, archive: Path) -> None:
    outputs = work.parent / "outputs"
    (outputs / "work" / "sub").mkdir(parents=True)
    (outputs / "work" / "x").write_text("first")
    (outputs / "work" / "sub" / "z").write_text("z")
    (work / "sub").mkdir()
    (work / "sub" / "y").write_text("y")
    (work / "x").write_text("second")
    result = gathered(work, archive, outputs)
    assert left(work) == {"work/x": "first", "work/sub/y": "y", "work/sub/z": "z"}
    assert (result.moved, result.dropped) == (1, 1)
    assert "where the outputs have a file of that name, that one stays" in (result.sentence or "")


def test_outputs_on_another_file_system_get_copies(
    work: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "model.pt").write_text("weights")
    (work / "run").write_text("#!/bin/sh")
    (work / "run").chmod(0o755)
    (work / "latest").symlink_to("model.pt")

    def elsewhere(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(gathering.os, "rename", elsewhere)
    result = gathered(work, archive, work.parent / "outputs")
    monkeypatch.undo()
    assert result.moved == 3
    assert left(work) == {"work/model.pt": "weights", "work/run": "#!/bin/sh", "work/latest": "-> model.pt"}
    assert (work.parent / "outputs" / "work" / "run").stat().st_mode & 0o777 == 0o755


def test_a_disk_that_fails_is_one_sentence(
    work: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "model.pt").write_text("weights")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gathering.os, "mkdir", full)
    result = gathered(work, archive, work.parent / "outputs")
    assert (result.moved, result.dropped) == (0, 1)
    assert result.sentence == (
        "of what the command left, 1 file could not be kept "
        "(something could not be read or moved: No space left on device)"
    )
