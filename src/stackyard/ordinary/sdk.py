"""The ClearML SDK as wheels, made of this installation's own packages: for machines where no index can be asked.

An installed package says by its RECORD which files are its own, and by its WHEEL which Pythons they fit; that is all a
wheel is (the binary distribution format of the Python packaging user guide). Reads the packages; writes one folder.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterable
from importlib import metadata
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement

from stackyard.errors import StackyardError
from stackyard.settings import Settings
from stackyard.stacks.definition import canonical

#: Scripts of tasks import it, whether they list it or not.
NAME = "clearml"
FOLDER = "sdk-wheels"
#: Of ``.dist-info``: what the installer wrote, and what is written anew.
_INSTALLERS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
_MOMENT = (1980, 1, 1, 0, 0, 0)


def wheels(settings: Settings, pinned: Iterable[str], more: Path | None = None) -> Path:
    """A folder of wheels of the SDK and what it needs, in the versions that are installed here; made once.

    Args:
        settings: below whose home it is.
        pinned: names of packages that are there anyway.
        more: a folder of wheels of the user's, which goes before; ``None``: there is none.

    Raises:
        StackyardError: the packages cannot be read, or the folder not written.
    """
    there = set(pinned)
    try:
        found = [one for name, one in sorted(_needed().items()) if name == NAME or name not in there]
        said = [f"{one.metadata['Name']}=={one.version}" for one in found]
        said += [] if more is None else [str(more), *sorted(path.name for path in more.glob("*.whl"))]
        folder = settings.home / FOLDER / hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
        if folder.is_dir():
            return folder
        draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            users = [] if more is None else list(more.glob("*.whl"))
            for path in users:
                (draft / path.name).symlink_to(path.absolute())
            names = {canonical(path.name.partition("-")[0]) for path in users}
            for one in found:
                if canonical(one.metadata["Name"]) not in names:
                    _pack(one, draft)
            with contextlib.suppress(OSError):  # another has just made the same
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (OSError, metadata.PackageNotFoundError, KeyError, ValueError) as error:
        raise StackyardError(f"the SDK of this installation cannot be packed ({error})") from error
    return folder


def _needed() -> dict[str, Distribution]:
    """The SDK and what it needs here, by name."""
    found: dict[str, Distribution] = {}
    left = [NAME]
    while left:
        name = canonical(left.pop())
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found


def _pack(one: Distribution, folder: Path) -> None:
    """Put a wheel of an installed package into a folder. Programs of its own are left out: pip makes them anew."""
    name = one.metadata["Name"].replace("-", "_").replace(".", "_")
    kept = [
        file
        for file in one.files or ()
        if ".." not in file.parts
        and "__pycache__" not in file.parts
        and not (file.parts[0].endswith(".dist-info") and file.name in _INSTALLERS)
    ]
    info = next(file.parts[0] for file in kept if file.parts[0].endswith(".dist-info"))
    rows = io.StringIO()
    listed = csv.writer(rows, lineterminator="\n")
    with zipfile.ZipFile(folder / f"{name}-{one.version}-{_tags(one)}.whl", "w", zipfile.ZIP_STORED) as made:
        for file in kept:
            content = Path(str(file.locate())).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            made.writestr(zipfile.ZipInfo(str(file), _MOMENT), content)
            listed.writerow([str(file), f"sha256={digest}", len(content)])
        listed.writerow([f"{info}/RECORD", "", ""])
        made.writestr(zipfile.ZipInfo(f"{info}/RECORD", _MOMENT), rows.getvalue())


def _tags(one: Distribution) -> str:
    """Which Pythons it fits, as a wheel's name has it: "py2.py3-none-any"."""
    lines = (one.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip().split("-") for line in lines if line.startswith("Tag:")]
    if not tags:
        raise ValueError(f"{one.metadata['Name']} says not which Pythons it fits")
    return "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
