"""Which files of the user's folder travel: a walk with git's and our ignore rules, bounds, and refusals by name.

Sizes are those that the file system says, so a folder that is too large is refused before anything of it is read.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.workloads import ignore_rules
from stackyard.workloads.ignore_rules import Chain, IgnoreRules
from stackyard.workloads.repository import Git, Repository
from stackyard_task import manifest

#: Entries of folders that are looked at, those that do not travel among them.
MOST_ENTRIES = 200_000
#: Git repositories inside the folder that git is asked about.
_MOST_REPOSITORIES = 50
GIT_IGNORE, OUR_IGNORE = ".gitignore", ".stackyardignore"
#: Folders that never travel, by name -> reason.
_NEVER = {
    ".git": "git's own files",
    "__pycache__": "caches",
    ".ipynb_checkpoints": "caches",
    "node_modules": "environments",
    ".stackyard": "homes of Stackyard",
}
#: A folder that holds one of these is an environment.
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")
_ADVICE = f"exclude it in {OUR_IGNORE}"
_TOO_LARGE = f"name data under inputs, or exclude it in {OUR_IGNORE}"
#: Offenders that a refusal names.
_NAMED = 3
#: Names that are kept of what stays here, for each reason.
MOST_LEFT_OUT_NAMES = 1_000
_IGNORED, _RUN_FOLDERS = "ignored", "run folders"
#: Entries of an ignored folder that are looked at, to see whether it holds our runs and nothing else.
_MOST_LOOKED_AT = 20
_NEARLY_ALL = 0.9
#: What of a plan or a task says whose it is, as ``records`` writes it.
_PLAN = re.compile(rb'"kind": *"stackyard plan"')
_TASK = re.compile(rb'"run_id": *".*"api_version": *\d', re.DOTALL)
_OURS_BYTES = 1 << 20


class Changing(Exception):
    """A file or folder is not what it was a moment ago; the message is its path."""


def refused(path: Path | str, what: str, advice: str = _ADVICE) -> BadInputError:
    """The refusal of something in the folder, in one sentence."""
    return BadInputError(f"{_shown(path)} {what}; {advice}")


@dataclass
class Listed:
    """What travels, before it is read."""

    #: Name, with "/" -> the file as it was seen; its size is st_size.
    files: dict[str, os.stat_result] = field(default_factory=dict)
    #: Name -> where it leads, seen from its own folder.
    links: dict[str, str] = field(default_factory=dict)
    #: Names that git tracks, in the repository and in those inside it; ``None``: not known.
    tracked: frozenset[str] | None = None
    commit: str | None = None
    diff: bytes | None = None
    #: Whether there is a difference that is too long to keep.
    diff_cut: bool = False
    left_out: Counter[str] = field(default_factory=Counter)
    #: Reason -> the first few of them, to be shown.
    left_out_names: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def listed(root: Path, leave_out: Collection[Path] = ()) -> Listed:
    """What of ``root``, an absolute path without links, travels.

    Raises:
        BadInputError: it is too large, or something in it cannot travel.
        Changing: something vanished meanwhile.
    """
    return _Walk(root, leave_out).to_its_end()


@dataclass(frozen=True)
class _Place:
    """A folder of the walk, and what holds in it."""

    #: Name below the root, with "/" behind it; the root's is empty.
    name: str
    git: Chain
    ours: Chain
    #: Git excludes it, so only what it tracks travels.
    tracked_only: bool = False


class _Walk:
    """One walk over a folder."""

    def __init__(self, root: Path, leave_out: Collection[Path]) -> None:
        self.root = root
        self.found = Listed()
        self.elsewhere = {os.path.abspath(path) for path in leave_out}
        self.elsewhere |= {os.path.realpath(path) for path in leave_out}
        self.git = Git()
        self.repositories = 0
        self.entries = 0
        #: Names that git tracks, the folders they lie in, and submodules.
        self.tracked: set[str] = set()
        self.tracked_folders: set[str] = set()
        self.submodules: set[str] = set()
        self.notes: list[str] = []
        #: Links as they are written; those by which what they lead to lies in the folder, with that.
        self.raw_links: dict[str, str] = {}

    def to_its_end(self) -> Listed:
        """Walk, check, and say what travels."""
        ahead = [self._top()]
        while ahead:
            ahead += self._entered(ahead.pop())
        self._check_size()
        self._settle_links()
        self.found.notes = tuple(self.notes)
        return self.found

    # -- repositories --------------------------------------------------------------------------------

    def _top(self) -> _Place:
        repository = self.git.looked_at(self.root)
        # what tracks nothing of the folder is somebody else's repository, that it only happens to lie in
        if repository is None or (
            repository.top != self.root and not (repository.tracked or repository.tracked is None)
        ):
            return _Place("", Chain(), Chain())
        self.found.commit, self.found.diff = repository.commit, repository.diff
        self.found.diff_cut = repository.diff_cut
        chain = self._adopted("", repository)
        above = [parent for parent in self.root.parents if parent.is_relative_to(repository.top)]
        ours = Chain()
        for parent in reversed(above):
            chain = self._with(chain, parent, GIT_IGNORE)
            ours = self._with(ours, parent, OUR_IGNORE)
        return _Place("", chain, ours)

    def _adopted(self, prefix: str, repository: Repository) -> Chain:
        """Take in what a repository tracks; its rules that stand in no folder."""
        self.notes += repository.notes
        if repository.tracked is not None:
            names = [prefix + name for name in repository.tracked]
            self.tracked.update(names)
            self.tracked_folders |= manifest.folders_of(names)
            if not prefix or self.found.tracked is not None:
                self.found.tracked = (self.found.tracked or frozenset()) | set(names)
        self.submodules.update(prefix + name for name in repository.submodules)
        self.tracked_folders |= manifest.folders_of(prefix + name for name in repository.submodules)
        self.tracked_folders.update(prefix + name for name in repository.submodules)
        chain = Chain()
        for file in repository.excludes:
            chain = chain.and_those(os.fsencode(repository.top), self._rules(file, follow=True))
        return chain

    def _with(self, chain: Chain, folder: Path, name: str) -> Chain:
        return chain.and_those(os.fsencode(folder), self._rules(folder / name))

    def _rules(self, file: Path, *, follow: bool = False) -> IgnoreRules:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        try:
            descriptor = os.open(file, flags)
        except OSError as error:
            if isinstance(error, PermissionError) and not follow:
                raise refused(file, f"cannot be read ({error.strerror})", "make it readable") from error
            return IgnoreRules()  # git follows no link here, either
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return IgnoreRules()
            text = stream.read(ignore_rules.MOST_BYTES + 1)
        if len(text) > ignore_rules.MOST_BYTES:
            raise refused(
                file, f"is longer than {ignore_rules.MOST_BYTES >> 10} KiB", "name whole folders in it"
            )
        return ignore_rules.parsed(text)

    # -- the walk ------------------------------------------------------------------------------------

    def _entered(self, place: _Place) -> list[_Place]:
        """Look at a folder's entries; the folders among them that are to be looked at."""
        folder = self.root / place.name
        try:
            with os.scandir(folder) as scan:
                entries = []
                for entry in scan:
                    entries.append(entry)
                    self.entries += 1
                    if self.entries > MOST_ENTRIES:
                        raise self._too_many(place.name, len(entries))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Changing(folder) from error
        except OSError as error:
            raise refused(folder, f"cannot be read ({error.strerror or error})") from error
        names = {entry.name for entry in entries}
        if place.name:
            reason = self._whole_reason(folder, names)
            if reason is not None:
                self._leave_out(reason, place.name)
                return []
            name = place.name[:-1]
            if not names and name in self.submodules:
                raise refused(
                    folder, "is a submodule that is not there yet", "run `git submodule update --init` first"
                )
            if ".git" in names:
                place = self._nested(place)
        git = self._with(place.git, folder, GIT_IGNORE) if GIT_IGNORE in names else place.git
        ours = self._with(place.ours, folder, OUR_IGNORE) if OUR_IGNORE in names else place.ours
        here = _Place(place.name, git, ours, place.tracked_only)
        entries.sort(key=lambda entry: entry.name, reverse=True)
        try:
            return [inner for entry in entries if (inner := self._looked_at(here, entry)) is not None]
        except FileNotFoundError as error:
            raise Changing(folder) from error
        except OSError as error:
            raise refused(
                error.filename or folder, f"cannot be looked at ({error.strerror or error})"
            ) from error

    def _whole_reason(self, folder: Path, names: Collection[str]) -> str | None:
        """Why nothing of a folder travels, whatever git says."""
        if any(name in names for name in _ENVIRONMENT):
            return "environments"
        for name, words in (("plan.json", _PLAN), ("task.json", _TASK)):
            if name in names and _says(folder / name, words):
                return _RUN_FOLDERS
        return None

    def _holds_runs(self, folder: Path) -> bool:
        """Whether a folder that is ignored is one of our run folders, or holds nothing else; few are looked into."""
        try:
            with os.scandir(folder) as scan:
                entries = list(itertools.islice(scan, _MOST_LOOKED_AT))
            names = [entry.name for entry in entries]
            if self._whole_reason(folder, names) == _RUN_FOLDERS:
                return True
            entries = [entry for entry in entries if not entry.name.startswith(".")]
            return bool(entries) and all(
                entry.is_dir(follow_symlinks=False)
                and self._whole_reason(Path(entry.path), os.listdir(entry.path)) == _RUN_FOLDERS
                for entry in entries
            )
        except OSError:
            return False

    def _nested(self, place: _Place) -> _Place:
        """A repository inside the folder has rules and tracked files of its own, as git sees it."""
        self.repositories += 1
        if self.repositories > _MOST_REPOSITORIES:
            raise refused(self.root, f"holds more than {_MOST_REPOSITORIES} git repositories")
        folder = self.root / place.name
        repository = self.git.looked_at(folder, whole=False)
        if repository is None or repository.top != folder:
            return place
        # of a submodule in an excluded folder all travels that its own rules let through
        only = place.tracked_only and place.name[:-1] not in self.submodules
        return _Place(place.name, self._adopted(place.name, repository), place.ours, only)

    def _looked_at(self, place: _Place, entry: os.DirEntry[str]) -> _Place | None:
        """Take one entry, leave it out or refuse it; a folder that is to be entered."""
        name = place.name + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        reason = self._left_out(place, entry, name, is_folder)
        if reason is not None:
            if reason == _IGNORED and is_folder and self._holds_runs(Path(entry.path)):
                reason = _RUN_FOLDERS
            self._leave_out(reason, name + "/" if is_folder else name)
            return None
        why = manifest.why_not(name + "/x" if is_folder else name)
        if why is not None:
            raise refused(self.root / name, why, f"rename it, or {_ADVICE}")
        if is_folder:
            path = os.fsencode(entry.path)
            only = place.tracked_only or (
                place.git.verdict(path, True) is True and place.ours.verdict(path, True) is not False
            )
            return _Place(f"{name}/", place.git, place.ours, only)
        if entry.is_symlink():
            self.raw_links[name] = os.readlink(entry.path)
        else:
            seen = entry.stat(follow_symlinks=False)
            kind = _KINDS.get(stat.S_IFMT(seen.st_mode))
            if kind is not None:
                raise refused(self.root / name, f"is a {kind}, which cannot travel")
            self.found.files[name] = seen
        return None

    def _leave_out(self, reason: str, name: str) -> None:
        self.found.left_out[reason] += 1
        names = self.found.left_out_names.setdefault(reason, [])
        if len(names) < MOST_LEFT_OUT_NAMES:
            names.append(_shown(name))

    def _left_out(self, place: _Place, entry: os.DirEntry[str], name: str, is_folder: bool) -> str | None:
        """Why an entry stays here, or ``None``."""
        if entry.name == ".git" or (is_folder and entry.name in _NEVER):
            return _NEVER[entry.name]
        if entry.path in self.elsewhere or (
            self.elsewhere and entry.is_symlink() and os.path.realpath(entry.path) in self.elsewhere
        ):
            return "given otherwise"
        path = os.fsencode(entry.path)
        ours = place.ours.verdict(path, is_folder)
        if ours is True:
            return _IGNORED
        tracked = name in (self.tracked_folders if is_folder else self.tracked)
        if ours is None and not tracked and (place.tracked_only or place.git.verdict(path, is_folder)):
            return _IGNORED
        return None

    # -- bounds --------------------------------------------------------------------------------------

    def _too_many(self, folder: str, here: int) -> BadInputError:
        entries = Counter({f"{folder}x": here})
        entries.update(self.found.files.keys())
        return BadInputError(
            f"{_shown(self.root)} holds more than {MOST_ENTRIES:,} files and folders, too many for code that travels "
            f"({self._largest(entries, 'files')}); {_TOO_LARGE}"
        )

    def _check_size(self) -> None:
        sizes = {name: seen.st_size for name, seen in self.found.files.items()}
        total, most = sum(sizes.values()), manifest.MOST_BYTES
        if total > most:
            raise BadInputError(
                f"{_shown(self.root)}: {size_text(total)} would travel, and at most {most >> 20} MiB may (the largest: "
                f"{self._largest(sizes, 'bytes')}); {_TOO_LARGE}"
            )
        number = len(sizes) + len(self.raw_links)
        if number > manifest.MOST_FILES:
            counts = dict.fromkeys([*sizes, *self.raw_links], 1)
            raise BadInputError(
                f"{_shown(self.root)}: {number:,} files would travel, and at most {manifest.MOST_FILES:,} may "
                f"(most: {self._largest(counts, 'files')}); {_TOO_LARGE}"
            )
        for name, size in sizes.items():
            if size > manifest.MOST_FILE_BYTES:
                raise BadInputError(
                    f"{_shown(self.root / name)} has {size_text(size)}, and a file that travels has at most "
                    f"{manifest.MOST_FILE_BYTES >> 20} MiB; {_TOO_LARGE}"
                )

    @staticmethod
    def _largest(amounts: Mapping[str, int], unit: str) -> str:
        """What has most, in words: where one has nearly all, that in it which has nearly all.

        Folders, and of bytes single files too; how many files lie in a folder itself is counted as one.
        """

        def parts(prefix: str) -> list[tuple[str, int]]:
            found: Counter[str] = Counter()
            for name, amount in amounts.items():
                if name.startswith(prefix):
                    head, slash, _ = name[len(prefix) :].partition("/")
                    found[prefix + (head + slash if slash or unit == "bytes" else "")] += amount
            return found.most_common()

        def has_nearly_all(listed: list[tuple[str, int]]) -> bool:
            return listed[0][1] >= _NEARLY_ALL * sum(amount for _, amount in listed)

        shown = parts("")
        while shown[0][0].endswith("/") and has_nearly_all(shown):
            inner = parts(shown[0][0])
            if not has_nearly_all(inner) or inner[0][0] == shown[0][0]:
                break
            shown = inner

        def said(name: str, amount: int) -> str:
            if unit == "bytes":
                return f"{_shown(name)} {size_text(amount)}"
            return f"{_shown(name) if name else 'at its top'} {count(amount, 'file')}"

        return ", ".join(said(name, amount) for name, amount in shown[:_NAMED])

    # -- links ---------------------------------------------------------------------------------------

    def _settle_links(self) -> None:
        """Keep links that lead to what travels, and leave out those to what does not.

        Raises:
            BadInputError: one leads out of the folder, in a circle, or to nothing.
        """
        links = dict(self.raw_links)
        for name, target in links.items():
            self._check_link(name, target)
        files = set(self.found.files)
        folders = manifest.folders_of([*files, *links])
        for name in list(links):
            if manifest.leads_to(name, links, files, folders) is None:
                # written from the top of the file system, or by way of a folder above: written anew
                end = os.path.realpath(self.root / name)
                links[name] = os.path.relpath(end, os.path.dirname(self.root / name))
        while True:  # what leads to a link that stays here stays here, too
            stay = [name for name in links if manifest.leads_to(name, links, files, folders) is None]
            if not stay:
                break
            for name in stay:
                del links[name]
                self._leave_out("links to what stays here", name)
            folders = manifest.folders_of([*files, *links])
        self.found.links = links

    def _check_link(self, name: str, target: str) -> None:
        try:
            target.encode()
            end = os.path.realpath(self.root / name, strict=True)
        except FileNotFoundError as error:
            raise refused(
                self.root / name,
                f"is a link to {_shown(target)}, which is not there",
                f"remove it, or {_ADVICE}",
            ) from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise refused(
                self.root / name, f"is a link to {_shown(target)}, which cannot be followed ({why})"
            ) from error
        if end != str(self.root) and not end.startswith(f"{self.root}/"):
            raise refused(
                self.root / name,
                f"is a link to {_shown(target)}, which leads out of the folder",
                f"name data under inputs, or {_ADVICE}",
            )


_KINDS = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def size_text(size: int) -> str:
    """Bytes for people."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _shown(path: Path | str) -> str:
    """A path in a message: one line of letters, however it is named."""
    text = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
    text = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
    return text if len(text) <= 300 else f"...{text[-300:]}"


def _says(path: Path, words: re.Pattern[bytes]) -> bool:
    """Whether a file's content, as far as it is looked at, has these words."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            size = os.fstat(descriptor).st_size
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            begin = stream.read(_OURS_BYTES)
            stream.seek(max(0, size - _OURS_BYTES))
            return words.search(begin + stream.read(_OURS_BYTES)) is not None
    except OSError:
        return False
