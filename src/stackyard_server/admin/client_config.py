"""The ``clearml.conf`` of a client of this server, for the SDK and the agent as they are.

Besides addresses and a key it blocks pickled artifacts (CVE-2024-24590): as a setting of the SDK, and as the
environment variable for what the agent starts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from ..store.documents import new_id

TEXT = """\
# A client of the Stackyard server. It holds a secret: keep it to yourself (0600).
api {{
    api_server: "{api}"
    web_server: "{web}"
    files_server: "{files}"
    credentials {{
        "access_key" = "{access_key}"
        "secret_key" = "{secret_key}"
    }}
}}
sdk {{
    storage {{
        # Unpickling an artifact runs whatever it holds.
        block_pickled_artifacts: true
    }}
    apply_environment: true
}}
agent {{
    apply_environment: true
}}
environment {{
    CLEARML_BLOCK_PICKLED_ARTIFACTS: "1"
}}
"""


def client_config(urls: Mapping[str, str], access_key: str, secret_key: str) -> str:
    """The text of a ``clearml.conf``; ``urls`` are "web", "api" and "files"."""
    values = {**urls, "access_key": access_key, "secret_key": secret_key}
    return TEXT.format(**{name: value.replace("\\", "").replace('"', "") for name, value in values.items()})


def write_private(path: Path, text: str, replace: bool) -> None:
    """Write a file only its owner may read, whole or not at all.

    Raises:
        FileExistsError: It is there already and may not be replaced.
        OSError: It cannot be written; ``filename`` is what the caller named.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as fault:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), fault.filename) from fault
    target = path if not replace else path.with_name(f".{path.name}.{new_id()}")
    try:
        number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                target.replace(path)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    except OSError as fault:  # of a hidden name, where a file is replaced
        raise OSError(fault.errno, fault.strerror, str(path)) from fault
