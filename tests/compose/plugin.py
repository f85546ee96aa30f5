"""Compose v2 for the check: the machine's own, else Debian's package unpacked below .stackyard/tests.

The package's newest Debian release is asked for where this machine already gets its packages from; nothing is
installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

HOME = Path(__file__).resolve().parents[2] / ".stackyard" / "tests" / "compose"
#: The Debian release whose docker-compose is version 2 (bookworm's is 1.29 and refuses modern files).
RELEASE = "trixie"
PACKAGE = "docker-compose"


class MissingError(Exception):
    """Compose v2 or an engine cannot be had here; the message says why."""


def environment() -> dict[str, str]:
    """The environment in which ``docker compose`` is version 2 and an engine answers.

    Raises:
        MissingError: it cannot be had.
    """
    if shutil.which("docker") is None:
        raise MissingError("the docker command is missing")
    here = dict(os.environ)
    if _run(["docker", "info", "--format", "{{.ServerVersion}}"], here) is None:
        raise MissingError("no Docker Engine answers")
    if _version(here) is None:
        home = HOME
        if not (home / "cli-plugins" / "docker-compose").exists():
            _fetch(home)
        here["DOCKER_CONFIG"] = str(home)
    version = _version(here)
    if version is None:
        raise MissingError("`docker compose` does not answer, and the fetched one does not either")
    return here


def _version(variables: dict[str, str]) -> str | None:
    said = _run(["docker", "compose", "version", "--short"], variables)
    return said if said and re.match(r"v?[2-9]\.", said) else None


def _run(command: list[str], variables: dict[str, str]) -> str | None:
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _fetch(home: Path) -> None:
    """Debian's package, unpacked; only what is needed of it stays."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise MissingError("`docker compose` is not version 2, and this is no Debian machine to get it from")
    source = debian_source()
    work = home / "fetching"
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "unpacked"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(source, encoding="utf-8")
    options = [
        *("-o", f"Dir::Etc::sourcelist={work / 'sources.list'}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={work / 'lists'}", "-o", f"Dir::Cache={work / 'cache'}"),
        *("-o", "APT::Sandbox::User=root", "-qq"),
    ]
    try:
        for command in (["update"], ["download", PACKAGE]):
            done = subprocess.run(
                ["apt-get", *options, *command], cwd=work, capture_output=True, text=True, check=False
            )
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise MissingError(f"Compose v2 cannot be fetched: apt-get {command[0]}: {said}")
        package = next(work.glob(f"{PACKAGE}_*.deb"))
        subprocess.run(["dpkg", "-x", package.name, "unpacked"], cwd=work, check=True)
        program = work / "unpacked" / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
        (home / "cli-plugins").mkdir(parents=True, exist_ok=True)
        # A name of its own first: another check may look for it this moment.
        draft = home / "cli-plugins" / f".docker-compose.{os.getpid()}"
        shutil.copy2(program, draft)
        draft.replace(home / "cli-plugins" / "docker-compose")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def debian_source(folder: Path = Path("/etc/apt")) -> str:
    """A sources line for ``RELEASE``, from the first Debian source of this machine.

    Raises:
        MissingError: it has none.
    """
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        for stanza in path.read_text(encoding="utf-8").split("\n\n"):
            fields = dict(re.findall(r"^(\w[\w-]*): *(.+)$", stanza, re.MULTILINE))
            suites = fields.get("Suites", "").split()
            if "main" in fields.get("Components", "").split() and any(
                f"{s}-updates" in suites for s in suites
            ):
                signed = f"[signed-by={fields['Signed-By']}] " if "Signed-By" in fields else ""
                return f"deb {signed}{fields['URIs'].split()[0]} {RELEASE} main\n"
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                found = re.match(r"deb +(\[[^\]]*\] +)?(\S+/debian/?) +\w+ +.*\bmain\b", line)
                if found:
                    return f"deb {found[1] or ''}{found[2]} {RELEASE} main\n"
    raise MissingError("no Debian source of packages is known to this machine's apt")
