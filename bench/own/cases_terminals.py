"""Cases at a terminal: keys, size, job control, what is typed."""

from __future__ import annotations

import signal
import sys
from typing import Callable, Iterator, List, Tuple

from bench.own.cases import Case, Terminal
from bench.own.cases_signals import handling, name_of, waiting
from bench.own.cases_surroundings import seen


def terminals() -> Iterator[Tuple[str, Case]]:
    """All of them."""
    for keys, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
        for job in (None, "front"):
            where = "" if job is None else " in a shell"
            yield (
                f"{name_of(number)} from the keyboard{where}",
                lambda player, k=keys, n=number, j=job: player.at_terminal(handling(n), _pressing(k), job=j),
            )
    yield "Ctrl-C, not handled", lambda player: player.at_terminal(waiting(), _pressing(b"\x03"))
    yield "Ctrl-Z and back", lambda player: player.at_terminal(_asking(), _ctrl_z, job="front")
    yield "reading in the background", lambda player: player.at_terminal(_asking(), _answer_later, job="back")
    yield "the terminal's size", lambda player: player.at_terminal(["stty", "size"], _nothing)
    yield "the window is resized", lambda player: player.at_terminal(handling(signal.SIGWINCH), _resize)
    yield "typed input", lambda player: player.at_terminal(_asking(), _answer)
    yield "end of typed input", lambda player: player.at_terminal(["cat"], lambda t: t.type(b"a line\n\x04"))
    yield "a terminal without echo", lambda player: player.at_terminal(["stty", "-a"], _nothing)
    yield "what a program at a terminal finds", lambda player: seen(player, player.probed(terminal=True))


def _asking() -> List[str]:
    return [sys.executable, "-c", "print('ready', flush=True); print('got', input()); raise SystemExit(3)"]


def _nothing(_terminal: Terminal) -> None:
    pass


def _pressing(keys: bytes) -> Callable[[Terminal], None]:
    def act(terminal: Terminal) -> None:
        terminal.wait_for(b"ready\r\n")
        terminal.type(keys)

    return act


def _ctrl_z(terminal: Terminal) -> None:
    terminal.wait_for(b"ready\r\n")
    terminal.type(b"\x1a")
    terminal.wait_for_event(f"stopped {int(signal.SIGTSTP)}")
    terminal.type(b"later\n")


def _answer(terminal: Terminal) -> None:
    terminal.wait_for(b"ready\r\n")
    terminal.type(b"at once\n")


def _answer_later(terminal: Terminal) -> None:
    terminal.wait_for_event(f"stopped {int(signal.SIGTTIN)}")
    terminal.type(b"in front\n")


def _resize(terminal: Terminal) -> None:
    terminal.wait_for(b"ready\r\n")
    terminal.resize(20, 60)
