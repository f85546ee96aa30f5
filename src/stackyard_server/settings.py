"""What the server is told: folder, addresses, limits. A plain value, from file, environment and options.

An option goes before the environment (``STACKYARD_SERVER_API_PORT``), that before ``server.toml`` in the data
folder, that before the default. A name nobody knows is an error: a misspelt limit is no limit.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .protocol.bounds import REQUESTS
from .rules import fate

FILE_NAME = "server.toml"
PREFIX = "STACKYARD_SERVER_"
#: Listening here means every address of the machine: no client can use it as a name.
WILDCARDS = ("0.0.0.0", "::", "")
#: The one page of the official web app, from which a folder is known to be a build of it.
WEBAPP_PAGE = "index.html"


class SettingsError(ValueError):
    """A setting cannot be used; the message names where it stands, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Every setting with its default. Ports: 0 takes a free one."""

    folder: Path
    host: str = "127.0.0.1"
    web_port: int = 8080
    api_port: int = 8008
    files_port: int = 8081
    #: The addresses clients use, where they differ from host and port (a proxy, a DNS name).
    web_url: str | None = None
    api_url: str | None = None
    files_url: str | None = None
    #: A build of the official web app to serve instead of our own pages.
    webapp: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    token_seconds: int = 24 * 3600
    #: Origins that may call the API from a browser; none by default.
    cors_origins: tuple[str, ...] = ()
    #: Addresses or networks of reverse proxies whose X-Forwarded-For is believed; none by default.
    trusted_proxies: tuple[str, ...] = ()
    max_body_bytes: int = REQUESTS["document"].bytes
    max_upload_bytes: int = 50 * 1024**3
    #: What the data folder may use before uploads are refused; None is no limit.
    disk_budget_bytes: int | None = None
    #: A running task nobody reported on for so long has lost its worker, unless its queue says otherwise.
    watchdog_minutes: float = fate.USUAL_SILENCE_MINUTES
    #: How often a task whose worker vanished is tried again, unless its queue says otherwise.
    requeue_limit: int = fate.USUAL_RETRIES
    #: How long a task may take that was asked to stop, and run beyond a limit of its own before it is asked.
    time_limit_grace_seconds: float = fate.USUAL_GRACE_SECONDS
    #: What becomes of a call that deletes, resets or stops something and has a field nobody knows: "refuse", or "log".
    unknown_fields: str = "refuse"
    #: Addresses that stood in stored file URLs before; rewritten on read.
    former_files_urls: tuple[str, ...] = field(default=())

    @property
    def behind_tls(self) -> bool:
        """Whether browsers reach the server by TLS, its own or a proxy's."""
        return self.tls_certificate is not None or (self.web_url or self.api_url or "").startswith("https:")

    def public_url(self, name: str, port: int) -> str | None:
        """The address clients use for "web", "api" or "files"; None where nobody said and none is sure."""
        told: str | None = getattr(self, f"{name}_url")
        if told:
            return told.rstrip("/")
        if self.host in WILDCARDS:
            return None
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_certificate else 'http'}://{host}:{port}"


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
    kinds = typing.get_type_hints(ServerSettings)
    values: dict[str, Any] = {}
    path = folder / FILE_NAME
    if path.is_file():
        try:
            stated = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise SettingsError(f"{path}: {fault}") from None
        for name, value in stated.items():
            values[name] = _checked(kinds, name, value, str(path))
    for key, text in (environment or {}).items():
        name = key.removeprefix(PREFIX).lower()
        if key.startswith(PREFIX) and name != "folder":
            values[name] = _checked(kinds, name, text, key)
    for name, value in (options or {}).items():
        if value is not None:
            values[name] = _checked(kinds, name, value, f"--{name.replace('_', '-')}")
    values.pop("folder", None)
    settings = ServerSettings(folder=folder.absolute(), **values)
    _check(settings)
    return settings


def _checked(kinds: Mapping[str, Any], name: str, value: Any, where: str) -> Any:
    """A value in the field's type."""
    if name not in kinds or name == "folder":
        known = ", ".join(f.name for f in dataclasses.fields(ServerSettings) if f.name != "folder")
        raise SettingsError(f"{where}: no setting is called {name!r}; known: {known}")
    kind = kinds[name]
    if isinstance(kind, types.UnionType):
        if value in ("", None):
            return None
        kind = next(part for part in kind.__args__ if part is not type(None))
    try:
        if kind is Path:
            return Path(str(value)).expanduser().absolute()
        if kind in (int, float) and not isinstance(value, bool):
            return kind(value)
        if kind is str and isinstance(value, str):
            return value
        if typing.get_origin(kind) is tuple:
            parts = value.split(",") if isinstance(value, str) else list(value)
            if all(isinstance(part, str) for part in parts):
                return tuple(part.strip() for part in parts if part.strip())
    except (TypeError, ValueError):
        pass
    wanted = "a list of texts" if typing.get_origin(kind) is tuple else f"a value of type {kind.__name__}"
    raise SettingsError(f"{where}: {name} is {value!r}; expected {wanted}")


def webapp_build(folder: Path) -> Path | None:
    """Where a build of the web app has its page: in the folder, or in its ``browser``, where the build leaves it."""
    for place in (folder, folder / "browser"):
        if (place / WEBAPP_PAGE).is_file():
            return place
    return None


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _check(settings: ServerSettings) -> None:
    for name in ("web_port", "api_port", "files_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise SettingsError(f"{name} is {getattr(settings, name)}; expected 0 to 65535")
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsError("tls_certificate and tls_key go together: one of them is missing")
    for name in ("tls_certificate", "tls_key"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"{name}: {path}: no such file")
    if settings.webapp is not None and webapp_build(settings.webapp) is None:
        raise SettingsError(
            f"webapp: {settings.webapp}: holds no {WEBAPP_PAGE}, nor does its folder browser; "
            "expected a build of the web app"
        )
    if settings.unknown_fields not in ("refuse", "log"):
        raise SettingsError(f"unknown_fields is {settings.unknown_fields!r}; expected 'refuse' or 'log'")
    for proxy in settings.trusted_proxies:
        if proxy != "*" and not _is_network(proxy):
            raise SettingsError(
                f"trusted_proxies names {proxy!r}; expected an address such as 10.0.0.5, a network such as "
                "10.0.0.0/24 (its first address), or *"
            )
    for name in ("token_seconds", "max_body_bytes", "max_upload_bytes"):
        if getattr(settings, name) <= 0:
            raise SettingsError(f"{name} is {getattr(settings, name)}; expected more than 0")
    for name in ("web_url", "api_url", "files_url"):
        url = getattr(settings, name)
        if url is not None and not url.startswith(("http://", "https://")):
            raise SettingsError(
                f"{name} is {url!r}; expected an address that begins with http:// or https://"
            )
