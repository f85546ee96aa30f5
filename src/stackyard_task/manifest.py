"""What of a folder travels, as data: each file's name with what it is, and the one digest over all of them.

Our side makes a manifest of the user's folder before a run, the task's side makes it anew of what arrived. Both ask
this module which names may travel, where links lead and what the digest is. Pure: it opens nothing. Standard library
only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import AbstractSet, Dict, Iterable, List, Mapping, Optional, Set

#: Bounds on what travels: beyond them it is data, which belongs under a workload's inputs.
MOST_FILES = 5_000
MOST_BYTES = 200 << 20
MOST_FILE_BYTES = 100 << 20
#: Parts of a name: folders and the file.
DEEPEST = 32
#: Of a whole name, so that it stays a path wherever the folder comes to lie; of a part, as file systems have it.
NAME_BYTES, PART_BYTES = 1024, 255
#: Links that are followed one after the other before it is a circle; Linux follows as many.
_MOST_LINKS = 40


@dataclass(frozen=True)
class FileFacts:
    """One file or link."""

    #: In bytes; of a link: of its target's text.
    size: int
    #: Of the content; of a link: of its target's text.
    sha256: str
    executable: bool = False
    #: Where a link leads, as it is written; ``None``: a file.
    target: Optional[str] = None


def why_not(name: str) -> Optional[str]:
    """Why nothing of that name can travel, as the end of a sentence that begins with the name, or ``None``."""
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
        return "has a control character in its name"
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "is no name below a folder"
    if len(parts) > DEEPEST:
        return f"lies more than {DEEPEST} folders deep"
    if length > NAME_BYTES or any(len(part.encode("utf-8")) > PART_BYTES for part in parts):
        return f"has a name of more than {NAME_BYTES} bytes, or a part of it has more than {PART_BYTES}"
    return None


def digest_of(files: Mapping[str, FileFacts]) -> str:
    """SHA-256 over names, modes and contents, whatever the order; modes are file, executable and link.

    No name has a line break or NUL (``why_not``), so no two manifests have one text.
    """
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{_kind(files[name])}\0{files[name].sha256}\n".encode())
    return total.hexdigest()


def marks_of(files: Mapping[str, FileFacts]) -> Dict[str, str]:
    """Name -> text that differs where the file does: its SHA-256, and what it is where that is no plain file."""
    return {
        name: facts.sha256 if _kind(facts) == "file" else f"{facts.sha256} {_kind(facts)}"
        for name, facts in sorted(files.items())
    }


def _kind(facts: FileFacts) -> str:
    if facts.target is not None:
        return "link"
    return "executable" if facts.executable else "file"


def folders_of(names: Iterable[str]) -> Set[str]:
    """The folders that files of these names lie in; the top is the empty text."""
    found = {""}
    for name in names:
        parent = name.rpartition("/")[0]
        while parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def leads_to(
    name: str, links: Mapping[str, str], files: AbstractSet[str], folders: AbstractSet[str]
) -> Optional[str]:
    """The file or folder that a link ends at, or ``None``: it leads out, in a circle, or to what is not there.

    Args:
        name: the link's.
        links: all links by name, with their targets.
        files: the names of what is no link.
        folders: as ``folders_of`` says of files and links.
    """
    place: List[str] = []
    ahead = name.split("/")[::-1]
    followed = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not place:
                return None
            place.pop()
            continue
        here = "/".join([*place, part])
        if here in links:
            followed += 1
            target = links[here]
            if followed > _MOST_LINKS or target.startswith("/"):
                return None
            ahead += target.split("/")[::-1]
        elif here in folders or (here in files and not any(p not in ("", ".") for p in ahead)):
            place.append(part)
        else:
            return None
    return "/".join(place)
