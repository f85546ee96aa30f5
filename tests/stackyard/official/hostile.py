"""Backups of an official server that somebody changed: archives with members that lead elsewhere.

``make`` lays out a checkout, data folders and files outside. ``spoil`` writes a backup whose archives hold what they
should and hostile members among it, with a manifest that fits. ``judge`` restores what can be restored without the
server's containers, and says what else was written.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from stackyard.errors import BadInputError
from stackyard.official import archives, backup

#: The whole series.
COUNT = 60
ELSEWHERE = (
    "../evil", "../../outside/target", "/tmp/stackyard-evil", "a/../../evil", "Makefile", "server/docker-compose.yml",
    "server/secrets/../../Makefile", "./../evil", "server/secrets/a/b", "..", "a\\..\\..\\evil",
    "server//secrets/x", "",
)  # fmt: skip


@dataclass
class Place:
    """``root`` holds a checkout, its data folder, a backup and what lies outside."""

    root: Path

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def backup(self) -> Path:
        return self.root / "backup"

    @property
    def outside(self) -> Path:
        return self.root / "outside" / "target"


def make(root: Path) -> Place:
    """A place without a backup yet."""
    place = Place(root)
    place.outside.parent.mkdir(parents=True)
    place.outside.write_bytes(b"as it was")
    return place


def spoil(place: Place, dice: random.Random) -> str:
    """Write a hostile backup, in a checkout and data folders without anything; what is hostile in it, in words."""
    for folder in (place.checkout, place.data, place.backup):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    (place.checkout / "Makefile").write_bytes(b"ours")
    (place.checkout / "server").mkdir()
    hostile = dice.choice([backup.SETTINGS, backup.FILES, backup.ELASTIC])
    said = ""
    for name in backup.PARTS:
        if name == backup.MONGO:
            (place.backup / name).write_bytes(b"a dump")
            continue
        members = [_file(inside, b"sound") for inside in _sound(name)]
        if name == hostile:
            said, more = _hostile(place, _sound(name)[-1], dice)
            for member in more:
                members.insert(dice.randrange(len(members) + 1) if len(more) == 1 else len(members), member)
        _write(place.backup / name, members, compressed=name == hostile and dice.random() < 0.1)
    parts = {name: _about(place.backup / name) for name in backup.PARTS}
    manifest = {"api_version": 1, "made_at": "2026-11-30T00:00:00", "parts": parts}
    (place.backup / backup.MANIFEST).write_text(json.dumps(manifest))
    if dice.random() < 0.1:
        part = place.backup / hostile
        part.rename(place.root / "outside" / "moved")
        part.symlink_to(place.root / "outside" / "moved")
        said += ", behind a link"
    return f"{hostile}: {said}"


def _sound(name: str) -> list[str]:
    if name == backup.SETTINGS:
        return [".env", "server/secrets/password"]
    return (
        ["20261130t000000/index", "20261130t000000/snap"] if name == backup.ELASTIC else ["./lab/weights.bin"]
    )


Member = tuple[tarfile.TarInfo, bytes]


def _file(name: str, content: bytes) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    info.uid, info.gid = os.geteuid(), os.getegid()
    return info, content


def _hostile(place: Place, sound: str, dice: random.Random) -> tuple[str, list[Member]]:
    """What is hostile, in words, and the members that are."""
    beside = f"{sound}.more"
    kind = dice.choice(
        [
            "name",
            "name",
            "symbolic link",
            "hard link",
            "device",
            "twice",
            "below a file",
            "mode",
            "folder link",
        ]
    )
    if kind == "name":
        name = dice.choice(ELSEWHERE)
        return f"a member {name!r}", [_file(name, b"evil")]
    if kind in ("symbolic link", "hard link"):
        info, _ = _file(beside, b"")
        info.type = tarfile.SYMTYPE if kind == "symbolic link" else tarfile.LNKTYPE
        info.linkname = dice.choice(
            [str(place.outside), "../../outside/target", "../" * 6 + str(place.outside)[1:]]
        )
        return f"a {kind} and a file of its name", [(info, b""), _file(beside, b"evil")]
    if kind == "folder link":
        info, _ = _file(beside, b"")
        info.type, info.linkname = tarfile.SYMTYPE, str(place.outside.parent)
        return "a link to a folder and a file below it", [(info, b""), _file(f"{beside}/target", b"evil")]
    if kind == "device":
        info, _ = _file(beside, b"")
        info.type = dice.choice([tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
        return "a device", [(info, b"")]
    if kind == "twice":
        return "a name twice", [_file(sound, b"evil")]
    if kind == "below a file":
        return "a file below a file", [_file(f"{sound}/evil", b"evil")]
    info, content = _file(beside, b"#!/bin/sh")
    info.mode = 0o7777
    return "a mode of root's programs", [(info, content)]


def _write(path: Path, members: list[Member], compressed: bool) -> None:
    with tarfile.open(path, "w:gz" if compressed else "w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))


def _about(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def judge(place: Place) -> tuple[bool, list[str]]:
    """Restore the backup's settings, files and snapshot.

    Returns:
        Whether all of it was restored, and what is wrong with that, as sentences.
    """
    before, restored, faults = _everything(place), False, []
    for step in (_whole, _settings, _files, _snapshot):  # each by itself, too: it must not rely on another
        try:
            step(place)
            restored = restored or step is _whole
        except BadInputError as refused:
            if "\n" in str(refused):
                faults.append(f"more than a sentence: {refused}")
    for path, content in _everything(place).items():
        if before.get(path) != content and not _is_target(path):
            faults.append(f"{path} was written")
    for path in place.root.rglob("*"):
        inside = path.relative_to(place.root).parts[0] in ("checkout", "data")
        if inside and (path.is_symlink() or (path.is_file() and path.stat().st_mode & 0o7000)):
            faults.append(f"{path} is a link or has the mode of root's programs")
    return restored, faults


def _whole(place: Place) -> None:
    backup.verify(place.backup)


def _settings(place: Place) -> None:
    backup.restore_settings(place.backup, place.checkout)


def _files(place: Place) -> None:
    (place.data / "files").mkdir()
    archives.unpack(place.backup / backup.FILES, place.data / "files")


def _snapshot(place: Place) -> None:
    (place.data / "snapshots").mkdir()
    backup._unpack_snapshot(place.backup / backup.ELASTIC, place.data / "snapshots")


def _is_target(path: str) -> bool:
    """Whether something may be written there."""
    return path == "checkout/.env" or path.startswith(
        ("checkout/server/secrets", "data/files", "data/snapshots")
    )


def _everything(place: Place) -> dict[str, bytes]:
    found = {}
    for path in place.root.rglob("*"):
        content = os.readlink(path).encode() if path.is_symlink() else b""
        found[str(path.relative_to(place.root))] = path.read_bytes() if path.is_file() else content
    return found
