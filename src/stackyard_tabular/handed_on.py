"""What one stage hands to the next: a folder of files, and beside them their hashes and where they came from.

``handed_on.json`` names the stage, the SHA-256 of each file, and the digest of what the stage itself was given. Whoever
opens the folder checks all of it, so that no stage works on files that were changed, or on those of another stage.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping

from stackyard_tabular import streams
from stackyard_task.channel import BadInput

FILE = "handed_on.json"
VERSION = 1
MOST_FILES = 64
#: The file itself may take so many bytes.
MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class HandedOn:
    """A folder whose files are as its stage left them."""

    folder: Path
    stage: str
    #: Of the files, of what they were made from, and of what is said about them.
    digest: str
    #: Digest of what the stage was given.
    made_from: str
    about: Mapping[str, Any]

    def arrays(self, name: str) -> Dict[str, Any]:
        """The arrays of the file ``name``; none of them needs pickle.

        Raises:
            BadInput: it is no file of arrays.
        """
        import zipfile

        import numpy as np

        try:
            with np.load(self.folder / name, allow_pickle=False) as found:
                return {key: found[key] for key in found.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise BadInput(f"{self.folder / name}: cannot be read as arrays ({error})") from error


def seal(folder: Path, stage: str, made_from: str, about: Mapping[str, Any]) -> HandedOn:
    """Write ``handed_on.json`` for the files of ``folder``, which are whole."""
    files = {path.name: streams.sha256(path) for path in sorted(folder.iterdir())}
    said = {
        "api_version": VERSION,
        "stage": stage,
        "made_from": made_from,
        "files": files,
        "about": dict(about),
    }
    digest = _digest(said)
    whole = json.dumps({**said, "digest": digest}, indent=1, allow_nan=False) + "\n"
    (folder / FILE).write_text(whole, encoding="utf-8")
    return HandedOn(folder, stage, digest, made_from, about)


def opened(folder: Path, stage: str) -> HandedOn:
    """What ``stage`` left in ``folder``.

    Raises:
        BadInput: it left nothing there, another stage did, or a file was changed since.
    """
    path = folder / FILE
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path}: is larger than {MOST_BYTES} bytes")
        whole = json.loads(path.read_text(encoding="utf-8"))
        digest = whole.pop("digest")
        files, about, made_from = whole["files"], whole["about"], whole["made_from"]
        good = (
            all(isinstance(one, dict) for one in (files, about))
            and all(isinstance(one, str) for one in (digest, made_from, *files.values()))
            and len(files) <= MOST_FILES
            and all("/" not in name and not name.startswith(".") for name in files)
        )
        if not good:
            raise ValueError("its values have other shapes")
    except FileNotFoundError:
        raise BadInput(f"{folder}: holds no {FILE}; name the folder that {stage} left") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path}: is no file that a stage wrote ({error})") from error
    if whole.get("stage") != stage or whole.get("api_version") != VERSION:
        raise BadInput(
            f"{folder}: was left by {whole.get('stage')!r}, expected what {stage} of this version leaves"
        )
    for name, known in files.items():
        if streams.sha256(folder / name) != known:
            raise BadInput(f"{folder / name}: was changed since {stage} wrote it")
    if _digest(whole) != digest:
        raise BadInput(f"{path}: was changed since {stage} wrote it")
    return HandedOn(folder, stage, digest, made_from, about)


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
