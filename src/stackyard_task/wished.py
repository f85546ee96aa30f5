"""What a task's document wishes: which packages, which stack, which Python, how long.

Pure, but for the requirements.txt of a repository that is here.

Standard library only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

from stackyard_task.handing_in import table
from stackyard_task.wishes import Repository, Settled, Wish

_REQUIREMENTS = "requirements.txt"
_MOST_REQUIREMENTS_BYTES = 1 << 20
#: Characters of changes; what is cut off cannot be applied, and is refused by whoever tries.
_MOST_CHANGES = 4 << 20
#: Of section Run: what is read here.
_RUN_NAMES = ("stack", "time_limit_seconds")
#: Of its other names, so many are told.
_MOST_NAMED = 5


def wish_of(task: Mapping[str, Any], folder: Optional[Path]) -> Wish:
    """What a task wants of its environment.

    Args:
        task: its document.
        folder: where its script is: a file of requirements is looked for there, and at the top of the repository, where
            the task lists none. ``None``: it is not here; the wish says where it can be fetched.
    """
    script, params = table(task, "script"), table(task, "hyperparams")
    wish = Wish()
    listed = table(script, "requirements").get("pip")
    text = "\n".join(map(str, listed)) if isinstance(listed, list) else str(listed or "")
    if _says_something(text):
        wish.requirements = text
    elif script.get("repository") and folder is None:
        parts = ("repository", "version_num", "branch", "tag", "working_dir")
        wish.repository = Repository(*(str(script.get(part) or "").strip() for part in parts))
        changes = str(script.get("diff") or "")
        if _REQUIREMENTS in changes:
            wish.repository.changes = changes[:_MOST_CHANGES]
    elif script.get("repository") and folder is not None:
        wish.requirements, wish.requirements_from = _of_repository(folder)
    for section, said in (("Run", "Run/stack"), ("properties", "the user property stack")):
        named = table(table(params, section), "stack").get("value")
        if named and str(named).strip():
            wish.stack, wish.stack_from = str(named).strip(), said
            break
    wish.python = _python_of(str(script.get("binary") or ""))
    return wish


def not_followed(task: Mapping[str, Any], wish: Wish, how: Optional[Settled]) -> List[str]:
    """What a task's section Run says and nobody here follows, as sentences.

    A section of that name may be the script's own, so nothing in it is a fault; a name that was mistyped is said.

    Args:
        task: its document.
        wish: what was read of it.
        how: what the operator settled; ``None``: nothing, then nobody here reads the section.
    """
    if how is None:
        return []
    if how.environment == "agent":
        queue = f"queue {how.queue}" if how.queue else "this queue"
        named = f"{wish.stack_from} is not followed: tasks of {queue} run in the environment of their agent"
        return [named] if wish.stack else []
    names = sorted(name for name in table(table(task, "hyperparams"), "Run") if name not in _RUN_NAMES)
    if not names:
        return []
    from difflib import get_close_matches  # only who needs it loads it: starts are waited for

    near = {name: meant[0] for name in names if (meant := get_close_matches(name.lower(), _RUN_NAMES, 1))}
    left = [name for name in names if name not in near]
    told = [
        f"Run/{_plain(name)} is no parameter of Stackyard's and changes nothing here; is Run/{meant} meant?"
        for name, meant in list(near.items())[:_MOST_NAMED]
    ]
    if left:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        shown = ", ".join(f"Run/{_plain(name)}" for name in left[:_MOST_NAMED])
        told.append(
            f"left to the script: {shown}{more}; of section Run, Stackyard reads {' and '.join(_RUN_NAMES)}"
        )
    return told


def time_limit_of(task: Mapping[str, Any]) -> Tuple[Optional[float], List[str]]:
    """(how long a task may take in seconds, by its section Run; what is said of a limit that cannot be read)."""
    name = _RUN_NAMES[1]
    text = str(table(table(table(task, "hyperparams"), "Run"), name).get("value") or "").strip()
    try:
        seconds = float(text or "nan")
    except ValueError:
        seconds = 0.0
    if 0 < seconds < float("inf"):
        return seconds, []
    said = f"Run/{name} is {_plain(text)!r}, expected a number above 0; no limit is held"
    return None, [said] if text else []


def _plain(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:60])


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _of_repository(folder: Path) -> Tuple[Optional[str], str]:
    """(text, name) of a repository's requirements.txt: beside the script, else at the top."""
    for place in (folder, *folder.parents):
        file = place / _REQUIREMENTS
        with contextlib.suppress(OSError):
            if file.is_file():
                with file.open("rb") as stream:
                    text = stream.read(_MOST_REQUIREMENTS_BYTES).decode("utf-8", "replace")
                return (text if _says_something(text) else None), "the repository's requirements.txt"
        if (place / ".git").exists():
            break
    return None, Wish().requirements_from


def _python_of(binary: str) -> Optional[str]:
    """The Python that a task's script names: "3.11" of "/usr/bin/python3.11"."""
    name = binary.rpartition("/")[2]
    version = name[len("python") :] if name.startswith("python") else ""
    parts = version.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 and all(part.isdigit() for part in parts[:2]) else None
