"""Debian packages of a bundle: some packages and all they need, as a repository of one folder.

``apt`` itself chooses, with state and sources of its own: as for a machine on which nothing is installed, so that no
host lacks anything. Which repositories there are is read from this machine's apt; it must be a Debian.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import IO

from stackyard.bundle import packages
from stackyard.counting import count
from stackyard.errors import NotRunnableError, StackyardError
from stackyard.stacks.installation import Progress

#: Suites that the roles know.
SUITES = ("bookworm", "trixie")
_SECONDS = 1800
_TARGETS = "$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)"
#: Of the index. Long ago: apt refuses an index from after now, and a host without internet may have a wrong clock.
_DATE = "Sat, 01 Jan 2000 00:00:00 UTC"
_LICENCE = re.compile(r"^License: *(\S.*?)\s*$", re.MULTILINE)


def made_from(suite: str, more: tuple[str, ...]) -> str:
    """Digest of what is asked for. What the repositories have now is not part of it: `--refresh` asks again."""
    return hashlib.sha256(f"{suite} {packages.of_debian(suite)} {sorted(more)}".encode()).hexdigest()


def fill(folder: Path, suite: str, more: tuple[str, ...], log: IO[str], say: Progress) -> None:
    """Put packages of a suite, all they need, and the index of them into a folder.

    Raises:
        NotRunnableError: this machine has no apt, or none of its repositories is Debian's.
        StackyardError: apt failed; the message is its own.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NotRunnableError(
                f"no {program} on this machine: packages of Debian are fetched on a Debian"
            )
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.with_name(folder.name + ".apt")
    shutil.rmtree(root, ignore_errors=True)
    try:
        for name in ("state/lists/partial", "cache/archives/partial", "etc"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        sources = _sources(suite)
        (root / "etc" / "sources.list").write_text(sources, encoding="utf-8")
        options = _options(root)
        say(f"asking for the packages of {suite}")
        _apt([*options, "update"], log, suite)
        wanted = sorted({*packages.of_debian(suite), *more})
        say(f"fetching {count(len(wanted), 'package')} of {suite} and all they need")
        install = [*options, "--yes", "--no-install-recommends", "--download-only", "install", *wanted]
        _apt(install, log, suite)
        for path in (root / "cache" / "archives").glob("*.deb"):
            # what apt writes as %3a is the colon of an epoch, which addresses of files do not like
            path.replace(folder / path.name.replace("%3a", "+"))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    say(f"writing the index of {suite}")
    _index(folder, suite)


def describe(folder: Path, path: str) -> tuple[str, str, str]:
    """Name, version and licences of a package; its copyright file says the licences, where it is of the new form."""
    if not path.endswith(".deb"):
        return path, "", "not stated"
    told = _fields(folder / path)
    return (
        told.get("Package", path),
        told.get("Version", ""),
        _licence(folder / path, told.get("Package", "")),
    )


def _sources(suite: str) -> str:
    """Debian's repositories of this machine, for another suite."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", _TARGETS, "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = set()
    for line in listed.stdout.splitlines():
        address, codename, component, origin = line.split("|")
        own, _dash, pocket = codename.partition("-")
        if origin == "Debian" and own in SUITES:
            # apt leaves the packages of a local mirror where they are, unless told to copy them
            address = re.sub(r"^file:", "copy:", address)
            lines.add(f"deb {address} {suite}{'-' + pocket if pocket else ''} {component}")
    if not lines:
        raise NotRunnableError(
            "this machine's apt knows no repository of Debian (`apt-get update` first); packages come from a Debian"
        )
    return "\n".join(sorted(lines)) + "\n"


def _options(root: Path) -> list[str]:
    told = {
        "Dir::State": root / "state",
        "Dir::State::status": root / "status",
        "Dir::State::lists": root / "state" / "lists",
        "Dir::Cache": root / "cache",
        "Dir::Etc::sourcelist": root / "etc" / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    return [word for name, value in told.items() for word in ("-o", f"{name}={value}")]


def _apt(words: list[str], log: IO[str], suite: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        ["apt-get", "--quiet=2", *words],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env=environment,
        check=False,
    )
    log.write(done.stdout + done.stderr)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise StackyardError(f"{suite}: apt-get {words[-1]} failed: {said[-1] if said else 'no word'}")


def _index(folder: Path, suite: str) -> None:
    """``Packages`` and ``Release`` of a repository of one folder."""
    entries = []
    for path in sorted(folder.glob("*.deb")):
        control = subprocess.run(
            ["dpkg-deb", "--field", str(path)], capture_output=True, text=True, timeout=60, check=True
        ).stdout.rstrip()
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        entries.append(f"{control}\nFilename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {sha256}\n")
    text = "\n".join(entries).encode()
    (folder / "Packages").write_bytes(text)
    (folder / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))
    lines = [
        "Origin: Stackyard\nLabel: Stackyard bundle",
        f"Suite: {suite}\nCodename: {suite}\nDate: {_DATE}\nArchitectures: amd64\nSHA256:",
    ]
    for name in ("Packages", "Packages.gz"):
        content = (folder / name).read_bytes()
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}")
    (folder / "Release").write_text("\n".join(lines) + "\n")


def _fields(path: Path) -> dict[str, str]:
    done = subprocess.run(
        ["dpkg-deb", "--field", str(path), "Package", "Version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def _licence(path: Path, name: str) -> str:
    """The licences that a package's copyright file names."""
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(path)], capture_output=True, timeout=120, check=False
    )
    shown = subprocess.run(
        ["tar", "--extract", "--to-stdout", f"./usr/share/doc/{name}/copyright"],
        input=unpacked.stdout,
        capture_output=True,
        timeout=60,
        check=False,
    )
    found = sorted(set(_LICENCE.findall(shown.stdout.decode("utf-8", "replace"))))
    return ", ".join(found)[:200] if found else f"see /usr/share/doc/{name}/copyright"
