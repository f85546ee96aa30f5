"""What the server is told: folder, addresses, limits. A plain value, from file, environment and options.

An option goes before the environment (``STACKYARD_SERVER_API_PORT``), that before ``server.toml`` in the data
folder, that before the default. A name nobody knows is an error: a misspelt limit is no limit. So is a value that its
kind (``setting_kinds``) does not know: an empty text means nothing, never everything.
"""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from .protocol.bounds import REQUESTS
from .rules import fate
from .setting_kinds import (
    Choice,
    File,
    Host,
    Kind,
    Listed,
    Network,
    Number,
    Origin,
    Place,
    Url,
    Whole,
    in_address,
    is_wildcard,
)

FILE_NAME = "server.toml"
PREFIX = "STACKYARD_SERVER_"
#: The one page of the official web app, from which a folder is known to be a build of it.
WEBAPP_PAGE = "index.html"
#: The most that is asked of a time: a year.
YEAR_SECONDS = 365 * 24 * 3600
#: The longest text that SQLite keeps.
MOST_BODY_BYTES = 1_000_000_000
MOST_BYTES = 1024**5
#: How much of a value a sentence repeats.
LONGEST_SHOWN = 200

Port = Annotated[int, Whole(0, 65535, " (0: a free one)")]


class SettingsError(ValueError):
    """A setting cannot be used; the message names where it stands, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Every setting with its kind and its default; what is None where nobody says cannot be said to be."""

    folder: Path
    host: Annotated[str, Host()] = "127.0.0.1"
    web_port: Port = 8080
    api_port: Port = 8008
    files_port: Port = 8081
    #: The addresses clients use, where they differ from host and port (a proxy, a DNS name).
    web_url: Annotated[str | None, Url()] = None
    api_url: Annotated[str | None, Url()] = None
    files_url: Annotated[str | None, Url()] = None
    #: The address of a page that compares tasks in groups; our own pages lead to it.
    compare_url: Annotated[str | None, Url()] = None
    #: A build of the official web app to serve instead of our own pages.
    webapp: Annotated[Path | None, Place()] = None
    tls_certificate: Annotated[Path | None, File()] = None
    tls_key: Annotated[Path | None, File()] = None
    token_seconds: Annotated[int, Whole(1, YEAR_SECONDS)] = 24 * 3600
    #: Origins that may call the API from a browser; none by default.
    cors_origins: Annotated[tuple[str, ...], Listed(Origin())] = ()
    #: Addresses or networks of reverse proxies whose X-Forwarded-For is believed; none by default.
    trusted_proxies: Annotated[tuple[str, ...], Listed(Network())] = ()
    max_body_bytes: Annotated[int, Whole(1, MOST_BODY_BYTES)] = REQUESTS["document"].bytes
    max_upload_bytes: Annotated[int, Whole(1, MOST_BYTES)] = 50 * 1024**3
    #: What the data folder may use before uploads are refused; None is no limit.
    disk_budget_bytes: Annotated[int | None, Whole(1, MOST_BYTES)] = None
    #: A running task nobody reported on for so long has lost its worker, unless its queue says otherwise; 0: never.
    watchdog_minutes: Annotated[float, Number(0, YEAR_SECONDS / 60, " (0: never)")] = (
        fate.USUAL_SILENCE_MINUTES
    )
    #: How often a task whose worker vanished is tried again, unless its queue says otherwise.
    requeue_limit: Annotated[int, Whole(0, fate.MOST_RETRIES)] = fate.USUAL_RETRIES
    #: How long a task may take that was asked to stop, and run beyond a limit of its own before it is asked.
    time_limit_grace_seconds: Annotated[float, Number(0, YEAR_SECONDS)] = fate.USUAL_GRACE_SECONDS
    #: What becomes of a call that deletes, resets or stops something and has a field nobody knows: "refuse", or "log".
    unknown_fields: Annotated[str, Choice(("refuse", "log"))] = "refuse"
    #: Addresses that stood in stored file URLs before; rewritten on read.
    former_files_urls: Annotated[tuple[str, ...], Listed(Url())] = field(default=())

    @property
    def behind_tls(self) -> bool:
        """Whether browsers reach the server by TLS, its own or a proxy's."""
        return self.tls_certificate is not None or (self.web_url or self.api_url or "").startswith("https:")

    def public_url(self, name: str, port: int) -> str | None:
        """The address clients use for "web", "api" or "files"; None where nobody said and none is sure."""
        told: str | None = getattr(self, f"{name}_url")
        if told:
            return told.rstrip("/")
        if is_wildcard(self.host):
            return None
        return f"{'https' if self.tls_certificate else 'http'}://{in_address(self.host)}:{port}"


def read(
    folder: Path, options: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> ServerSettings:
    """The settings for a data folder.

    Args:
        folder: The data folder; may not exist yet.
        options: What the command line said, by field; None is not said.
        environment: The process's environment.

    Raises:
        SettingsError: A value or name that cannot be used.
    """
    values: dict[str, Any] = {}
    #: Where each of them was said, for the words of what cannot be used together.
    sources: dict[str, str] = {}

    def take(name: str, value: Any, where: str) -> None:
        values[name], sources[name] = _checked(name, value, where), where

    path = folder / FILE_NAME
    if path.is_file():
        try:
            stated = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as fault:  # no TOML, no UTF-8, or a number of thousands of digits
            raise SettingsError(f"{path}: {fault}") from None
        for name, value in stated.items():
            take(name, value, str(path))
    for key, text in (environment or {}).items():
        name = key.removeprefix(PREFIX).lower()
        if key.startswith(PREFIX) and name != "folder":
            take(name, text, key)
    for name, value in (options or {}).items():
        if value is not None:
            take(name, value, f"--{name.replace('_', '-')}")
    settings = ServerSettings(folder=folder.absolute(), **values)
    _check_together(settings, sources)
    return settings


def _kinds() -> dict[str, Kind]:
    """The kind of each setting, as it is declared beside its field."""
    hints = typing.get_type_hints(ServerSettings, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if name != "folder"}


def _checked(name: str, value: Any, where: str) -> Any:
    """A value as its field has it."""
    kind = KINDS.get(name)
    if kind is None:
        raise SettingsError(f"{where}: no setting is called {name!r}; known: {', '.join(KINDS)}")
    try:
        return kind.read(value)
    except ValueError:
        raise SettingsError(f"{where}: {name} is {_shown(value)}; expected {kind.wanted}") from None


def _shown(value: Any) -> str:
    """A value as it was said, as far as a sentence can hold it."""
    try:
        text = repr(str(value) if isinstance(value, Path) else value)
    except ValueError:  # a number of thousands of digits
        return "a very large number"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def webapp_build(folder: Path) -> Path | None:
    """Where a build of the web app has its page: in the folder, or in its ``browser``, where the build leaves it."""
    for place in (folder, folder / "browser"):
        if (place / WEBAPP_PAGE).is_file():
            return place
    return None


def _check_together(settings: ServerSettings, sources: Mapping[str, str]) -> None:
    """Refuse values that are good by themselves and not with one another, or not with what lies on the disk."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        said, missing = ("tls_certificate", "tls_key")[:: 1 if settings.tls_certificate else -1]
        raise SettingsError(f"{sources[said]}: {said} and {missing} go together: {missing} is missing")
    if settings.webapp is not None and webapp_build(settings.webapp) is None:
        raise SettingsError(
            f"{sources['webapp']}: webapp: {settings.webapp}: holds no {WEBAPP_PAGE}, nor does its folder browser; "
            "expected a build of the web app"
        )


KINDS = _kinds()
