"""Where a stack's torch comes from, and which build it is, told before anything large is downloaded.

Asks pip's own finder, in the stack's Python, one source after another; downloads nothing but index pages and
metadata. Installs nothing: that is ``environment``.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.errors import NotRunnableError
from stackyard.stacks.definition import LOCK_FILE, StackSpec, canonical, read_lock
from stackyard.stacks.process import clean_environment
from stackyard_task.records import RecordError, from_json, parse

#: How long an index may take for one answer, and for all of them.
ANSWER_SECONDS = 6
PROBE_SECONDS = 30

_SCRIPT = Path(__file__).parent / "inside" / "find.py"


class NoSourceError(NotRunnableError):
    """No source that can be reached from here has the build."""


@dataclass(frozen=True)
class Source:
    """A file that is the wanted build, and where it is."""

    #: The entry of ``indexes`` it came from: "wheels", "default" or an address.
    index: str
    #: The local wheel folder, for "wheels".
    folder: Path | None
    url: str
    filename: str
    version: str
    #: "cpu", "12.4", or "12" where only the major version can be told.
    build: str
    bytes: int | None


def choose(
    stack: StackSpec, python: Path, wheels: Path | None, say: Callable[[str], None] = lambda text: None
) -> Source:
    """The first source of ``stack`` that answers and holds the wanted build of torch.

    Args:
        stack: the stack; its ``indexes`` are tried in their order.
        python: an interpreter of the stack's version that has pip.
        wheels: a local folder of wheels; ``None``: there is none.
        say: called with one line for every source that was passed over, and why.

    Raises:
        NoSourceError: no source has it; the message gives the reason for each.
    """
    refusals = []
    for index in stack.indexes:
        found = probe(stack, index, python, wheels)
        if isinstance(found, Source):
            return found
        if found is not None:
            refusals.append(found)
            say(f"passed over: {found}")
    if len(refusals) == 1:
        raise NoSourceError(refusals[0])
    raise NoSourceError(
        f"torch {stack.torch} for {build_name(stack.cuda)} was found nowhere: "
        + ("; ".join(refusals) or "the stack's only source is a wheel folder; give it with --wheels")
    )


def probe(stack: StackSpec, index: str, python: Path, wheels: Path | None) -> Source | str | None:
    """What one source offers: the wanted build, the reason why not, or ``None`` for no wheel folder given."""
    if stack.cuda is None:
        return f"{stack.name} has no torch"
    if index == "wheels" and wheels is None:
        return None
    place = {"wheels": f"wheel folder {wheels}", "default": "pip's default index"}.get(
        index, without_login(index)
    )
    asked = {
        "requirement": f"torch=={stack.torch}",
        "kind": index if index in ("wheels", "default") else "url",
        "location": str(wheels.absolute()) if index == "wheels" and wheels else index,
        "timeout_seconds": ANSWER_SECONDS,
    }
    answer = _ask(python, asked)
    if "url" not in answer:
        return f"{place}: {_why_absent(answer, stack)}"
    build = build_of(answer["version"], answer["filename"], answer["requires"])
    pinned = next(p for p in read_lock(stack.folder / LOCK_FILE) if canonical(p.name) == "torch")
    known = answer["hash"] in pinned.hashes if pinned.hashes and answer["hash"] else None
    if known is False:
        return f"{place}: {answer['filename']} there is not the file of the lock (its hash); not downloaded"
    if build is None and known:
        build = stack.cuda
    if build is None:
        return (
            f"{place}: which build {answer['filename']} is cannot be told before downloading it; "
            "download it yourself and give its folder with --wheels"
        )
    if not same_build(build, stack.cuda):
        size = f", {answer['bytes'] / 1e6:,.0f} MB" if answer["bytes"] else ""
        return (
            f"{place}: torch {answer['version']} there is the {build_name(build)} build{size}, "
            f"{build_name(stack.cuda)} is wanted; not downloaded"
        )
    return Source(
        index=index,
        folder=wheels if index == "wheels" else None,
        url=answer["url"],
        filename=answer["filename"],
        version=answer["version"],
        build=build,
        bytes=answer["bytes"],
    )


def options(places: Sequence[str]) -> list[str]:
    """pip's options for looking at ``places``: "default" (what pip is set up for), or an address that stands for it,
    then further addresses.
    """
    first, *more = [place for place in places if place != "wheels"] or ["default"]
    found = [] if first == "default" else ["--index-url", first]
    return found + [word for address in more for word in ("--extra-index-url", address)]


def build_of(version: str, filename: str, requires: Sequence[str] | None) -> str | None:
    """The CUDA version a torch wheel is built for: "cpu", "12.4", "12", or ``None`` if it cannot be told.

    Args:
        version: its version; a local tag such as "+cu118" decides.
        filename: its file name.
        requires: its requirements; ``None``: not known. Since 1.13 builds for CUDA require NVIDIA's packages.
    """
    local = version.partition("+")[2]
    tagged = re.match(r"cu(\d+)(\d)(\.|$)", local)
    if tagged:
        return f"{tagged[1]}.{tagged[2]}"
    if local:
        return local.partition(".")[0]
    if requires is None:
        return None
    needed = [line for line in requires if "extra ==" not in line]
    for line in needed:
        runtime = re.match(r"(?:nvidia-cuda-runtime(?:-cu\d+)?|cuda-toolkit)\b[^;]*?==\s*(\d+\.\d+)", line)
        if runtime:
            return runtime[1]
    for line in needed:
        library = re.match(r"nvidia-[a-z0-9-]+-cu(\d+)", line)
        if library:
            return library[1]
    old = re.match(r"1\.(\d+)", version)
    if old and int(old[1]) < 13 and "linux" in filename and "x86_64" in filename:
        return "10.2"  # these carried CUDA 10.2 inside the wheel
    return "cpu"


def same_build(seen: str, wanted: str) -> bool:
    """Whether what was seen ("12.4", or only "12") is what is wanted ("12.4")."""
    return seen == wanted or ("." not in seen and seen == wanted.partition(".")[0])


def build_name(cuda: str | None) -> str:
    """ "CPU" or "CUDA 12.4", as people say it; "-" for a stack without torch."""
    if cuda is None:
        return "-"
    return "CPU" if cuda == "cpu" else f"CUDA {cuda}" if cuda[0].isdigit() else cuda


def without_login(address: str) -> str:
    """An address without the user name and password it may carry."""
    return re.sub(r"//[^/@]*@", "//", address)


def _ask(python: Path, asked: dict[str, object]) -> dict[str, Any]:
    command = [str(python), str(_SCRIPT), json.dumps(asked)]
    try:
        finished = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"unreachable (no answer within {PROBE_SECONDS} s)"}
    lines = finished.stdout.strip().splitlines()
    try:
        if finished.returncode != 0 or not lines:
            return _crashed(finished.stderr)
        return from_json(dict[str, Any], parse(lines[-1], _SCRIPT.name), _SCRIPT.name)
    except RecordError:
        return _crashed(finished.stderr)


def _crashed(stderr: str) -> dict[str, str]:
    last = (stderr.strip().splitlines() or ["no output"])[-1]
    return {"error": f"could not be asked ({without_login(last)[:200]})"}


def _why_absent(answer: dict, stack: StackSpec) -> str:
    if answer["error"] != "absent":
        return str(answer["error"])
    others = answer.get("other_versions", 0)
    complaints = [without_login(line) for line in answer.get("complaints", []) if ": 404 " not in line]
    if complaints and not others:
        return f"index unreachable ({short(complaints[0])})"
    which = f", only {others} other files of torch" if others else ""
    return f"holds no torch {stack.torch} for Python {stack.python}{which}"


def short(complaint: str) -> str:
    """The reason at the heart of pip's complaint."""
    for known, said in (
        ("Name or service not known", "its name does not resolve"),
        ("Temporary failure in name resolution", "its name does not resolve"),
        ("resolve", "its name does not resolve"),
        ("timed out", f"no answer within {ANSWER_SECONDS} s"),
        ("refused", "connection refused"),
        ("ertificate", "its certificate is not trusted"),
    ):
        if known in complaint:
            return said
    reason = complaint.partition(": ")[2].removesuffix(" - skipping")
    return without_login(reason or complaint)[:160]
