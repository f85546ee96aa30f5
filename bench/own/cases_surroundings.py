"""Cases of what a command finds where it is started: environment, limits, masks, descriptors, words."""

from __future__ import annotations

import os
import resource
from typing import Any, Dict, Iterator, Tuple

from bench.own.cases import Case, Player
from bench.own.yard import SCRIPTS
from stackyard import stacks

#: Variables that a measured command may have more than others.
ADDED = ("STACKYARD_OUTPUTS", "STACKYARD_REPORT", "STACKYARD_HOOK")
#: And on a stack, beside those that its definition sets; PATH begins with the stack's programs then.
ADDED_BY_STACK = (*ADDED, "VIRTUAL_ENV")


def seen(player: Player, found: Dict[str, Any]) -> Dict[str, Any]:
    """What a probe found, without what is ours to add."""
    stack = player.stack
    variables: Dict[str, str] = found.get("environment", {})
    added = set(ADDED)
    if stack is not None and stack != "none":
        spec = stacks.load()[stack]
        added = {*ADDED_BY_STACK, *spec.environment, *spec.tunables}
        programs = os.path.join(variables.get("VIRTUAL_ENV", ""), "bin") + os.pathsep
        if variables.get("PATH", "").startswith(programs):
            variables["PATH"] = variables["PATH"][len(programs) :]
    if stack is not None:
        found["environment"] = {name: value for name, value in variables.items() if name not in added}
    return found


def surroundings() -> Iterator[Tuple[str, Case]]:
    """All of them."""
    yield "what a program finds", lambda player: seen(player, player.probed())
    for mask in (0o077, 0o002):
        yield (
            f"umask {mask:o}",
            lambda player, m=mask: seen(player, player.probed(prepare=lambda: os.umask(m) and None)),
        )
    yield "a working folder", lambda player: seen(player, player.probed(folder=SCRIPTS))
    yield "niced", lambda player: seen(player, player.probed(prepare=lambda: os.nice(7) and None))
    yield "limits", lambda player: seen(player, player.probed(prepare=_limit))
    yield "one core", lambda player: seen(player, player.probed(prepare=_one_core))
    yield "a few files", _files
    bare = {"PATH": os.environ.get("PATH", os.defpath), "TOLD": "ü\n", "EMPTY": ""}
    yield (
        "a small environment",
        lambda p: seen(p, p.probed(variables={**bare, "STACKYARD_HOME": str(p.yard.home)})),
    )
    yield "PYTHON variables", lambda p: seen(p, p.probed(variables=p.yard.variables(**_PYTHON)))
    words = [
        "",
        " ",
        "a b",
        "{braces}",
        "{{",
        "$HOME",
        "*",
        "--json",
        "--",
        "--vs",
        "-h",
        "--debug",
        "ü",
        "\n",
        "'\"",
    ]
    yield "words of every kind", lambda player: seen(player, player.probed(*words))
    yield "a long word", lambda player: seen(player, player.probed("x" * 100_000))


_PYTHON = {
    "PYTHONPATH": "/nonexistent",
    "PYTHONUNBUFFERED": "",
    "PYTHONHASHSEED": "1",
    "PYTHONWARNINGS": "error",
}


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 60_000_000))
    resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 4 << 20))


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _files(player: Player) -> Any:
    """Descriptors that are handed on to a command: a file, a pipe."""
    read, write = os.pipe()
    with open(os.devnull, "rb") as null:
        try:
            return seen(player, player.probed(files=[read, write, null.fileno()]))
        finally:
            os.close(read)
            os.close(write)
