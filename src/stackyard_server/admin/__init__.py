"""The door of the command line: what ``command`` does, as functions that return values and raise
``AdminError``.

Here is what needs settings, folder and store together; ``opened`` opens a folder for a command. Backups, checks and
cleaning are in ``upkeep``, the process in ``processes``, HTTP nowhere. With ``app`` it is all that ``stackyard.cli``
may import of this package.
"""

from __future__ import annotations

import itertools
import logging
import logging.handlers
import os
import secrets
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import identity, moments, settings
from ..files import matching
from ..identity import passwords
from ..program import hint
from ..protocol import bounds
from ..protocol.error_table import ApiError
from ..setting_kinds import in_address, is_host
from ..settings import ServerSettings
from ..store import (
    FILE_NAME,
    ApartError,
    DamagedError,
    Fault,
    Store,
    Transaction,
    credentials,
    data_folder,
    files,
    is_full,
    opening,
    queues,
    tasks,
    users,
    workers,
)
from ..store import check as check_database
from ..store.documents import USER
from ..upkeep import backup as backups
from ..upkeep import gc as garbage
from ..upkeep import reconcile as reconciling
from ..upkeep import restore as restoring
from ..upkeep import verification
from . import client_config, processes
from .adopting import adopt
from .documents import DocumentError as DocumentError
from .documents import check_documents
from .documents import load_documents as load_documents
from .opened import LOG_FORM, NEEDED_BYTES, check_there, free_bytes, opened, sentences
from .opened import AdminError as AdminError
from .uploaded import UploadedError, check_files, load_files

ADMIN_LOGIN = "admin"
#: How long a start and a stop may take, seconds.
START_SECONDS = 60.0
STOP_SECONDS = 45.0
LOG_BYTES = 10 * 1024 * 1024
PORTS = ("web", "api", "files")


@dataclass(frozen=True)
class First:
    """The administrator of a new data folder. Password and secret are shown once and kept nowhere."""

    login: str
    password: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Key:
    """A new access key; the secret is shown once."""

    access_key: str
    secret_key: str


# --- the process ---


def read_settings(folder: Path, options: Mapping[str, Any] | None = None) -> ServerSettings:
    """The settings for a folder: options before environment before ``server.toml`` (see ``settings``).

    Raises:
        AdminError: One of them cannot be used.
    """
    with sentences():
        return settings.read(folder, options, os.environ)


def keep_log(path: Path | None) -> None:
    """Log to a file that is turned over at 10 MB, or to stderr."""
    handler: logging.Handler = logging.StreamHandler()
    if path is not None:
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=3)
    handler.setFormatter(logging.Formatter(LOG_FORM))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its coming and going, once for each port


def serve(told: ServerSettings, ready: Callable[[dict[str, str], First | None], None]) -> None:
    """Serve in this thread until SIGINT or SIGTERM; ``ready`` gets the addresses and a new folder's administrator.

    Raises:
        AdminError: The folder or an address cannot be used.
    """
    from ..app import Server  # the other commands need no HTTP

    with sentences(of=told.folder):
        os.umask(0o077)
        needed = NEEDED_BYTES + opening.migration_bytes(told.folder, FILE_NAME)
        try:
            server = Server(told)
            first = ensure_admin(server.store)
        except (Fault, OSError) as fault:
            free = free_bytes(told.folder)
            if free >= needed and not is_full(fault):
                raise
            raise AdminError(
                f"{told.folder / FILE_NAME} could not be written: its disk is full ({free} bytes are free, a start "
                f"needs {needed}). Nothing is lost: make room, and start again."
            ) from fault
        server.run(lambda: ready(server.urls, first))


def start_background(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Start a server as a process of its own and wait until it answers.

    Returns:
        ``pid``, ``urls``, and ``admin`` (login, password, access_key, secret_key; None but on a new folder).

    Raises:
        AdminError: It cannot start; the message says why.
    """
    read_settings(folder, options)
    with sentences():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data_folder.check_file_system(folder)
        return processes.spawn(folder.absolute(), dict(options), START_SECONDS)


def stop(folder: Path) -> int | None:
    """Ask the server on a folder to end and wait for it. Its pid; None when none runs.

    Raises:
        AdminError: It did not end. Nothing is killed.
    """
    with sentences(of=folder):
        return processes.end(folder, STOP_SECONDS)


def status(folder: Path, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What runs on a folder, what it holds, and in words what is wrong (``problems``).

    Raises:
        AdminError: There is no data folder, or its settings cannot be used.
    """
    check_there(folder, usage=False)
    told = read_settings(folder, options)
    running = data_folder.held(folder)
    holder = (data_folder.read_lock(folder) or {}) if running else {}
    urls: dict[str, str] = holder.get("urls") or {}
    problems = []
    answers = {name: _ask(name, url) for name, url in urls.items()}
    problems += [
        f"The {name} address {urls[name]} does not answer: {fault}."
        for name, fault in answers.items()
        if fault
    ]
    if not running:
        problems.append(f"No server runs on this folder: {hint('start', folder)}")
        problems += _why_no_start(folder)
    elif not urls:
        problems.append("The server is starting, or hangs in it: see server.log in the data folder.")
    with opened(folder) as (store, now), store.reading() as tx:
        held = _contents(tx, now)
    database = sum(p.stat().st_size for p in folder.glob(f"{FILE_NAME}*"))
    free = shutil.disk_usage(folder).free
    used = database + held["files"]["bytes"]
    budget = told.disk_budget_bytes
    if budget is not None and used >= 0.9 * budget:
        effect = "uploads are refused" if used >= budget else "uploads are refused at 100 %"
        problems.append(
            f"{100 * used / budget if budget else 100:.0f} % of the disk budget is used, {effect}: "
            f"see what can go with {hint('gc --dry-run', folder)}"
        )
    if free < 1024**3:
        problems.append(f"Only {free / 1e6:.0f} MB are free on the disk of the data folder.")
    if held["running_without_worker"]:
        number = held["running_without_worker"]
        tasks = "1 task is" if number == 1 else f"{number} tasks are"
        problems.append(f"{tasks} in progress and no worker has reported on that for 10 minutes.")
    if held["waiting_without_worker"]:
        names = ", ".join(held["waiting_without_worker"])
        problems.append(f"Tasks wait in queues that no worker listens to: {names}.")
    return {
        "folder": str(folder),
        "running": running,
        "pid": holder.get("pid"),
        "urls": urls,
        "answers": {name: fault is None for name, fault in answers.items()},
        **{k: v for k, v in held.items() if not k.endswith("without_worker")},
        "disk": {"database_bytes": database, "free_bytes": free, "used_bytes": used, "budget_bytes": budget},
        "problems": problems,
    }


def runs(folder: Path) -> bool:
    """Whether a server has the folder now."""
    return data_folder.held(folder)


def _why_no_start(folder: Path) -> list[str]:
    """Why a start would refuse a folder that no server has: in one sentence, or none."""
    try:
        with sentences(of=folder):
            check_database(folder)
            if apart := matching.compare_closed(folder).apart:
                raise ApartError(f"{folder}: {apart}")
    except AdminError as refused:
        return [str(refused)]
    return []


def _ask(name: str, url: str) -> str | None:
    """Why an address does not answer; None when it does."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False  # it is asked whether someone is there; nothing is told
    unverified.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
    )
    for wildcard, local in (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:")):
        url = url.replace(wildcard, local)
    try:
        with opener.open(f"{url}/debug.ping" if name == "api" else f"{url}/", timeout=5):
            return None
    except urllib.error.HTTPError:
        return None
    except OSError as fault:
        return str(getattr(fault, "reason", fault))


def _contents(tx: Transaction, now: int) -> dict[str, Any]:
    depths = queues.depths(tx)
    alive = workers.alive(tx, now)
    listened = {queue for worker in alive for queue in worker.queues}
    count, size = files.usage(tx)
    return {
        "tasks": tasks.count_by_status(tx),
        "queues": [{"name": queue.name, "waiting": queue.waiting} for queue in depths],
        "workers": len(alive),
        "users": USER.count(tx),
        "files": {"count": count, "bytes": size},
        "running_without_worker": tasks.count_silent(tx, now - 600_000),
        "waiting_without_worker": [q.name for q in depths if q.waiting and q.id not in listened],
    }


# --- users and keys ---


def _user(tx: Transaction, login: str, folder: Path) -> str:
    """The id of the user of that login, id or name."""
    try:
        id: str = identity.find_user(tx, login)["id"]
    except ApiError:
        raise AdminError(
            f"no user is called {login!r}; see: {hint('user list', folder)}", usage=True
        ) from None
    return id


def generate_password() -> str:
    """A password of 120 random bits."""
    return secrets.token_urlsafe(15)


def ensure_admin(store: Store, password: str | None = None) -> First | None:
    """Make the administrator of a folder that has none who could sign in; None when there is one.

    Args:
        store: The folder's.
        password: Theirs; without it one is made, and a key beside it.
    """
    with store.writing() as tx:
        if users.has_admin(tx):
            return None
        told = password or generate_password()
        now = int(time.time() * 1000)
        # the usual login may be taken: by an administrator who lost password and keys, say
        logins = itertools.chain([ADMIN_LOGIN], (f"{ADMIN_LOGIN}{number}" for number in itertools.count(2)))
        login = next(login for login in logins if users.by(tx, "login", login) is None)
        user = identity.add_user(tx, now, name="Administrator", role="admin", login=login, password=told)
        if password is not None:
            return First(login, password, "", "")
        access_key, secret_key = identity.add_credentials(tx, user, label="made on first start")
    return First(login, told, access_key, secret_key)


def found(folder: Path, password: str) -> str | None:
    """Make a data folder with its administrator, and start no server. Their login; None when there is one.

    Raises:
        AdminError: A server runs on the folder, or the folder or the password cannot be used.
    """
    with sentences(folder):
        passwords.hashed(password)  # before there is a database: it would get an administrator of its own
        os.umask(0o077)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data_folder.check_file_system(folder)
        lock = data_folder.FolderLock(folder)
        try:
            store = Store(folder)
            try:
                with store.writing() as tx:
                    identity.found(tx, int(time.time() * 1000))
                    queues.found(tx, int(time.time() * 1000))
                first = ensure_admin(store, password)
            finally:
                store.close()
            data_folder.close_to_others(folder)
        finally:
            lock.release()
    return None if first is None else first.login


def add_user(folder: Path, login: str, name: str | None, role: str, password: str) -> str:
    """Add a user. The new id.

    Raises:
        AdminError: The login is taken, or something is not acceptable.
    """
    with opened(folder) as (store, now), store.writing() as tx:
        return identity.add_user(tx, now, name=name or login, role=role, login=login, password=password)


def list_users(folder: Path) -> list[dict[str, Any]]:
    """Every user: id, login, name, role, disabled, keys, created_at."""
    with opened(folder) as (store, _), store.reading() as tx:
        listed = users.overview(tx)
    for user in listed:
        created = user.pop("created")
        user["created_at"] = moments.iso(created) if created else None
    return listed


def remove_user(folder: Path, login: str) -> None:
    """Remove a user, their keys and sessions; what they made stays."""
    with opened(folder) as (store, _), store.writing() as tx:
        identity.remove(tx, _user(tx, login, folder))


def set_role(folder: Path, login: str, role: str) -> None:
    """Give a user another role; their sessions end."""
    with opened(folder) as (store, _), store.writing() as tx:
        identity.set_role(tx, _user(tx, login, folder), role)


def disable_user(folder: Path, login: str) -> None:
    """Lock a user out: sessions end at once, password and keys are refused."""
    with opened(folder) as (store, _), store.writing() as tx:
        identity.disable(tx, _user(tx, login, folder))


def enable_user(folder: Path, login: str) -> None:
    """Let a disabled user in again; ended sessions stay ended."""
    with opened(folder) as (store, _), store.writing() as tx:
        identity.enable(tx, _user(tx, login, folder))


def end_sessions(folder: Path, login: str) -> None:
    """End every session of a user; password and keys stay good."""
    with opened(folder) as (store, _), store.writing() as tx:
        identity.end_sessions(tx, _user(tx, login, folder))


def set_password(folder: Path, login: str, password: str) -> None:
    """Give a user another password; their sessions end."""
    with opened(folder) as (store, _), store.writing() as tx:
        identity.set_password(tx, _user(tx, login, folder), password)


def add_credentials(folder: Path, login: str, label: str | None) -> Key:
    """A new access key for a user."""
    with opened(folder) as (store, _), store.writing() as tx:
        return Key(*identity.add_credentials(tx, _user(tx, login, folder), label))


def list_credentials(folder: Path, login: str | None) -> list[dict[str, Any]]:
    """The access keys of one user, or of all: user, access_key, label, last_used_at, last_used_from."""
    found = []
    with opened(folder) as (store, _), store.reading() as tx:
        for user in [_user(tx, login, folder)] if login else users.ids(tx):
            shown = users.shown_name(tx, user)
            for access_key, label, used, where in credentials.of(tx, user):
                found.append(
                    {
                        "user": shown,
                        "access_key": access_key,
                        "label": label,
                        "last_used_at": moments.iso(used) if used else None,
                        "last_used_from": where,
                    }
                )
    return found


def revoke_credentials(folder: Path, access_key: str) -> None:
    """Take an access key away; tokens made with it are worth nothing from now on.

    Raises:
        AdminError: There is no such key.
    """
    with opened(folder) as (store, _), store.writing() as tx:
        known = credentials.find(tx, access_key)
        if known is None:
            raise AdminError(f"no access key is called {access_key!r}", usage=True)
        identity.revoke_credentials(tx, known[1], access_key)


# --- clients ---


def public_urls(folder: Path, host: str | None = None) -> dict[str, str]:
    """The addresses clients use: "web", "api", "files"; ``host`` goes before what the settings say."""
    told = read_settings(folder)
    if host is not None and not is_host(host):
        raise AdminError(f"--host is {host!r}; expected a name or an IP address", usage=True)
    holder = (data_folder.read_lock(folder) if data_folder.held(folder) else None) or {}
    urls = {}
    for name in PORTS:
        running = str((holder.get("urls") or {}).get(name, ""))
        port = int(running.rpartition(":")[2]) if running else getattr(told, f"{name}_port")
        scheme = "https" if running.startswith("https:") or (not running and told.tls_certificate) else "http"
        public = (holder.get("public") or {}).get(name) or told.public_url(name, port)
        if host or not public:
            public = f"{scheme}://{in_address(host or socket.getfqdn())}:{port}"
        urls[name] = public
    return urls


def listening_ports(folder: Path) -> dict[str, int]:
    """The ports a running server listens on, as settings ("web_port" ...); none where none runs.

    They are not those of its public addresses where a proxy stands before it.
    """
    holder = (data_folder.read_lock(folder) if data_folder.held(folder) else None) or {}
    return {
        f"{name}_port": int(str(url).rpartition(":")[2]) for name, url in (holder.get("urls") or {}).items()
    }


def write_client_config(folder: Path, path: Path, login: str, replace: bool, host: str | None = None) -> Key:
    """Write a ``clearml.conf`` with a fresh key of a user, mode 0600.

    Args:
        folder: The server's data folder.
        path: Where to.
        login: Whose key.
        replace: Whether a file that is there may be replaced.
        host: The name clients know this machine by, instead of what the settings say.

    Raises:
        AdminError: The file is there and may not be replaced; there is no such user.
    """
    urls = public_urls(folder, host)
    if path.is_dir():
        raise AdminError(f"{path} is a folder: name the file to write in it", usage=True)
    taken = AdminError(f"{path} is there already and was left as it is: --force replaces it", usage=True)
    if path.exists() and not replace:
        raise taken
    with opened(folder) as (store, _), store.writing() as tx:
        user = _user(tx, login, folder)
        access_key, secret_key = identity.add_credentials(tx, user, label=f"clearml.conf {path}"[:200])
        text = client_config.client_config(urls, access_key, secret_key)
        try:
            client_config.write_private(path, text, replace)
        except FileExistsError:
            raise taken from None
    return Key(access_key, secret_key)


# --- upkeep ---


def backup(folder: Path, target: Path) -> dict[str, Any]:
    """Copy a folder's rows and files, beside a running server (see ``upkeep.backup``)."""
    with opened(folder, target) as (store, now):
        return backups.backup(store, target, now)


def restore(source: Path, folder: Path, verify: bool, digest: str | None = None) -> dict[str, Any]:
    """Put a backup into an empty folder, once all of it was looked at; with ``verify``, prove the copy; with
    ``digest``, only the backup it was printed for (see ``upkeep.restore``)."""
    with sentences(folder):
        return restoring.restore(source, folder, verify, digest)


def verify(folder: Path) -> dict[str, Any]:
    """Check a folder's rows, files and hashes (see ``upkeep.verification``); of one whose database and contents are
    apart, say in what."""
    try:
        with opened(folder) as (store, _):
            return verification.verify(store)
    except AdminError as refused:
        if not isinstance(refused.__cause__, ApartError):
            raise
        return verification.tell_apart(folder, str(refused))


def reconcile(folder: Path, dry_run: bool) -> dict[str, Any]:
    """Take database and contents of a folder as they are found (see ``upkeep.reconcile``).

    Raises:
        AdminError: There is no data folder, a server has it, or its database is damaged.
    """
    check_there(folder)
    with sentences(folder):
        data_folder.check_file_system(folder)
        os.umask(0o077)
        lock = data_folder.FolderLock(folder)
        try:
            return reconciling.reconcile(folder, int(time.time() * 1000), dry_run)
        except DamagedError as fault:
            raise AdminError(
                f"{fault}. Restore a backup; without one move {FILE_NAME} and its -wal away first: "
                "the files stay, all else is lost."
            ) from fault
        finally:
            lock.release()


def take_in(
    folder: Path,
    documents: Mapping[str, Iterable[Mapping[str, Any]]],
    uploaded: Iterable[tuple[str, Path]],
) -> dict[str, int]:
    """Put another server's documents, with their ids, and files into the folder of a server that is not running.

    Documents whose id is here already stay as they are; so do projects and queues whose name is.

    Returns:
        How many of each kind were written, ``files`` among them.

    Raises:
        AdminError: The server runs, or something cannot be taken over; documents come all or not at all. They are
            looked at, and so are the paths of files, before anything is written.
    """
    if data_folder.held(folder):
        raise AdminError(f"the server runs; stop it first: {hint('stop', folder)}", usage=True)
    with opened(folder) as (store, _):
        most_bytes = max(bounds.STORED["bytes"], read_settings(folder).max_body_bytes)
        try:
            held = {kind: given if kind == "events" else list(given) for kind, given in documents.items()}
            check_documents(held, most_bytes)
            files_held = check_files(uploaded)
            counts = load_documents(store, adopt(store, held), most_bytes=most_bytes)
            return {**counts, "files": load_files(store, files_held)["written"]}
        except (DocumentError, UploadedError) as fault:
            raise AdminError(str(fault), usage=True) from fault


def collect_garbage(folder: Path, dry_run: bool, unowned: bool = False) -> dict[str, Any]:
    """Remove what nothing needs any more, or say what would go (see ``upkeep.gc``)."""
    with opened(folder) as (store, now):
        return garbage.collect(store, now, dry_run, unowned)
