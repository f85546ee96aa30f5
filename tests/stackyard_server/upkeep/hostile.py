"""Backups that somebody changed who wants more than a copy: what a restore of them writes, and where.

``make`` lays out a place: a sound backup, a secret outside, a target. ``spoil`` changes a copy of the backup, by number
and seed, and mends the manifest as somebody would who can write there. ``judge`` restores it and says what became of
the place outside of the target, and whether what is outside came into the target.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard_server.store import FILE_NAME
from stackyard_server.store.documents import new_id
from stackyard_server.upkeep import UpkeepError, backup, restore

from ..running import Running, running_server

SECRET = b"the secret of another folder"
#: The whole series.
COUNT = 140
NAMES = (
    "../evil.txt", "../../evil.txt", "/tmp/evil", "ab/../../../evil", "..", ".", "", "a", "%2e%2e", "x" * 32,
    "0" * 31, "0" * 33, "0" * 31 + "G", "0" * 31 + "\n", "0" * 32 + "/../../../evil.txt", "\x00" * 32,
    "\uff0e\uff0e/" + "0" * 29,
)  # fmt: skip
PATHS = (
    "../evil.txt",
    "a/../../evil",
    "%2e%2e/evil",
    "a\x00b",
    "a\\..\\..\\evil",
    "\uff0e\uff0e/evil",
    "/abs",
    "a//b",
    "",
    "a\nb",
)


@dataclass
class Place:
    """``root`` holds all of it: the backup, the target to be, and ``outside`` with a secret."""

    root: Path
    sound: Path

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def backup(self) -> Path:
        return self.root / "backups" / "copy"

    @property
    def target(self) -> Path:
        return self.root / "servers" / "target"


def make(root: Path) -> Place:
    """A server's backup with five files, and the place around it."""
    place = Place(root, root.parent / f"{root.name}.sound")
    with running_server(folder=root.parent / f"{root.name}.data") as server:
        for number in range(5):
            _put(server, f"f/{number}", b"content %d" % number)
        backup.backup(server.store, place.sound, 0)
    for folder in (place.outside, place.target.parent, place.backup.parent):
        folder.mkdir(parents=True)
    (place.outside / "secret").write_bytes(SECRET)
    return place


def _put(server: Running, path: str, content: bytes) -> None:
    header = {"Authorization": f"Bearer {server.token}"}
    assert (
        server.client.post(f"{server.files}/", files={path: ("x", content)}, headers=header).status_code
        == 200
    )


def spoil(place: Place, dice: random.Random) -> str:
    """Put a hostile copy of the backup in its place; what was done to it, in words."""
    for folder in (place.backup, place.target):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place.sound, place.backup)
    change = dice.choice(CHANGES)
    said = change(place, dice)
    if dice.random() < 0.8:  # the others leave the manifest as it was
        _mend(place.backup)
    return f"{change.__name__.strip('_')}: {said}"


def _rows(place: Place) -> sqlite3.Connection:
    return sqlite3.connect(place.backup / FILE_NAME)


def _content(place: Place, dice: random.Random) -> Path:
    return dice.choice(sorted(path for path in (place.backup / "files").rglob("*") if path.is_file()))


def _name_of_content(place: Place, dice: random.Random) -> str:
    """A row names a content by a path; a content may lie there."""
    name: Any = dice.choice([*NAMES, b"../evil", 7, None])
    with closing(_rows(place)) as rows:
        rows.execute("PRAGMA ignore_check_constraints=ON")
        try:
            rows.execute("UPDATE file SET blob=? WHERE path='f/0'", (name,))
        except sqlite3.IntegrityError:
            rows.execute("UPDATE file SET blob='../../evil' WHERE path='f/0'")
        rows.commit()
    if isinstance(name, str) and "\x00" not in name:
        goal = place.backup / "files" / name[:2] / name
        if place.root in goal.resolve().parents and not goal.exists():
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(b"content 0")
    return repr(name)


def _path_of_file(place: Place, dice: random.Random) -> str:
    name = dice.choice(PATHS)
    with closing(_rows(place)) as rows:
        rows.execute("UPDATE file SET path=? WHERE path='f/0'", (name,))
        rows.commit()
    return repr(name)


def _link(place: Place, dice: random.Random) -> str:
    """A content, the database, the settings, the manifest or a folder is a link to outside."""
    kind = dice.choice(["content", "database", "settings", "manifest", "folder", "files"])
    secret = place.outside / "secret"
    if kind == "content":
        content = _content(place, dice)
        content.unlink()
        content.symlink_to(secret)
        with closing(_rows(place)) as rows:  # as somebody would who wants it to pass
            about = (len(SECRET), hashlib.sha256(SECRET).hexdigest(), content.name)
            rows.execute("UPDATE file SET bytes=?, sha256=? WHERE blob=?", about)
            rows.commit()
    elif kind == "settings":
        (place.backup / "server.toml").unlink(missing_ok=True)
        (place.backup / "server.toml").symlink_to(secret)
    elif kind in ("database", "manifest"):
        path = place.backup / (FILE_NAME if kind == "database" else "manifest.json")
        moved = place.outside / path.name
        shutil.copy(path, moved)
        path.unlink()
        path.symlink_to(moved)
    else:
        folder = _content(place, dice).parent if kind == "folder" else place.backup / "files"
        moved = place.outside / folder.name
        if not moved.exists():
            shutil.copytree(folder, moved)
        shutil.rmtree(folder)
        folder.symlink_to(moved)
    return kind


def _other_kind(place: Place, dice: random.Random) -> str:
    """A content is a pipe or a folder: reading it never ends, or cannot."""
    content = _content(place, dice)
    content.unlink()
    if dice.random() < 0.5:
        os.mkfifo(content)
    else:
        content.mkdir()
    return content.name


def _structure(place: Place, dice: random.Random) -> str:
    """The database does things of its own when a server writes, or shows a view for a table."""
    sql = dice.choice(
        [
            "CREATE TRIGGER evil AFTER INSERT ON task BEGIN UPDATE user SET role='admin'; END",
            "CREATE TRIGGER evil AFTER INSERT ON user BEGIN DELETE FROM file; END",
            "CREATE VIEW evil AS SELECT * FROM user",
            "CREATE TABLE evil (a)",
            "ALTER TABLE file ADD COLUMN evil TEXT",
            "DROP TRIGGER file_doomed",
        ]
    )
    with closing(_rows(place)) as rows:
        rows.execute(sql)
        rows.commit()
    return sql


def _view(place: Place, dice: random.Random) -> str:
    """The table of files is a view without an end."""
    with closing(_rows(place)) as rows:
        rows.executescript(
            "DROP TABLE file; CREATE VIEW file AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
            "SELECT 'p'||i AS path, 'b' AS blob, 1 AS bytes, 'x' AS sha256 FROM n;"
        )
    return "file"


def _bytes(place: Place, dice: random.Random) -> str:
    """Bytes of any file are others."""
    path = dice.choice(sorted(path for path in place.backup.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice([1, 4, 400])):
        content[dice.randrange(len(content))] = dice.randrange(256)
    path.unlink()
    path.write_bytes(content[: dice.choice([len(content), len(content) // 2])])
    return path.name


def _manifest(place: Place, dice: random.Random) -> str:
    """The manifest says something else."""
    path = place.backup / "manifest.json"
    manifest = json.loads(path.read_text())
    name = dice.choice(sorted(manifest))
    manifest[name] = dice.choice(
        [None, "../evil", -1, [], {}, 1e308, {"sha256": "x", "bytes": -1}, "x" * 2_000_000]
    )
    path.write_text(json.dumps(manifest))
    return name


def _log_beside(place: Place, dice: random.Random) -> str:
    """A log or journal lies beside the database, for SQLite to play back."""
    suffix = dice.choice(["-wal", "-journal", "-shm"])
    (place.backup / f"{FILE_NAME}{suffix}").write_bytes(dice.randbytes(dice.choice([0, 32, 40_000])))
    return suffix


def _more(place: Place, dice: random.Random) -> str:
    """Further files that nobody named."""
    for name in ("evil.txt", "files/evil.txt", f"files/ab/{new_id()}", ".restoring", "files/mark"):
        path = place.backup / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"evil")
    return "five"


CHANGES = (
    _name_of_content, _name_of_content, _path_of_file, _link, _link, _link, _other_kind, _structure, _view, _bytes,
    _bytes, _manifest, _log_beside, _more,
)  # fmt: skip


def _mend(folder: Path) -> None:
    """State what is there now, as far as it can be read."""
    path, database = folder / "manifest.json", folder / FILE_NAME
    try:
        manifest = json.loads(path.read_text())
        content = database.read_bytes()
        manifest["database"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if (folder / "server.toml").is_file():
            stated = (folder / "server.toml").read_bytes()
            manifest["settings"] = {"bytes": len(stated), "sha256": hashlib.sha256(stated).hexdigest()}
        path.write_text(json.dumps(manifest))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass


def judge(place: Place, verify: bool) -> tuple[bool, list[str]]:
    """Restore the backup.

    Returns:
        Whether it was restored, and what is wrong with that, as sentences.
    """
    before = _everything(place)
    try:
        found = restore.restore(place.backup, place.target, verify)
        restored, faults = found["ok"], []
    except UpkeepError as refused:
        restored, faults = False, []
        if "\n" in str(refused):
            faults.append(f"more than a sentence: {refused}")
    after = _everything(place)
    faults += [f"{path} was written" for path in after if before.get(path) != after[path]]
    faults += [f"{path} was removed" for path in before.keys() - after.keys()]
    if not restored and place.target.exists() and any(place.target.iterdir()):
        faults.append("the target was written though the backup was refused")
    if place.target.exists():
        for path in place.target.rglob("*"):
            if path.is_symlink():
                faults.append(f"{path} is a link")
            elif path.is_file() and path.read_bytes() == SECRET:
                faults.append(f"{path} holds what lay outside")
    return restored, faults


def _everything(place: Place) -> dict[str, bytes]:
    """What lies in the place, without the target."""
    found = {}
    for path in place.root.rglob("*"):
        if place.target in (path, *path.parents):
            continue
        name = str(path.relative_to(place.root))
        if path.is_symlink():
            found[name] = b"link to " + os.readlink(path).encode()
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = b"folder or pipe"
    return found
