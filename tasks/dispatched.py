#!/usr/bin/env python3
"""What a ClearML agent runs: checks the code that was sent along, then hands over to stackyard_task.dispatched.

Whoever creates the task puts this text into its script field, with CODE filled in. In a clone of the
repository CODE stays empty and the package beside this file is used. Runs in the agent's Python (>= 3.9).
"""

import time

BEGUN = time.time()  # before anything else is imported: when user code started

import atexit  # noqa: E402
import gc  # noqa: E402
import hashlib  # noqa: E402
import importlib.util  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import zipfile  # noqa: E402
from pathlib import Path  # noqa: E402

#: The wheel of the task's code on the file server.
CODE = {"url": "", "sha256": ""}


def checked(path, sha256):
    """The wheel's bytes, or an end with a sentence where they are not those that were sent."""
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        sys.exit(f"infrastructure: the code at hand has SHA-256 {found}, but the task was sent with {sha256}")
    return content


def fetched(url, sha256):
    """A local copy of the wheel: the one kept by an earlier task, else from the file server."""
    kept = Path(os.environ.get("STACKYARD_CACHE") or tempfile.gettempdir()) / "code" / f"{sha256}.whl"
    if kept.is_file() and hashlib.sha256(kept.read_bytes()).hexdigest() == sha256:
        return kept
    from clearml import StorageManager

    copy = StorageManager.get_local_copy(url, extract_archive=False, force_download=True)
    if copy is None:
        sys.exit(f"infrastructure: the code cannot be fetched from {url}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_name(f".{kept.name}.{os.getpid()}")
        shutil.copyfile(copy, draft)
        draft.replace(kept)
    except OSError:  # no cache is no obstacle
        return copy
    return kept


def spread(archive, folder):
    """Write an archive's files below a folder: hundreds of small ones, in half the time that zipfile takes."""
    made = set()
    for member in archive.infolist():
        path = os.path.normpath(os.path.join(str(folder), member.filename))
        if not path.startswith(f"{folder}{os.sep}"):
            sys.exit(f"infrastructure: the wheel names a file outside itself: {member.filename!r}")
        parent = path if member.is_dir() else os.path.dirname(path)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        if not member.is_dir():
            with open(path, "wb") as file:
                file.write(archive.read(member))


def unpacked():
    """A folder that holds the package of the wheel, made for this task alone."""
    import io

    content = checked(fetched(CODE["url"], CODE["sha256"]), CODE["sha256"])
    folder = Path(tempfile.mkdtemp(prefix=f"stackyard-code-{os.getpid()}-")).resolve()
    atexit.register(shutil.rmtree, str(folder), ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        spread(wheel, folder)
    cache = os.environ.get("STACKYARD_CACHE")
    if cache and not os.environ.get(
        "CLEARML_DOCKER_IMAGE"
    ):  # stackyard_task.byte_code keeps it, and says where not
        try:
            with zipfile.ZipFile(Path(cache) / "code" / f"{CODE['sha256']}.pyc.zip") as compiled:
                spread(compiled, folder)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError):
            pass  # the first task of this code, or a damaged copy: compiled once more
    folder.chmod(0o755)
    return folder


if __name__ == "__main__":
    source = unpacked() if CODE["url"] else Path(__file__).resolve().parent.parent / "src"
    # By its place, not by the path of modules: what lies beside it has any name, and is for the child alone.
    package = source / "stackyard_task"
    spec = importlib.util.spec_from_file_location(
        package.name, str(package / "__init__.py"), submodule_search_locations=[str(package)]
    )
    sys.modules[package.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[package.name])
    from stackyard_task import dispatched

    status = dispatched.main(source, begun=BEGUN, wheel=CODE["sha256"] or None)
    gc.freeze()  # the interpreter's end need not walk over everything once more
    sys.exit(status)
