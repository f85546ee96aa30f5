"""What git knows of a folder: what it tracks there, the commit, how the files differ from it.

Git is asked through its program, for a bounded time and a bounded answer, and nothing that a repository's own
configuration names is executed: no hook, monitor, filter, text conversion or external comparison, and no fetching of
what is missing. The user's configuration stays as it is. Where there is no git, or it does not answer, only that is
known which lies in plain files.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

#: For all questions about one folder together.
SECONDS = 30.0
#: Greatest difference that is kept, and greatest list of tracked files that is read.
DIFF_BYTES, LIST_BYTES = 4 << 20, 64 << 20
#: Filters of a repository's own that are put out of action; with more of them git is not asked.
_MOST_FILTERS = 100
_ALWAYS = (
    "core.fsmonitor=",
    f"core.hooksPath={os.devnull}",
    "core.quotePath=false",
    "core.pager=cat",
    "protocol.allow=never",
    "safe.directory=*",
    "submodule.recurse=false",
    "diff.ignoreSubmodules=dirty",
)
_PIECE_BYTES = 1 << 16
_SUBMODULE = b"160000"
_SUBMODULE_PATH = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Repository:
    """A folder that is a git repository, or lies in one."""

    #: The top of its work tree.
    top: Path
    #: Names below the folder that git tracks, with "/"; ``None``: git did not say.
    tracked: frozenset[str] | None = None
    #: Folders below it that are submodules.
    submodules: frozenset[str] = frozenset()
    #: Files with rules of what git ignores everywhere in it: the user's, then the repository's. Either may be missing.
    excludes: tuple[Path, ...] = ()
    commit: str | None = None
    #: How tracked files below the folder differ from the commit; ``None``: not known, or too much.
    diff: bytes | None = None
    #: Whether they differ by more than is kept.
    diff_cut: bool = False
    #: Sentences about what could not be had.
    notes: tuple[str, ...] = field(default=())


class Unanswered(Exception):
    """Git is not there, says no, or takes too long; the message is the end of a sentence."""


class Git:
    """Asks git, until ``SECONDS`` have passed since it was made."""

    def __init__(self, program: str = "git", seconds: float | None = None) -> None:
        self.program = program
        self._until = time.monotonic() + (SECONDS if seconds is None else seconds)

    def state(self, folder: Path) -> tuple[str | None, bool | None]:
        """The commit of the repository that ``folder`` lies in, and whether tracked files below it differ from it.

        ``None``: it lies in none, or git does not say.
        """
        if top_of(folder) is None:
            return None, None
        commit = None
        try:
            settings, _ = self._settings(folder)
            said, _ = self._asked(folder, settings, ["rev-parse", "--verify", "--quiet", "HEAD"], 1024)
            commit = said.decode("ascii", "replace").strip() or None
            command = [
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--ignore-submodules=dirty",
                "--",
                ".",
            ]
            return commit, bool(self._asked(folder, settings, command, LIST_BYTES)[0])
        except Unanswered:
            return commit, None

    def looked_at(self, folder: Path, *, whole: bool = True) -> Repository | None:
        """What git knows of ``folder``, an absolute path, or ``None`` where it lies in no repository.

        Args:
            folder: where to look.
            whole: whether commit and difference are wanted, too.
        """
        top = top_of(folder)
        if top is None:
            return None
        own = _info_exclude(top)
        try:
            settings, users = self._settings(folder)
            listed, cut = self._asked(folder, settings, ["ls-files", "-s", "-z"], LIST_BYTES)
            if cut:
                raise Unanswered("tracks too many files")
        except Unanswered as why:
            modules = frozenset(_submodule_paths(folder)) if folder == top else frozenset()
            note = f"what git tracks in {folder} is not known: git {why}"
            return Repository(top, submodules=modules, excludes=own, notes=(note,))
        tracked, submodules = _listed(listed)
        found = Repository(top, tracked, submodules, (*users, *own))
        return self._with_commit(found, folder, settings) if whole and tracked else found

    def _with_commit(self, found: Repository, folder: Path, settings: Sequence[str]) -> Repository:
        commit, diff, cut, notes = None, None, False, []
        try:
            said, _ = self._asked(folder, settings, ["rev-parse", "--verify", "--quiet", "HEAD"], 1024)
            commit = said.decode("ascii", "replace").strip()
            command = ["diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv"]
            command += ["--no-renames", "--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/"]
            diff, cut = self._asked(folder, settings, [*command, "--no-relative", "--", "."], DIFF_BYTES)
            if cut:
                diff = None
                notes.append(
                    f"how {folder} differs from commit {commit[:12]} is more than {DIFF_BYTES >> 20} MiB, "
                    "so it is not kept"
                )
        except Unanswered as why:
            if commit is not None:
                notes.append(f"how {folder} differs from commit {commit[:12]} is not known: git {why}")
        return replace(found, commit=commit or None, diff=diff, diff_cut=cut, notes=tuple(notes))

    def _settings(self, folder: Path) -> tuple[list[str], tuple[Path, ...]]:
        """Settings that put a repository's own filters out of action, and the user's file of ignore rules."""
        wanted = r"^(filter\..*\.(clean|smudge|process|required)|core\.excludesfile)$"
        command = ["config", "--show-scope", "-z", "--get-regexp", wanted]
        said, cut = self._asked(folder, (), command, LIST_BYTES, allowed=(0, 1))
        fields = said.decode("utf-8", "surrogateescape").split("\0")
        filters, excludes = set(), _usual_excludes()
        for scope, entry in zip(fields[::2], fields[1::2]):
            key, _, value = entry.partition("\n")
            if key == "core.excludesfile":
                excludes = Path(os.path.expanduser(value)) if scope in ("global", "system") else excludes
            elif scope not in (
                "global",
                "system",
            ):  # the user's own are theirs; what came with the files is not
                filters.add(key.rpartition(".")[0])
        if cut or len(filters) > _MOST_FILTERS or any("=" in name for name in filters):
            raise Unanswered("has filters that cannot be put out of action")
        off = [f"{name}.{key}=" for name in sorted(filters) for key in ("clean", "smudge", "process")]
        off += [f"{name}.required=false" for name in sorted(filters)]
        return off, (excludes,) if excludes is not None else ()

    def _asked(
        self,
        folder: Path,
        settings: Sequence[str],
        command: Sequence[str],
        most: int,
        allowed: Sequence[int] = (0,),
    ) -> tuple[bytes, bool]:
        """What git answers, and whether it was cut off at ``most`` bytes."""
        options = [option for setting in (*_ALWAYS, *settings) for option in ("-c", setting)]
        try:
            process = subprocess.Popen(
                [self.program, "-C", str(folder), "--no-pager", *options, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise Unanswered(f"cannot be called ({getattr(error, 'strerror', None) or error})") from error
        try:
            answer, cut = self._read(process, most)
            if not cut:
                process.wait(max(0.1, self._until - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise Unanswered(f"did not answer within {SECONDS:g} s") from error
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if not cut and process.returncode not in allowed:
            raise Unanswered(f"refuses ({command[0]} ended with {process.returncode})")
        return answer, cut

    def _read(self, process: subprocess.Popen[bytes], most: int) -> tuple[bytes, bool]:
        assert process.stdout is not None
        pieces: list[bytes] = []
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while size <= most:
                left = self._until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise subprocess.TimeoutExpired(process.args, SECONDS)
                piece = os.read(process.stdout.fileno(), _PIECE_BYTES)
                if not piece:
                    return b"".join(pieces), False
                pieces.append(piece)
                size += len(piece)
        return b"", True


def top_of(folder: Path) -> Path | None:
    """The work tree that ``folder`` lies in, seen from its ``.git``; ``None``: in none."""
    for place in (folder, *folder.parents):
        git = place / ".git"
        try:
            if git.is_file() or (git / "HEAD").exists() or (git / "HEAD").is_symlink():
                return place
        except OSError:
            continue
    return None


def _environment() -> dict[str, str]:
    """The user's environment without what leads git elsewhere or lets it ask."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_"))}
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }


def _listed(answer: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """Tracked names and submodules of ``git ls-files -s -z``."""
    tracked: set[str] = set()
    submodules: set[str] = set()
    for line in answer.split(b"\0"):
        about, _, name = line.partition(b"\t")
        if name:
            (submodules if about.startswith(_SUBMODULE) else tracked).add(os.fsdecode(name))
    return frozenset(tracked), frozenset(submodules)


def _usual_excludes() -> Path | None:
    """Where git looks for the user's own rules where nothing else is said."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home, "git", "ignore") if os.path.isabs(home) else None


def _info_exclude(top: Path) -> tuple[Path, ...]:
    """The repository's file of rules that is not shared; one of several work trees has the file of the first."""
    git = top / ".git"
    try:
        if git.is_file():
            said = _text(git).partition("gitdir:")[2].strip()
            git = top / said
            common = git / "commondir"
            git = git / _text(common).strip() if common.is_file() else git
        return (git / "info" / "exclude",)
    except (OSError, ValueError):
        return ()


def _submodule_paths(top: Path) -> list[str]:
    """Where ``.gitmodules`` says that submodules are."""
    try:
        file = top / ".gitmodules"
        return _SUBMODULE_PATH.findall(_text(file)) if file.is_file() else []
    except OSError:
        return []


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(1 << 18).decode("utf-8", "replace")
