"""An access key of a running official server, written as a ``clearml.conf``."""

from __future__ import annotations

import os
from pathlib import Path

from stackyard.clearml.client import Client
from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError
from stackyard.official.installation import read_env

TEXT = """\
# A client of the official ClearML server. It holds a secret: keep it to yourself (0600).
api {{
    api_server: "{api}"
    web_server: "{web}"
    files_server: "{files}"
    verify_certificate: true
    credentials {{
        access_key: "{access_key}"
        secret_key: "{secret_key}"
    }}
}}
sdk {{
    # Unpickling an artifact runs whatever it holds.
    storage {{block_pickled_artifacts: true}}
}}
"""


def write(folder: Path, login: str, password: str, path: Path, *, inside: bool = False) -> str:
    """Make a key for a person of the web login and write it; the access key.

    Args:
        folder: the installation.
        login: who.
        password: theirs.
        path: the new clearml.conf. An empty file that is there is filled, any other one stays.
        inside: the addresses are those on the containers' network.

    Raises:
        BadInputError: there is a file with content already.
        ServerError: the server does not know the person, or not the password.
        UnreachableError: the server does not answer.
    """
    values = read_env(folder)
    if path.exists() and path.stat().st_size:
        raise BadInputError(f"{path} is there already and was left as it is")
    here = _addresses(values["SERVER_NAME"], values)
    authority = folder / "server" / "secrets" / "ca.crt"
    with Client(Connection(**here, access_key=login, secret_key=password), authority=authority) as client:
        made = client.call("auth.create_credentials", label=f"clearml.conf {path.name}")["credentials"]
    urls = _addresses(values["SERVER_NAME"], {}) if inside else here
    text = TEXT.format(**urls, access_key=made["access_key"], secret_key=made["secret_key"])
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(text)
        if new and inside and os.geteuid() == 0:
            os.fchown(file.fileno(), int(values["SERVER_UID"]), int(values["SERVER_GID"]))
    return str(made["access_key"])


def _addresses(name: str, values: dict[str, str]) -> dict[str, str]:
    ports = (("api", "API_PORT", "8008"), ("web", "WEB_PORT", "8080"), ("files", "FILES_PORT", "8081"))
    return {key: f"https://{name}:{values.get(port, default)}" for key, port, default in ports}
