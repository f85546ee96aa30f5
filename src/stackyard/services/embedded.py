"""The embedded server of this machine as services start it: its door, its ports, whether it runs.

The door is ``stackyard_server.admin``, loaded when it is entered: an official server needs none of it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackyard import extras
from stackyard.errors import BadInputError, StackyardError

if TYPE_CHECKING:
    from stackyard_server import admin as admin_module

PORTS = {"web_port": 8080, "api_port": 8008, "files_port": 8081}


def options(folder: Path, admin: admin_module, wished: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[valid-type]
    """Settings of the server with free ports in place of the usual ones that others have."""
    options = dict(wished)
    told = admin.read_settings(folder, options)  # type: ignore[attr-defined]
    for name, usual in PORTS.items():
        if name not in options and getattr(told, name) == usual and not is_free(told.host, usual):
            options[name] = 0
    return options


def is_free(host: str, port: int) -> bool:
    """Whether a port can be listened on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return False
    return True


def a_free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.bind((host, 0))
        return int(trial.getsockname()[1])


def is_held(folder: Path, admin: admin_module) -> bool:  # type: ignore[valid-type]
    """Whether a server runs on that data folder."""
    return bool(admin.runs(folder))  # type: ignore[attr-defined]


def runs(folder: Path) -> bool:
    """The same, for who has not entered the door."""
    with admin() as door:
        return is_held(folder, door)


def has_users(folder: Path, admin: admin_module) -> bool:  # type: ignore[valid-type]
    """Whether a server made its administrator in that data folder."""
    try:
        return bool(admin.list_users(folder))  # type: ignore[attr-defined]
    except admin.AdminError:  # type: ignore[attr-defined]
        return False  # a new folder


def refuse_others(folder: Path, admin: admin_module, wished: Mapping[str, Any]) -> None:  # type: ignore[valid-type]
    """Refuse addresses that the server that runs on the folder does not listen on; port 0 is any.

    Raises:
        BadInputError: the message names both.
    """
    ports = admin.listening_ports(folder)  # type: ignore[attr-defined]
    urls = admin.status(folder)["urls"]  # type: ignore[attr-defined]
    host = next(iter(urls.values()), "").partition("://")[2].rpartition(":")[0].strip("[]")
    for name, value in wished.items():
        here = ports.get(name) if name in PORTS else host
        told = value if name in PORTS else admin.read_settings(folder, {name: value}).host  # type: ignore[attr-defined]
        if here and told and told != here:
            raise BadInputError(
                f"the embedded server of {folder} is up with {name.replace('_', ' ')} {here}, not {value}: "
                "run `stackyard down` first"
            )


@contextmanager
def admin() -> Iterator[admin_module]:  # type: ignore[valid-type]
    """The embedded server's door; its errors become ours."""
    extras.check("server", "the embedded server cannot be used")
    from stackyard_server import admin  # most commands need no server

    try:
        yield admin
    except admin.AdminError as error:
        raise (BadInputError if error.usage else StackyardError)(str(error)) from error
