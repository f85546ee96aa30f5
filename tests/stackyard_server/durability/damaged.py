"""Data folders that something happened to while no server ran, and what a start makes of them.

``make`` fills a folder and keeps it twice: as a server leaves it that ends by itself, and as a kill leaves it, with a
log. ``spoil`` damages a copy of one of the two, by number and seed. ``judge`` starts a server on it and says what was
lost: what the folder's server had acknowledged must be there, or the start refuses and leaves every content in place.
"""

from __future__ import annotations

import copy
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from stackyard_server.store import FILE_NAME, StoreError

from ..running import Running, running_server

PAGE_BYTES = 4096
WHOLE = ("no database", "empty database", "foreign database", "older database")
#: The whole series: five of each kind above, cuts of the log, pages of the database.
KINDS = (*[kind for kind in WHOLE for _ in range(5)], *["log cut"] * 20, *["page overwritten"] * 20)


@dataclass
class Acknowledged:
    """What a server said was done: the comment of each task, how many points it has, the content of each file."""

    tasks: dict[str, str] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Folders:
    """``stopped`` and ``killed`` with what each had acknowledged; the same folder earlier, and another server's."""

    stopped: tuple[Path, Acknowledged]
    killed: tuple[Path, Acknowledged]
    older: Path
    foreign: Path


def make(place: Path, dice: random.Random, size: int = 12) -> Folders:
    """Fill the folders.

    Args:
        place: An empty folder to make them in.
        dice: What decides the documents.
        size: How many tasks with a file each, three times.
    """
    said, work = Acknowledged(), place / "work"
    with running_server(folder=place / "foreign") as server:
        _fill(server, Acknowledged(), dice, 3)
    with running_server(folder=work) as server:
        _fill(server, said, dice, size)
    shutil.copytree(work, place / "older")
    with running_server(folder=work) as server:
        _fill(server, said, dice, size)
    shutil.copytree(work, place / "stopped")
    before = copy.deepcopy(said)
    with running_server(folder=work) as server:
        _fill(server, said, dice, size)
        shutil.copytree(work, place / "killed")
    return Folders((place / "stopped", before), (place / "killed", said), place / "older", place / "foreign")


def _fill(server: Running, said: Acknowledged, dice: random.Random, size: int) -> None:
    header = {"Authorization": f"Bearer {server.token}"}
    for number in range(size):
        comment = dice.randbytes(dice.randrange(10, 6000)).hex()
        task = server.call("tasks.create", name=f"task {number}", type="training", comment=comment)["id"]
        said.tasks[task] = comment
        path, content = f"p/t.{task}/artifacts/data.bin", dice.randbytes(dice.randrange(1, 3000))
        answer = server.client.post(f"{server.files}/", files={path: ("x", content)}, headers=header)
        assert answer.status_code == 200, answer.text
        said.files[path] = content
        points = dice.randrange(1, 40)
        lines = [
            {
                "type": "training_stats_scalar",
                "task": task,
                "metric": "m",
                "variant": "v",
                "iter": i,
                "value": i,
            }
            for i in range(points)
        ]
        server.call_lines("events.add_batch", lines)
        said.points[task] = points
    # the last word is one that is on the disk before it is answered
    server.call("tasks.edit", task=next(iter(said.tasks)), force=True, tags=["filled"])


def spoil(folders: Folders, kind: str, place: Path, dice: random.Random) -> Acknowledged:
    """Make a damaged folder at a place; what its server had acknowledged."""
    source, said = dice.choice([folders.stopped, folders.killed]) if kind != "log cut" else folders.killed
    shutil.copytree(source, place)
    database, log = place / FILE_NAME, place / f"{FILE_NAME}-wal"
    if kind == "no database":
        database.unlink()
    elif kind == "empty database":
        database.write_bytes(b"")
    elif kind == "foreign database":
        shutil.copy(folders.foreign / FILE_NAME, database)
    elif kind == "older database":
        shutil.copy(folders.older / FILE_NAME, database)
    elif kind == "log cut":
        with log.open("r+b") as file:
            file.truncate(dice.randrange(log.stat().st_size))
    else:
        with database.open("r+b") as file:
            file.seek(dice.randrange(database.stat().st_size // PAGE_BYTES) * PAGE_BYTES)
            file.write(dice.choice([dice.randbytes(PAGE_BYTES), bytes(PAGE_BYTES)]))
    if kind in WHOLE and dice.random() < 0.5:
        for beside in (log, place / f"{FILE_NAME}-shm"):
            beside.unlink(missing_ok=True)
    return said


def contents(folder: Path) -> dict[str, bytes]:
    """Every content on disk, by name."""
    return {path.name: path.read_bytes() for path in (folder / "files").glob("[0-9a-f][0-9a-f]/*")}


def judge(folder: Path, said: Acknowledged) -> tuple[bool, list[str]]:
    """Start a server on a folder.

    Returns:
        Whether it started, and what was lost, as sentences.
    """
    before = contents(folder)
    try:
        with running_server(folder=folder) as server:
            lost = _missing(server, said)
            started = True
    except StoreError:
        lost, started = [], False
    after = contents(folder)
    lost += [
        f"the content {name} was removed or changed" for name in before if after.get(name) != before[name]
    ]
    return started, lost


def _missing(server: Running, said: Acknowledged) -> list[str]:
    header = {"Authorization": f"Bearer {server.token}"}
    lost = []
    for task, comment in said.tasks.items():
        answer = server.ask("tasks.get_by_id", task=task)
        if answer["meta"]["result_code"] != 200 or answer["data"]["task"].get("comment") != comment:
            lost.append(f"task {task}")
            continue
        scalars = server.call("events.scalar_metrics_iter_histogram", task=task)
        if len(scalars["m"]["v"]["y"]) != said.points[task]:
            lost.append(f"points of task {task}")
    for path, content in said.files.items():
        answered = server.client.get(f"{server.files}/{path}", headers=header)
        if answered.content != content:
            lost.append(f"file {path}")
    return lost


def is_sound(folder: Path) -> bool:
    """Whether SQLite finds no fault with a folder's database."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as rows:
        return rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)
