"""Cases of ends and signals: how a command ends, and what it hears of whoever sends it a signal."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Iterator, List, Tuple

from bench.own.cases import Case, Player
from bench.own.yard import SCRIPTS

STATUSES = (
    0,
    1,
    2,
    3,
    4,
    7,
    10,
    13,
    42,
    63,
    64,
    70,
    77,
    99,
    100,
    111,
    120,
    124,
    125,
    126,
    127,
    128,
    129,
    130,
)
MORE_STATUSES = (*STATUSES, 134, 137, 139, 141, 143, 150, 192, 200, 240, 254, 255)
#: Signals that no program can catch, and those that tell of a child.
_NOT_CAUGHT = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD)
#: Signals that by default stop a program, wake it or are ignored.
_HARMLESS = ("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGURG", "SIGWINCH")


def endings(quick: bool) -> Iterator[Tuple[str, Case]]:
    """Exit statuses, and signals that a command sends itself; with ``quick`` some."""
    for status in STATUSES[::4] if quick else MORE_STATUSES:
        yield f"exit status {status}", lambda player, s=status: player.play(["sh", "-c", f"exit {s}"])
    fatal = [n for n in _caught() if not _is(n, _HARMLESS)]
    if quick:
        fatal = fatal[::5]
    for number in (*fatal, signal.SIGKILL):
        yield (
            f"the command sends itself {name_of(number)}",
            lambda player, n=number: player.play(["sh", "-c", f"echo before; kill -{int(n)} $$; sleep 5"]),
        )
    absent = ["no-such-command"]
    yield "no such command", lambda player: _status_of(player, absent, 127)
    yield "not executable", lambda player: _status_of(player, [os.devnull], 126)


def _status_of(player: Player, words: List[str], status: int) -> Any:
    """The exit status of what cannot be executed; that of a shell where nothing comes before the command."""
    return player.play(words)["status"] if player.stack else status


def waiting() -> List[str]:
    """A command that says "ready" and waits."""
    return ["sh", "-c", "echo ready; exec sleep 20"]


def handling(number: int) -> List[str]:
    """A command that counts a signal."""
    return [sys.executable, str(SCRIPTS / "handler.py"), str(int(number))]


def signals(quick: bool) -> Iterator[Tuple[str, Case]]:
    """Signals that somebody sends; with ``quick`` some."""
    caught = _caught()
    if quick:
        caught = [
            n for n in caught if _is(n, ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGTSTP", "SIGCONT"))
        ]
    for number in caught:
        yield f"{name_of(number)} is handled", lambda player, n=number: player.after(handling(n), n)
        if not _is(number, _HARMLESS):
            yield f"{name_of(number)} is not handled", lambda player, n=number: player.after(waiting(), n)
    yield "SIGKILL leaves nothing behind", _killed
    yield (
        "an alarm set before",
        lambda player: player.play(["sleep", "20"], prepare=lambda: signal.alarm(3) and None),
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        yield (
            f"{name_of(number)} to the whole group",
            lambda player, n=number: player.after(handling(n), n, group=True),
        )
    yield "SIGTSTP stops, SIGCONT goes on", _stopped_and_continued
    yield "timeout ends it", lambda player: _timed(player, ["timeout", "1"])
    yield "timeout kills it", lambda player: _timed(player, ["timeout", "-s", "KILL", "1"])
    yield "nohup", lambda player: player.play(_dispositions(), around=["nohup"])
    yield "SIGHUP and SIGINT ignored", lambda player: player.play(_dispositions(), prepare=_ignore)
    yield "SIGUSR1 blocked", lambda player: player.play(_dispositions(), prepare=_block)
    yield "signals as usual", lambda player: player.play(_dispositions())


def _caught() -> List[int]:
    """Signals that a program may catch; of the real-time ones, which are all alike, the first and the last."""
    between = range(signal.SIGRTMIN + 1, signal.SIGRTMAX)
    return sorted(n for n in signal.valid_signals() if n not in _NOT_CAUGHT and n not in between)


def _dispositions() -> List[str]:
    return ["grep", "-E", "^Sig(Blk|Ign)|^ShdPnd", "/proc/self/status"]


def _ignore() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def _stopped_and_continued(player: Player) -> Any:
    """Whether the command itself stops, and goes on."""
    program = "import os,time; print('ready', flush=True); print(os.getpid(), flush=True); time.sleep(0.5)"
    with player.started([sys.executable, "-c", program]) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGTSTP)
        stopped = _becomes(pid, "T") and _becomes(child.pid, "T")
        os.kill(child.pid, signal.SIGCONT)
        went_on = _becomes(pid, "SRZ")
        return {"stopped": stopped, "went on": went_on, "status": child.wait(30)}


def _becomes(pid: int, states: str) -> bool:
    """Whether a process comes into one of these states within a second."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in states:
                return True
        except OSError:
            return "Z" in states
        time.sleep(0.01)
    return False


def _killed(player: Player) -> Any:
    """Whether a command ends with the process that was started."""
    seconds = f"100.{os.getpid()}"
    with player.started(["sh", "-c", f"echo ready; exec sleep {seconds}"]) as child:
        os.kill(child.pid, signal.SIGKILL)
        return {"status": child.wait(30), "left behind": not _gone(seconds)}


def _timed(player: Player, around: List[str]) -> Any:
    seconds = f"100.{os.getpid()}"  # tells this sleep from any other
    ended = player.play(["sleep", seconds], around=around)
    ended["left behind"] = not _gone(seconds)
    return ended


def _gone(word: str) -> bool:
    """Whether no process has this word any more, within a second; one that has is ended."""
    end = time.monotonic() + 1.0
    while True:
        found = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if _words(path)[:2] == [b"sleep", word.encode()]
        ]
        if not found or time.monotonic() > end:
            break
        time.sleep(0.02)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return not found


def _words(path: Path) -> List[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


def _is(number: int, names: Tuple[str, ...]) -> bool:
    return name_of(number) in names


def name_of(number: int) -> str:
    """A signal's name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {int(number)}"
