"""Backup and restore of the official server: databases by their own tools, files as they are, secrets apart.

While a backup is made nobody can write: the front and ClearML's own processes are stopped, the stores run. What is
not kept: Redis (sessions, scrolls: everybody logs in again) and Prometheus' history. See docs/official-server.md.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stackyard.errors import BadInputError, StackyardError
from stackyard.official import archives
from stackyard.official.compose import Compose
from stackyard.official.installation import read_env
from stackyard_task.records import LIST_BYTES, RecordError, from_json, parse

API_VERSION = 1
MANIFEST = "manifest.json"
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
        The manifest: when, of what, and every part's size and SHA-256; and its ``digest``, to be kept elsewhere.

    Raises:
        BadInputError: ``target`` exists, or a part holds what no restore takes; the writers were started again and
            ``target`` removed.
        StackyardError: a part could not be made; the writers were started again and ``target`` removed.
    """
    values = read_env(folder)
    data = Path(values["CLEARML_FOLDER"])
    if target.exists():
        if (
            target.is_dir()
            and not (target / MANIFEST).exists()
            and {path.name for path in target.iterdir()} & set(PARTS)
        ):
            raise BadInputError(f"{target} is what a broken-off backup left, secrets in it: remove it first")
        raise BadInputError(f"{target} exists; a backup is a new folder")
    compose = compose or Compose(folder)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dt%H%M%S")
    target.mkdir(parents=True, mode=0o700)
    try:
        say("stopping what writes: " + ", ".join(WRITERS))
        compose.run("stop", *WRITERS)
        try:
            say("MongoDB: mongodump")
            with archives.private(target / MONGO) as file:
                compose.shell("mongo", _MONGO.format(tool="mongodump", options=""), stdout=file)
            say("Elasticsearch: snapshot")
            _snapshot(compose, data / "snapshots" / stamp, stamp, target / ELASTIC)
            say("uploaded files")
            archives.pack(target / FILES, data / "data" / "fileserver", ".")
            say("settings and secrets")
            archives.pack(target / SETTINGS, folder, ".env", "server/secrets")
        finally:
            say("starting again")
            compose.run("up", "-d", "--wait", "--no-recreate", *reversed(WRITERS))
        manifest = {
            "api_version": API_VERSION,
            "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "images": _images(compose),
            "parts": {name: _about(target / name) for name in PARTS},
        }
        text = json.dumps(manifest, indent=1).encode()
        with archives.private(target / MANIFEST) as file:
            file.write(text)
        say("looking at all of it as a restore does")
        verify(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return {**manifest, "digest": _digest(text)}


def _digest(text: bytes) -> str:
    """What a manifest is known by; it states the digests of all parts."""
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


@dataclass(frozen=True)
class _Parts:
    """What of a manifest is read here."""

    parts: dict[str, dict[str, Any]]


def verify(source: Path, digest: str | None = None) -> dict[str, Any]:
    """A backup's manifest with its ``digest``, once every part was found as it says and holds what it may hold.

    Args:
        source: what ``backup`` made.
        digest: what it printed then, where somebody kept it.

    Raises:
        BadInputError: it is no backup, not the one of that digest, or a part is missing, changed, or would be unpacked
            elsewhere.
    """
    fault = f"{source} holds no {MANIFEST} of a backup"
    try:
        with archives.open_regular(source / MANIFEST) as file:
            text = file.read(LIST_BYTES + 1)
        manifest = from_json(dict[str, Any], parse(text.decode(), MANIFEST), MANIFEST)
        parts = from_json(_Parts, manifest, MANIFEST).parts
    except (RecordError, UnicodeDecodeError, BadInputError) as error:
        raise BadInputError(fault) from error
    if len(text) > LIST_BYTES:
        raise BadInputError(fault)
    own = _digest(text)
    if digest is not None and digest.strip().lower().removeprefix("sha256:") != own.removeprefix("sha256:"):
        raise BadInputError(f"{source} is not the backup of that digest: its own is {own}")
    if manifest.get("api_version") != API_VERSION:
        raise BadInputError(f"{source}: api_version {manifest.get('api_version')!r}; expected {API_VERSION}")
    for name in PARTS:
        if not (source / name).is_file():
            raise BadInputError(f"{source / name} is missing")
        if _about(source / name) != parts.get(name):
            raise BadInputError(f"{source / name} is not what the manifest says: size or SHA-256 differ")
    archives.check(source / SETTINGS, _is_setting)
    archives.check(source / FILES)
    _snapshot_name(source / ELASTIC)
    return {**manifest, "digest": own}


def _is_setting(name: PurePosixPath, is_folder: bool) -> bool:
    """Whether a member of the settings is ``.env``, or a file right in ``server/secrets``."""
    if is_folder:
        return str(name) in ("server", "server/secrets")
    return str(name) == ".env" or str(name.parent) == "server/secrets"


def restore_settings(source: Path, folder: Path) -> None:
    """Put ``.env`` and the secrets of a backup into a checkout that has none; nothing else, whatever it holds.

    Raises:
        BadInputError: it has some, or the backup holds what does not belong there; nothing was written.
    """
    for name in (".env", "server/secrets"):
        if os.path.lexists(folder / name):
            raise BadInputError(f"{folder / name} is there already; restore into a checkout without one")
    archives.unpack(source / SETTINGS, folder, _is_setting, owned=os.geteuid() == 0)


def restore(
    source: Path, folder: Path, say: Say, compose: Compose | None = None, digest: str | None = None
) -> dict[str, Any]:
    """Put a backup's databases and files into an installation whose data folders are empty, and start it.

    The installation's secrets may be others than those at the time of the backup: users of ClearML come from the
    web login's file, users of the stores from this installation.

    Raises:
        BadInputError: the backup is not sound, or something is in the data folders.
        StackyardError: a part could not be put back.
    """
    manifest = verify(source, digest)
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
    archives.unpack(source / FILES, data / "data" / "fileserver")
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
        archives.pack(target, folder.parent, folder.name)
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


def _snapshot_name(path: Path) -> str:
    """The one folder that the archive of a snapshot holds.

    Raises:
        BadInputError: it holds none, or more.
    """
    tops = {name.parts[0] for name in archives.check(path)}
    name = tops.pop() if len(tops) == 1 else ""
    if not re.fullmatch(r"[0-9a-z]{1,40}", name):
        raise BadInputError(f"{path} holds no snapshot")
    return name


def _unpack_snapshot(path: Path, folder: Path) -> str:
    """The snapshot's name, once its files lie below ``folder``."""
    name = _snapshot_name(path)
    archives.unpack(path, folder)
    if os.geteuid() == 0:
        _own(folder)
    return name


def _own(folder: Path) -> None:
    """Everything below belongs to whom the folder belongs to."""
    about = folder.stat()
    for path in folder.rglob("*"):
        os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)


def _about(path: Path) -> dict[str, Any]:
    sha256 = hashlib.sha256()
    with archives.open_regular(path) as file:
        while piece := file.read(archives.STEP_BYTES):
            sha256.update(piece)
        return {"bytes": file.tell(), "sha256": sha256.hexdigest()}


def _images(compose: Compose) -> dict[str, str]:
    services = json.loads(compose.run("config", "--format", "json"))["services"]
    return {name: about["image"] for name, about in services.items()}
