"""The requirements.txt of a task's repository, before the repository is cloned: that one file, fetched by git.

In a container the clone is made when the image is chosen already. The script's folder and those above it are looked
at, as on the host. Git runs with a time limit, asks nobody for a login, and reaches servers only.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from stackyard import git_words
from stackyard.errors import AwayError, BadInputError, NotRunnableError, StackyardError
from stackyard_task.wishes import Repository, Wish

NAME = "requirements.txt"
SECONDS = 90.0
MOST_BYTES = 1 << 20
#: Ways to a repository; a path of this machine is none, for the container has other files.
PROTOCOLS = "https:http:ssh:git"
#: Of the agent's configuration, for a login: in the environment, so that no command line shows it.
USER_VARIABLE, PASSWORD_VARIABLE, HOST_VARIABLE = (
    "STACKYARD_GIT_USER",
    "STACKYARD_GIT_PASS",
    "STACKYARD_GIT_HOST",
)
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@-]{0,200}")
_LOGIN = re.compile(r"://[^/\s@]*@")
_MOST_SAID = 200


def read(wish: Wish, say: Callable[[str], None], protocols: str = PROTOCOLS) -> Wish:
    """The wish with the lines of its repository's requirements.txt, or with none where there is no such file.

    Args:
        wish: names a repository.
        say: called with one line whenever there is something new to show.
        protocols: as git's GIT_ALLOW_PROTOCOL has them.

    Raises:
        BadInputError: the address, commit or branch is no such thing, the repository has it not, or asks for a login.
        AwayError: the repository cannot be reached.
        NotRunnableError: git is not here, or fails otherwise.
    """
    of = wish.repository
    if of is None:
        return wish
    _check(of)
    say(f"looking for {NAME} in {_LOGIN.sub('://', of.address)[:_MOST_SAID]}")
    with tempfile.TemporaryDirectory(prefix="stackyard-git-") as folder:
        git = _Git(folder, of, protocols)
        git.fetch()
        text = git.file()
    return replace(wish, requirements=text, requirements_from=f"the repository's {NAME}", repository=None)


def _check(of: Repository) -> None:
    if of.address.startswith("-") or re.search(r"[\x00-\x20\x7f]", of.address) or "::" in of.address:
        raise BadInputError(
            f"the task's repository {of.address[:_MOST_SAID]!r} is no address that git can be given"
        )
    if of.commit and not _COMMIT.fullmatch(of.commit):
        raise BadInputError(f"the task's commit {of.commit[:80]!r} is none")
    for name in (of.branch, of.tag):
        if name and (not _REF.fullmatch(name) or ".." in name):
            raise BadInputError(f"the task's branch or tag {name[:80]!r} is no name that git can be given")


class _Git:
    """Git in an empty repository of its own.

    Args:
        folder: where.
        of: what is fetched.
        protocols: allowed ways.
    """

    def __init__(self, folder: str, of: Repository, protocols: str) -> None:
        self._folder, self._of = folder, of
        self._until = time.monotonic() + SECONDS
        self._environment = _environment(of.address, protocols)
        self._shown = _LOGIN.sub("://", of.address)[:_MOST_SAID]

    def fetch(self) -> None:
        """Have the commit, or the head of the branch, without its history and as far as possible without its files."""
        self._done("init", "--quiet", "--bare", ".")
        of = self._of
        ref = f"refs/tags/{of.tag}" if of.tag else _branch(of.branch) if of.branch else "HEAD"
        wanted = of.commit if len(of.commit) in (40, 64) else ref
        if of.commit and wanted == ref:
            self._fetched(ref, whole=True)  # a shortened commit can be told among others only
        elif not self._fetched(wanted, must=not of.commit):
            self._fetched(ref, whole=True)  # a server that gives no commit by its name
        self._at = of.commit or "FETCH_HEAD"
        if self._run("cat-file", "-e", f"{self._at}^{{commit}}").returncode != 0:
            raise BadInputError(f"the repository {self._shown} has no commit {of.commit} (any more)")

    def file(self) -> str | None:
        """The file's text: beside the script, else above it; ``None``: there is none, or it says nothing."""
        folder = PurePosixPath("/", self._of.folder)
        places = [] if ".." in folder.parts else [folder, *folder.parents]
        for place in places or [PurePosixPath("/")]:
            path = str(place / NAME).lstrip("/")
            listed = self._done("ls-tree", "--", self._at, path).decode("utf-8", "replace").split()
            held: bytes | None = None
            if len(listed) >= 3 and listed[1] == "blob" and listed[0] != "120000":
                if int(self._done("cat-file", "-s", listed[2])) > MOST_BYTES:
                    raise BadInputError(f"{path} of {self._shown} has more than {MOST_BYTES >> 20} MiB")
                held = self._done("cat-file", "blob", listed[2])
            if self._of.changes:
                held = self._changed(path, held)
            if held is None:
                continue
            text = held.decode("utf-8", "replace")
            said = any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
            return text if said else None
        return None

    def _changed(self, path: str, held: bytes | None) -> bytes | None:
        """A file with the task's uncommitted changes of it; ``None``: there is none before, or none after."""
        with tempfile.TemporaryDirectory(prefix="changed-", dir=self._folder) as place:
            file = Path(place, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            if held is not None:
                file.write_bytes(held)
            words = ("apply", "--unidiff-zero", "--whitespace=nowarn", f"--include={path}", "-")
            done = self._run(*words, folder=place, given=self._of.changes.encode("utf-8", "surrogateescape"))
            if done.returncode != 0:
                said = git_words.last(done.stderr.decode("utf-8", "replace").splitlines())
                raise BadInputError(
                    f"the task's uncommitted changes cannot be applied to {path} of its commit"
                    f"{f' (git: {said})' if said else ''}; clear or correct them"
                )
            if file.is_symlink() or not file.is_file():
                return None
            if file.stat().st_size > MOST_BYTES:
                raise BadInputError(
                    f"{path} of {self._shown}, as changed, has more than {MOST_BYTES >> 20} MiB"
                )
            return file.read_bytes()

    def _fetched(self, ref: str, whole: bool = False, must: bool = True) -> bool:
        words = ["fetch", "--quiet", "--no-tags", "--filter=blob:none"]
        words += [] if whole else ["--depth=1"]
        refs = [ref, "+refs/heads/*:refs/heads/*"] if whole else [ref]
        self._run("config", "remote.origin.url", self._of.address)
        self._run("config", "remote.origin.promisor", "true")
        done = self._run(*words, "origin", *refs)
        if done.returncode != 0 and must:
            raise self._refused(done.stderr.decode("utf-8", "replace"), ref)
        return done.returncode == 0

    def _refused(self, said: str, ref: str) -> StackyardError:
        lines = said.splitlines()
        what = f"commit {self._of.commit}" if self._of.commit else _in_words(ref)
        known = git_words.failure(lines, self._of.address, what)
        if known is not None:
            kind = AwayError if known.kind == "infrastructure" else BadInputError
            return kind(known.message)
        reason = git_words.last(lines) or "git gives no reason"
        if "not allowed" in said:
            return BadInputError(
                f"the repository {self._shown} lies where containers cannot reach it ({reason})"
            )
        return NotRunnableError(f"the repository {self._shown} cannot be fetched ({reason})")

    def _done(self, *words: str) -> bytes:
        done = self._run(*words)
        if done.returncode != 0:
            raise self._refused(done.stderr.decode("utf-8", "replace"), words[-1])
        return done.stdout

    def _run(
        self, *words: str, folder: str | None = None, given: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        left = self._until - time.monotonic()
        late = AwayError(f"the repository {self._shown} did not give its {NAME} within {SECONDS:.0f} s")
        if left <= 0:
            raise late
        try:
            return subprocess.run(
                ["git", "-C", folder or self._folder, *words],
                env={**self._environment, **({"GIT_CEILING_DIRECTORIES": self._folder} if folder else {})},
                input=given or b"",
                capture_output=True,
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise late from None
        except OSError as error:
            raise NotRunnableError(
                f"git is needed to read the {NAME} of a repository ({error.strerror})"
            ) from error


def _branch(name: str) -> str:
    """A branch as a server knows it: ClearML notes "origin/main" at times."""
    return f"refs/heads/{name.removeprefix('origin/')}"


def _in_words(ref: str) -> str:
    """A ref as people call it: "branch main"."""
    for prefix, noun in (("refs/heads/", "branch"), ("refs/tags/", "tag")):
        if ref.startswith(prefix):
            return f"{noun} {ref.removeprefix(prefix)}"
    return ref


def _environment(address: str, protocols: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_ASKPASS": "true",
        "LC_ALL": "C",
    }
    settings = {"credential.helper": "", "core.hooksPath": "/dev/null", "protocol.version": "2"}
    host = kept.pop(HOST_VARIABLE, "")
    where = urlsplit(address)
    if where.scheme in ("https", "http") and USER_VARIABLE in kept and host in ("", where.hostname):
        helper = f'!f() {{ echo "username=${USER_VARIABLE}"; echo "password=${PASSWORD_VARIABLE}"; }}; f'
        settings[f"credential.{where.scheme}://{where.netloc.rpartition('@')[2]}.helper"] = helper
    for number, (key, value) in enumerate(settings.items()):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**kept, "GIT_CONFIG_COUNT": str(len(settings))}
