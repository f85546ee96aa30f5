"""What a command, and whoever started it, can tell of ours being between them: each case without us and with us.

A case is a short function that plays a command and answers what an onlooker sees. Where the answers differ, the case
counts. Two things are ours to add, and are taken away before: lines on stderr that begin with "stackyard: ", after the
command's own; and the variables in ADDED.
"""

from __future__ import annotations

import signal
from typing import Any, Dict, Iterator, Tuple

from bench.own.cases import Case, Player
from bench.own.cases_files import inputs, outputs
from bench.own.cases_signals import endings, signals, waiting
from bench.own.cases_surroundings import seen, surroundings
from bench.own.cases_terminals import terminals
from bench.own.yard import STACK, Yard
from bench.result import NotHere, Result

FIGURES = ("exit_signal_stdio_changed", "exit_signal_stdio_cases")

#: What is known to differ, and is no case.
NOT_COUNTED = (
    "a SIGPIPE or SIGXFSZ that whoever starts the command ignores has its usual meaning for the command: Python sets "
    "both before any code of ours runs, and cannot say what they were",
    "words of a command that are not UTF-8 are refused: a record cannot hold them",
    "a command whose children outlive it ends when they do, or 2 s after they fell idle: their use is measured too",
    "a SIGSTOP or SIGCHLD that is sent to our process does not reach the command: nobody can pass on the first",
)


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Play every case, count and name those that differ."""
    cases = [(name, case, None) for name, case in every(quick)]
    try:
        yard.stack_python()
    except NotHere as reason:
        result.row(part="unchanged", stack=STACK, not_measured=str(reason))
    else:
        cases += [(f"{name}, on a stack", case, STACK) for name, case in on_a_stack()]
    changed = 0
    for name, case, stack in cases:
        bare = case(Player(yard, None))
        ours = case(Player(yard, stack or "none"))
        if bare != ours:
            changed += 1
            print(f"  changed: {name}", flush=True)
            result.row(part="unchanged", case=name, **_difference(bare, ours))
    result.figure("exit_signal_stdio_changed", changed)
    result.figure("exit_signal_stdio_cases", len(cases))
    result.row(part="unchanged", cases=[name for name, _, _ in cases])
    for known in NOT_COUNTED:
        result.row(part="unchanged", not_counted=known)


def _difference(bare: Any, ours: Any) -> Dict[str, Any]:
    if isinstance(bare, dict) and isinstance(ours, dict):
        keys = [key for key in {**bare, **ours} if bare.get(key) != ours.get(key)]
        return {"bare": {key: bare.get(key) for key in keys}, "ours": {key: ours.get(key) for key in keys}}
    return {"bare": bare, "ours": ours}


def every(quick: bool) -> Iterator[Tuple[str, Case]]:
    """Name and case, all of them; with ``quick`` some."""
    yield from endings(quick)
    yield from signals(quick)
    yield from terminals()
    yield from inputs()
    yield from outputs(quick)
    yield from surroundings()


def on_a_stack() -> Iterator[Tuple[str, Case]]:
    """Those that a stack might change."""
    yield "surroundings", lambda player: seen(player, player.probed())
    yield "exit status 3", lambda player: player.play(["sh", "-c", "exit 3"])
    yield "SIGTERM", lambda player: player.after(waiting(), signal.SIGTERM)
    yield "standard input", lambda player: player.play(["cat"], given=b"given\n")
