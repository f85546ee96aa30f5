"""An archive is the same for the same files, and nothing in it leads out of where it is unpacked."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.bundle import archive
from stackyard.bundle.manifest import Component, Item
from stackyard.errors import StackyardError
from tests.stackyard.bundle.conftest import described


def test_the_same_files_make_the_same_bytes_whenever_they_were_written(
    tmp_path: Path, pack: Callable[..., Component]
) -> None:
    first = pack()
    for path in (tmp_path / "content" / "control-3.11").iterdir():
        os.utime(path, (1, 1))
    assert pack() == first
    assert first.bytes == (tmp_path / "bundle" / first.file).stat().st_size


def test_what_was_packed_is_unpacked_with_its_mode_and_its_links(tmp_path: Path) -> None:
    content = tmp_path / "content"
    (content / "bin").mkdir(parents=True)
    (content / "bin" / "python3.9").write_text("#!/bin/sh\n")
    (content / "bin" / "python3.9").chmod(0o700)
    (content / "bin" / "python3").symlink_to("python3.9")
    component = archive.pack(content, tmp_path / "p.tar", "p", "python", "", described)
    assert list(archive.faults(component, tmp_path)) == []
    with tarfile.open(tmp_path / "p.tar") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / "bin" / "python3").resolve().name == "python3.9"
    assert os.access(tmp_path / "out" / "bin" / "python3.9", os.X_OK)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside"])
def test_a_link_out_of_what_is_packed_is_refused_and_nothing_is_left(tmp_path: Path, target: str) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "link").symlink_to(target)
    with pytest.raises(StackyardError, match="out of what is packed"):
        archive.pack(tmp_path / "content", tmp_path / "c.tar", "c", "wheels", "", described)
    assert [path.name for path in tmp_path.iterdir()] == ["content"]


def forged(folder: Path, *members: tuple[str, str | None]) -> Component:
    """A component whose hash is right and whose members are (name, link or ``None``) with the content "x"."""
    with tarfile.open(folder / "c.tar", "w") as tar:
        for name, link in members:
            member = tarfile.TarInfo(name)
            if link is None:
                member.size = 1
                tar.addfile(member, io.BytesIO(b"x"))
            else:
                member.type, member.linkname = tarfile.SYMTYPE, link
                tar.addfile(member)
    content = (folder / "c.tar").read_bytes()
    items = [Item("file", 1, hashlib.sha256(b"x").hexdigest(), "file")]
    return Component("c", "wheels", len(content), hashlib.sha256(content).hexdigest(), items)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("file", None), ("../out", None)], "leads out"),
        ([("file", None), ("/out", None)], "leads out"),
        ([("file", None), ("link", "/etc")], "out of it"),
        ([("file", None), ("a/link", "../../x")], "out of it"),
        ([("file", None), ("link", "file"), ("link/x", None)], "behind a link"),
        ([("file", None), ("more", None)], "more is not in the manifest"),
        ([("file", None), ("file", None)], "file is not in the manifest"),
        ([("file", "other")], "file is missing"),
        ([], "file is missing"),
    ],
)
def test_members_that_the_manifest_does_not_name_or_that_lead_out_are_named(
    tmp_path: Path, members: list[tuple[str, str | None]], said: str
) -> None:
    assert said in " ".join(archive.faults(forged(tmp_path, *members), tmp_path))


def test_an_archive_that_is_missing_cut_or_changed_is_named(
    tmp_path: Path, pack: Callable[..., Component]
) -> None:
    component, folder = pack(), tmp_path / "bundle"
    path = folder / component.file
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert "the manifest says" in next(archive.faults(component, folder))
    path.write_bytes(b"y" + content[1:])
    assert "SHA-256" in next(archive.faults(component, folder))
    path.unlink()
    assert list(archive.faults(component, folder)) == [f"{component.file}: missing"]
    path.write_bytes(b"no archive")
    other = dataclasses.replace(component, bytes=10, sha256=hashlib.sha256(b"no archive").hexdigest())
    assert "cannot be read" in next(archive.faults(other, folder))
