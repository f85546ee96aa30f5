"""The server of this machine's agents, as ``up`` has it: one that runs elsewhere, or the embedded one, started.

Whose keys agents and our side have is decided here. A server that is started is in the plan before it runs.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stackyard.agents import configuration
from stackyard.clearml import connection
from stackyard.clearml.client import Client, ServerError
from stackyard.clearml.connection import CONFIG_FILE, Connection
from stackyard.errors import BadInputError, StackyardError
from stackyard.services import embedded
from stackyard.services.files import EMBEDDED, GIVEN, RUN, STARTING, Plan, Server, ServicesFiles, WebApp
from stackyard.settings import WEB_APP_PORT, Settings

#: The users whose keys the agents and our side's commands have: login -> name. Neither administers anything, because
#: a task on the host can read both keys.
AGENTS_LOGIN, OWN_LOGIN = "stackyard-agents", "stackyard"
_NAMES = {AGENTS_LOGIN: "Agents", OWN_LOGIN: "Stackyard"}

#: The embedded server's setting that has its pages lead to the web app.
LINK = "compare_url"

Say = Callable[[str], None]


@dataclass(frozen=True)
class WebAppWishes:
    """What ``stackyard up`` was told of the web app."""

    #: ``None``: the one that it has, else the usual one, or a free one where others have that.
    port: int | None = None
    #: Folders whose reports it shows.
    reports: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What ``stackyard up`` was told."""

    #: A clearml.conf of a server that runs elsewhere; ``None``: the embedded one.
    config: Path | None = None
    queues_file: Path | None = None
    #: Data folder of the embedded server; ``None``: that of the one that is up, else HOME/server.
    folder: Path | None = None
    #: Its settings, as ``stackyard server start`` knows them.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Port of the services' metrics on the loopback address; 0: a free one.
    metrics_port: int = 0
    #: The web app of our side beside them; ``None``: none is wanted.
    web_app: WebAppWishes | None = None


def given(settings: Settings, files: ServicesFiles, path: Path) -> Server:
    """A server that runs elsewhere; our side and the agents come with the key of its clearml.conf."""
    read = connection.read(path, {})
    with Client(read, patience_seconds=5) as client:
        client.call("users.get_current_user")
    configuration.write_private(_own_config(settings), path.read_text(encoding="utf-8"))
    files.write_key(read.access_key, read.secret_key)
    return Server(GIVEN, read.api, read.web, read.files)


def refuse_another(files: ServicesFiles, wishes: Wishes, before: Plan, running: bool) -> None:
    """Refuse wishes that what runs here does not follow.

    Raises:
        BadInputError: the message says what runs, and how to have it otherwise.
    """
    server = before.server
    if not running and not (server.folder and embedded.runs(Path(server.folder))):
        return
    there = (
        f"the embedded server of {server.folder}"
        if server.kind == EMBEDDED
        else f"the server at {server.api}"
    )
    other = None
    if wishes.config is not None:
        if server.kind == EMBEDDED or connection.read(wishes.config, {}).api != server.api:
            other = f"--config {wishes.config} names another"
    elif server.kind == GIVEN:
        if wishes.folder is not None or wishes.options:
            other = "--folder, --host and ports are for an embedded one"
    elif wishes.folder is not None and str(wishes.folder.absolute()) != server.folder:
        other = f"--folder {wishes.folder} names another"
    if other:
        raise BadInputError(f"{there} is up here, and {other}: run `stackyard down` first")
    metrics = urlsplit(str(files.state().get("metrics") or "")).port
    if running and wishes.metrics_port and wishes.metrics_port != metrics:
        raise BadInputError(
            f"the services run with metrics on port {metrics}, not {wishes.metrics_port}: run `stackyard down` first"
        )


def web_app(files: ServicesFiles, wishes: Wishes, before: Plan | None) -> WebApp | None:
    """The web app that is to run; it listens where the embedded server does, else on the loopback address.

    Raises:
        BadInputError: others have the port that was asked for.
    """
    asked = wishes.web_app
    if asked is None:
        return None
    remembered = before.server.options if before is not None and before.server.kind == EMBEDDED else {}
    host = str({**remembered, **wishes.options}.get("host") or "127.0.0.1")
    had = before.web_app if before is not None else None
    ours = (
        had.port if had is not None and files.holder() is not None and before and before.mode == RUN else None
    )
    if asked.port:
        port = asked.port
        if port != ours and not embedded.is_free(host, port):
            raise BadInputError(f"--web-app-port {port}: others have it; give another, or leave it away")
    else:
        usual = [had.port] if had is not None else []
        free = (p for p in (*usual, WEB_APP_PORT) if p == ours or embedded.is_free(host, p))
        port = next(free, None) or embedded.a_free_port(host)
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    folders = tuple(str(folder.absolute()) for folder in asked.reports)
    return WebApp(host, port, f"http://{shown}:{port}", folders)


def embedded_one(
    settings: Settings,
    files: ServicesFiles,
    wishes: Wishes,
    before: Plan | None,
    compare_url: str | None,
    say: Say,
    made: Callable[[dict[str, str]], None],
) -> tuple[Server, dict[str, str] | None]:
    """The embedded server, started unless it runs; login and password of a new one.

    Raises:
        StackyardError: it does not come up, or it runs and is not as wished.
    """
    up_at = before.server.folder if before is not None and before.mode in (RUN, STARTING) else None
    folder = (wishes.folder or Path(up_at or settings.home / "server")).absolute()
    first = shown = None
    with embedded.admin() as admin:
        remembered: Mapping[str, Any] = {}
        if before is not None and before.server.kind == EMBEDDED and before.server.folder == str(folder):
            remembered = {name: told for name, told in before.server.options.items() if name != LINK}
        if embedded.is_held(folder, admin):
            embedded.refuse_others(folder, admin, wishes.options)
        else:
            wished = {**remembered, **wishes.options, **({LINK: compare_url} if compare_url else {})}
            is_new = not embedded.has_users(folder, admin)
            try:
                word = _start_server(admin, files, before, Server(EMBEDDED, "", "", "", str(folder), wished))
            except BaseException:
                if is_new and embedded.has_users(
                    folder, admin
                ):  # interrupted between their making and their word
                    made({"login": admin.ADMIN_LOGIN, "password": "", "folder": str(folder)})
                raise
            first = word["admin"]
            if first is not None:
                shown = {"login": first["login"], "password": first["password"]}
                made({**shown, "folder": str(folder)})
            say(f"server started (process {word['pid']})")
        # one that runs already shows the link it was started with; one that is started again the one of now
        link = {LINK: compare_url} if compare_url else {}
        server = _as_it_listens(folder, admin, {**remembered, **wishes.options, **link})
        own = _own_config(settings)
        if not _opens(server, _key_of(own)):
            _add_user(admin, folder, OWN_LOGIN)
            admin.write_client_config(folder, own, OWN_LOGIN, True)
            if first is not None:  # our side has a key of its own now
                admin.revoke_credentials(folder, first["access_key"])
        if not _opens(server, files.key()):
            _add_user(admin, folder, AGENTS_LOGIN)
            key = admin.add_credentials(folder, AGENTS_LOGIN, f"agents of {machine_name()}")
            files.write_key(key.access_key, key.secret_key)
    return server, shown


def _start_server(admin: Any, files: ServicesFiles, before: Plan | None, wished: Server) -> dict[str, Any]:
    """Start the embedded server, in the plan before it runs; what it says of itself (``admin.start_background``).

    Where it does not come up, or somebody interrupts it, none runs and the plan is as before.
    """
    folder = Path(str(wished.folder))
    options = embedded.options(folder, admin, wished.options)
    if before is not None and before.mode == RUN and before.server.folder == wished.folder:
        return dict(admin.start_background(folder, options))  # in the plan already

    def note(server: Server) -> None:
        plan = before or Plan(STARTING, server, machine_name())
        files.write_plan(replace(plan, mode=STARTING, server=server, ordered_at=None, deadline_at=None))

    note(wished)
    try:
        word: dict[str, Any] = admin.start_background(folder, options)
    except BaseException:
        if before is None:
            files.plan_file.unlink(missing_ok=True)
        else:
            files.write_plan(before)
        raise
    note(_as_it_listens(folder, admin, wished.options))
    return word


def _as_it_listens(folder: Path, admin: Any, options: Mapping[str, Any]) -> Server:
    """The embedded server that runs on a folder."""
    urls = admin.public_urls(folder)
    kept = {name: value for name, value in options.items() if name not in embedded.PORTS}
    # where it is, it is started again
    kept |= admin.listening_ports(folder)
    return Server(EMBEDDED, urls["api"], urls["web"], urls["files"], str(folder), kept)


def _add_user(admin: Any, folder: Path, login: str) -> None:
    """Make sure that a user of ours is there; nobody is to log in with the password."""
    if login not in {user["login"] for user in admin.list_users(folder)}:
        admin.add_user(folder, login, _NAMES[login], "user", admin.generate_password())


def _own_config(settings: Settings) -> Path:
    return settings.home / CONFIG_FILE


def _key_of(path: Path) -> tuple[str, str] | None:
    try:
        found = connection.read(path, {})
    except StackyardError:
        return None
    return found.access_key, found.secret_key


def _opens(server: Server, key: tuple[str, str] | None) -> bool:
    """Whether a key is good for the server."""
    if key is None:
        return False
    with Client(Connection(server.api, server.web, server.files, *key), patience_seconds=5) as client:
        try:
            client.call("users.get_current_user")
        except ServerError:
            return False
    return True


def machine_name() -> str:
    """This machine's name in worker ids."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().partition(".")[0]) or "machine"
