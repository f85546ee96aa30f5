"""The start-up hook of an environment that we made, and the file with which a script reports.

An environment with them says when each of its Python processes begins and what it had loaded at its end
(``stackyard_task.start_hook``), and ``from stackyard_task import report`` works in it. Neither PYTHONPATH nor a
``sitecustomize`` is touched: ``site`` reads a ``.pth`` line, which does nothing where no supervisor listens.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import stackyard_task
from stackyard.errors import StackyardError

_MODULE = "_stackyard_hook.py"
_LINE = "stackyard_hook.pth"
#: The package that stands for ``stackyard_task`` where no harness is. What begins otherwise is not ours to change.
_STAND_IN = '"""``report`` alone, for scripts; a run brings the rest of the package with it."""\n'
#: Where nobody listens, or nobody is asked to, not even the module is looked for.
_PTH = "import os; os.environ.get('STACKYARD_REPORT') and __import__('_stackyard_hook')\n"


def files() -> dict[str, bytes]:
    """What lies in a site-packages folder: path relative to it -> content. The line that ``site`` reads comes last."""
    source = Path(stackyard_task.__file__).resolve().parent
    report = (source / "report.py").read_bytes()
    return {
        "stackyard_report.py": report,
        "stackyard_task/__init__.py": _STAND_IN.encode(),
        "stackyard_task/report.py": report,
        _MODULE: (source / "start_hook.py").read_bytes(),
        _LINE: _PTH.encode(),
    }


def install(site_packages: Path) -> None:
    """Lay the hook and ``report`` into a folder of installed packages; what is there already stays untouched.

    Each file is replaced whole, never written into: environments may share files by hard links. A ``stackyard_task``
    that somebody installed there is left alone.

    Raises:
        StackyardError: the folder cannot be written to.
    """
    changed = False
    try:
        for name, content in files().items():
            path = site_packages / name
            if path.parent != site_packages and not _is_stand_in(path.parent):
                continue
            if _content(path) != content:
                if path.parent != site_packages:
                    path.parent.mkdir(exist_ok=True)
                _replace(path, content)
                changed = True
    except OSError as error:
        raise StackyardError(
            f"{site_packages}: the start-up hook cannot be laid there ({error.strerror or error})"
        ) from error
    if changed:
        _compile(site_packages)


def ensure(python: Path) -> bool:
    """Install into the environment of an interpreter, unless it is there; whether it is there now.

    The interpreter is not started. One that is in no virtual environment is somebody else's and is left alone, and so
    is the one that runs us: a stand-in would hide the harness itself.
    """
    site_packages = _site_packages(python)
    if site_packages is None:
        return False
    with contextlib.suppress(StackyardError):
        install(site_packages)
    return installed(python)


def installed(python: Path) -> bool:
    """Whether the environment of an interpreter has the hook as it is now."""
    site_packages = _site_packages(python)
    if site_packages is None:
        return False
    held = files()
    return all(_content(site_packages / name) == held[name] for name in (_MODULE, _LINE))


def _site_packages(python: Path) -> Path | None:
    """The folder of installed packages of a virtual environment; ``None``: the interpreter is in none."""
    prefix = Path(os.path.abspath(python)).parent.parent  # its bin/python is a link to somewhere else
    if not (prefix / "pyvenv.cfg").is_file() or prefix == Path(sys.prefix):
        return None
    found = [path for path in prefix.glob("lib/python3.*/site-packages") if path.is_dir()]
    return found[0] if len(found) == 1 else None


def _is_stand_in(package: Path) -> bool:
    """Whether a folder ``stackyard_task`` is ours to write: not there yet, or laid by us."""
    if not package.exists():
        return True
    return (_content(package / "__init__.py") or b"").startswith(_STAND_IN.encode())


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _replace(path: Path, content: bytes) -> None:
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _compile(site_packages: Path) -> None:
    """Let the environment's interpreter compile the hook: a user who may not write there would do so at each start."""
    python = site_packages.parent.parent.parent / "bin" / "python"
    names = [str(site_packages / name) for name in files() if name.endswith(".py")]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [str(python), "-I", "-S", "-m", "py_compile", *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
