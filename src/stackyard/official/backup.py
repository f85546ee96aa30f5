"""Backup and restore of the official server: databases by their own tools, files as they are, secrets apart.

While a backup is made nobody can write: the front and ClearML's own processes are stopped, the stores run. What is
not kept: Redis (sessions, scrolls: everybody logs in again) and Prometheus' history. See docs/official-server.md.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stackyard.errors import BadInputError, StackyardError
from stackyard.official.compose import Compose
from stackyard.official.installation import read_env
from stackyard_task.records import RecordError, from_json, read_json

API_VERSION = 1
#: What writes: stopped while a backup is made, in this order.
WRITERS = ("front", "webserver", "fileserver", "apiserver")
STORES = ("elasticsearch", "mongo", "redis")
MONGO, ELASTIC, FILES, SETTINGS = "mongo.archive.gz", "elastic.tar", "files.tar", "settings.tar"
PARTS = (MONGO, ELASTIC, FILES, SETTINGS)
Say = Callable[[str], None]

# The password is in a file for as long as the tool runs: a list of processes would show it.
_MONGO = (
    'umask 077; config=$(mktemp); trap "rm -f $config" EXIT; '
    'printf "password: %s\\n" "$(cat /run/secrets/mongo_root_password)" > "$config"; '
    '{tool} --quiet --config="$config" --username=root --authenticationDatabase=admin --archive --gzip {options}'
)
_ELASTIC = (
    'umask 077; config=$(mktemp); trap "rm -f $config" EXIT; '
    'printf "user = \\"elastic:%s\\"\\n" "$(cat /run/secrets/elastic_password)" > "$config"; '
    'curl -sS --fail-with-body -K "$config" -X {method} -H "Content-Type: application/json" '
    "\"http://127.0.0.1:9200{path}\" -d '{body}'"
)


def backup(folder: Path, target: Path, say: Say, compose: Compose | None = None) -> dict[str, Any]:
    """Write a backup into a new folder; the server's writers are stopped meanwhile and started again.

    Args:
        folder: the installation.
        target: a folder that is not there yet.
        say: told what is done.
        compose: instead of one of ``folder``.

    Returns:
        The manifest: when, of what, and every part's size and SHA-256.

    Raises:
        BadInputError: ``target`` exists.
        StackyardError: a part could not be made; the writers were started again and ``target`` removed.
    """
    values = read_env(folder)
    data = Path(values["CLEARML_FOLDER"])
    if target.exists():
        raise BadInputError(f"{target} exists; a backup is a new folder")
    compose = compose or Compose(folder)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dt%H%M%S")
    target.mkdir(parents=True, mode=0o700)
    try:
        say("stopping what writes: " + ", ".join(WRITERS))
        compose.run("stop", *WRITERS)
        try:
            say("MongoDB: mongodump")
            with _private(target / MONGO) as file:
                compose.shell("mongo", _MONGO.format(tool="mongodump", options=""), stdout=file)
            say("Elasticsearch: snapshot")
            _snapshot(compose, data / "snapshots" / stamp, stamp, target / ELASTIC)
            say("uploaded files")
            _pack(target / FILES, data / "data" / "fileserver", ".")
            say("settings and secrets")
            _pack(target / SETTINGS, folder, ".env", "server/secrets")
        finally:
            say("starting again")
            compose.run("up", "-d", "--wait", "--no-recreate", *reversed(WRITERS))
        manifest = {
            "api_version": API_VERSION,
            "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "images": _images(compose),
            "parts": {name: _about(target / name) for name in PARTS},
        }
        with _private(target / "manifest.json") as file:
            file.write(json.dumps(manifest, indent=1).encode())
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return manifest


@dataclass(frozen=True)
class _Parts:
    """What of a manifest is read here."""

    parts: dict[str, dict[str, Any]]


def verify(source: Path) -> dict[str, Any]:
    """A backup's manifest, once every part was found as it says.

    Raises:
        BadInputError: it is no backup, or a part is missing or changed.
    """
    try:
        manifest = read_json(dict[str, Any], source / "manifest.json")
        parts = from_json(_Parts, manifest, "manifest.json").parts
    except RecordError as error:
        raise BadInputError(f"{source} holds no manifest.json of a backup") from error
    if manifest.get("api_version") != API_VERSION:
        raise BadInputError(f"{source}: api_version {manifest.get('api_version')!r}; expected {API_VERSION}")
    for name in PARTS:
        if not (source / name).is_file():
            raise BadInputError(f"{source / name} is missing")
        if _about(source / name) != parts.get(name):
            raise BadInputError(f"{source / name} is not what the manifest says: size or SHA-256 differ")
    return manifest


def restore_settings(source: Path, folder: Path) -> None:
    """Put ``.env`` and the secrets of a backup into a checkout that has none.

    Raises:
        BadInputError: it has some.
    """
    for name in (".env", "server/secrets"):
        if (folder / name).exists():
            raise BadInputError(f"{folder / name} is there already; restore into a checkout without one")
    with tarfile.open(source / SETTINGS) as archive:
        archive.extractall(folder, filter="tar" if os.geteuid() == 0 else "data")


def restore(source: Path, folder: Path, say: Say, compose: Compose | None = None) -> dict[str, Any]:
    """Put a backup's databases and files into an installation whose data folders are empty, and start it.

    The installation's secrets may be others than those at the time of the backup: users of ClearML come from the
    web login's file, users of the stores from this installation.

    Raises:
        BadInputError: the backup is not sound, or something is in the data folders.
        StackyardError: a part could not be put back.
    """
    manifest = verify(source)
    data = Path(read_env(folder)["CLEARML_FOLDER"])
    for name in ("data/mongo/db", "data/elastic", "data/fileserver"):
        if (data / name).is_dir() and any((data / name).iterdir()):
            raise BadInputError(f"{data / name} is not empty; restore goes into a new installation")
    compose = compose or Compose(folder)
    say("starting the stores")
    compose.run("up", "-d", "--wait", *STORES)
    say("MongoDB: mongorestore")
    with (source / MONGO).open("rb") as file:
        # Users of the stores are this installation's; what is restored are ClearML's two databases.
        options = "--nsInclude='auth.*' --nsInclude='backend.*'"
        compose.shell("mongo", _MONGO.format(tool="mongorestore", options=options), stdin=file)
    say("Elasticsearch: restore of the snapshot")
    stamp = _unpack_snapshot(source / ELASTIC, data / "snapshots")
    _register(compose, stamp)
    said = _elastic(
        compose,
        "POST",
        f"/_snapshot/stackyard/{stamp}/_restore?wait_for_completion=true",
        {"indices": "*,-.*", "include_global_state": True, "feature_states": ["none"]},
    )
    if said.get("snapshot", {}).get("shards", {}).get("failed"):
        raise StackyardError(f"Elasticsearch restored the snapshot in part only: {json.dumps(said)[:300]}")
    say("uploaded files")
    with tarfile.open(source / FILES) as archive:
        archive.extractall(data / "data" / "fileserver", filter="data")
    if os.geteuid() == 0:
        _own(data / "data" / "fileserver")
    say("starting ClearML")
    compose.run("up", "-d", "--wait")
    return manifest


def _snapshot(compose: Compose, folder: Path, stamp: str, target: Path) -> None:
    """A snapshot in a repository of its own, packed, and the repository given up again."""
    _register(compose, stamp)
    try:
        said = _elastic(
            compose,
            "PUT",
            f"/_snapshot/stackyard/{stamp}?wait_for_completion=true",
            {"indices": "*,-.*", "include_global_state": True, "feature_states": ["none"]},
        )
        state = said.get("snapshot", {}).get("state")
        if state != "SUCCESS":
            raise StackyardError(f"Elasticsearch's snapshot ended as {state!r}: {json.dumps(said)[:300]}")
        _pack(target, folder.parent, folder.name)
    finally:
        _elastic(compose, "DELETE", "/_snapshot/stackyard", {})
        shutil.rmtree(folder, ignore_errors=True)


def _register(compose: Compose, stamp: str) -> None:
    _elastic(
        compose,
        "PUT",
        "/_snapshot/stackyard",
        {"type": "fs", "settings": {"location": f"/snapshots/{stamp}"}},
    )


def _elastic(compose: Compose, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    said = compose.shell("elasticsearch", _ELASTIC.format(method=method, path=path, body=json.dumps(body)))
    answer: dict[str, Any] = json.loads(said)
    return answer


def _unpack_snapshot(archive_path: Path, folder: Path) -> str:
    """The snapshot's name, once its files lie below ``folder``."""
    with tarfile.open(archive_path) as archive:
        stamp = archive.next()
        if stamp is None or "/" in stamp.name or not stamp.isdir():
            raise BadInputError(f"{archive_path} holds no snapshot")
        archive.extractall(folder, filter="data")
    if os.geteuid() == 0:
        _own(folder)
    return stamp.name


def _own(folder: Path) -> None:
    """Everything below belongs to whom the folder belongs to."""
    about = folder.stat()
    for path in folder.rglob("*"):
        os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)


def _pack(target: Path, folder: Path, *names: str) -> None:
    with _private(target) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            archive.add(folder / name, arcname=name)


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")


def _about(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _images(compose: Compose) -> dict[str, str]:
    services = json.loads(compose.run("config", "--format", "json"))["services"]
    return {name: about["image"] for name, about in services.items()}
