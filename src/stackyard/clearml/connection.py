"""Where the ClearML server is and who we are there: read from a clearml.conf, as the SDK and the agents read it.

Looked for in this order: the file that is named, $STACKYARD_HOME/clearml.conf (written by ``stackyard up``),
$CLEARML_CONFIG_FILE, ~/clearml.conf. ClearML's own variables (CLEARML_API_HOST...) go before what the file says.
Reads files and variables; talks to nobody.
"""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stackyard import extras
from stackyard.errors import BadInputError
from stackyard.settings import Settings

CONFIG_FILE = "clearml.conf"
_VARIABLES = {
    "api": "CLEARML_API_HOST",
    "web": "CLEARML_WEB_HOST",
    "files": "CLEARML_FILES_HOST",
    "access_key": "CLEARML_API_ACCESS_KEY",
    "secret_key": "CLEARML_API_SECRET_KEY",
}
_KEYS = {
    "api": "api.api_server",
    "web": "api.web_server",
    "files": "api.files_server",
    "access_key": "api.credentials.access_key",
    "secret_key": "api.credentials.secret_key",
}


#: What says where a server is, without who comes.
_ADDRESSES = ("api", "web", "files")


@dataclass(frozen=True)
class Connection:
    """A server's three addresses, without a slash at the end, and what we come with: a key, or somebody's token."""

    api: str
    web: str
    files: str
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    #: Where it was read from.
    source: str = "given"
    #: Of a person who signed in; goes before the key, and is not renewed.
    token: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, and so its agents, as far as its address tells."""
        host = urllib.parse.urlsplit(self.api).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")

    def with_key(self, access_key: str, secret_key: str) -> Connection:
        """The same server with a key, or a name and password, that somebody gave."""
        return replace(self, access_key=access_key, secret_key=secret_key, source="given", token=None)

    def with_token(self, token: str) -> Connection:
        """The same server as the person whose token it is; no key goes with it."""
        return replace(self, access_key="", secret_key="", source="given", token=token)


def find(settings: Settings, named: Path | None = None) -> Connection:
    """The connection to use.

    Args:
        settings: where Stackyard's home is.
        named: a clearml.conf the user named.

    Raises:
        BadInputError: there is none, it cannot be read, or something in it is missing.
    """
    return read(_place(settings, named, _VARIABLES), os.environ)


def addresses(settings: Settings, named: Path | None = None) -> Connection:
    """Where the server is, from the same place as ``find``, without the key that stands there: for who signs in.

    Raises:
        BadInputError: there is none, it cannot be read, or an address is missing.
    """
    return read(_place(settings, named, _ADDRESSES), os.environ, _ADDRESSES)


def _place(settings: Settings, named: Path | None, needed: Iterable[str]) -> Path | None:
    """The clearml.conf to read; ``None``: there is none, and the variables say what is needed."""
    extras.check("clearml", "no ClearML server can be reached")
    places = _places(settings)
    path = named or next((place for place in places if place.is_file()), None)
    if path is None and not all(os.environ.get(_VARIABLES[name]) for name in needed):
        raise BadInputError(
            f"no ClearML server is known: start one here with `stackyard up`, or name its clearml.conf with --config "
            f"(looked for: {', '.join(map(str, places))})"
        )
    return path


def at(settings: Settings, server: str) -> Connection:
    """The connection to a server that somebody named.

    Args:
        settings: where Stackyard's home is.
        server: a clearml.conf, or the address of an API. The key for an address comes from a configuration that is for
            that address: a key is sent to no other server than its own.

    Raises:
        BadInputError: there is no such file, or no configuration is for that address.
    """
    if "://" not in server:
        path = Path(server).expanduser()
        if not path.is_file():
            raise BadInputError(
                f"--server {server}: no such file; name a clearml.conf, or an address with http://"
            )
        return read(path, {})
    known = []
    with contextlib.suppress(BadInputError):
        known.append(read(None, os.environ))
    for path in filter(Path.is_file, _places(settings)):
        with contextlib.suppress(BadInputError):  # what cannot be read is not for that address
            known.append(read(path, {}))
    address = server.rstrip("/")
    found = next((each for each in known if address in (each.api, each.web)), None)
    if found is None:
        there = ", ".join(dict.fromkeys(each.api for each in known)) or "none"
        raise BadInputError(
            f"--server {server}: no key is known for it (known servers: {there}); name its clearml.conf instead"
        )
    return found


def _places(settings: Settings) -> list[Path]:
    """Where a clearml.conf may lie, in order."""
    places = [settings.home / CONFIG_FILE, Path.home() / CONFIG_FILE]
    if os.environ.get("CLEARML_CONFIG_FILE"):
        places.insert(1, Path(os.environ["CLEARML_CONFIG_FILE"]).expanduser())
    return places


def read(path: Path | None, variables: Mapping[str, str], needed: Iterable[str] = tuple(_KEYS)) -> Connection:
    """The connection a clearml.conf and ClearML's variables describe.

    Args:
        path: the file; ``None``: there is none.
        variables: the environment's.
        needed: what is read: names of a connection's fields.

    Raises:
        BadInputError: the file cannot be read, or a value is in neither.
    """
    extras.check("clearml", "no ClearML server can be reached")
    import pyhocon

    table: Any = {}
    if path is not None:
        try:
            table = pyhocon.ConfigFactory.parse_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(f"{path}: cannot be read ({error})") from error
        except Exception as error:
            raise BadInputError(
                f"{path}: not a clearml.conf ({' '.join(str(error).split())[:120]})"
            ) from error
    found = {}
    for name in needed:
        key = _KEYS[name]
        value = variables.get(_VARIABLES[name]) or (table.get(key, None) if table else None)
        if not isinstance(value, str) or not value:
            raise BadInputError(f"{path or 'environment'}: {key} is missing (or set {_VARIABLES[name]})")
        found[name] = value.rstrip("/")
    return Connection(**found, source=str(path or "environment"))
