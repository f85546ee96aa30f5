"""How a case is played: a command with nothing before it, or with ours, and what an onlooker sees of it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

from bench.own.yard import SCRIPTS, Yard, end_group
from bench.result import NotHere

#: Longest that anything waited for takes.
WAIT_SECONDS = 30.0
#: Texts longer than this are compared by their digest.
_SHOWN = 300


@dataclass
class Player:
    """Plays commands, with ours before them or not."""

    yard: Yard
    #: The stack that ours runs on; ``None``: nothing comes before the command.
    stack: Optional[str]

    def words(self, command: Sequence[str]) -> List[str]:
        """What is started."""
        if self.stack is None:
            return list(command)
        return [*self.yard.ours(self.yard.new("run"), stack=self.stack), *command]

    def play(self, command: Sequence[str], **how: Any) -> Dict[str, Any]:
        """How a command ends, and what it says on both its outputs; ``how``: as ``played`` takes it."""
        ended = self.played(command, **how)
        ended.pop("pid", None)
        return ended

    def played(
        self,
        command: Sequence[str],
        *,
        around: Sequence[str] = (),
        given: Optional[bytes] = None,
        stdin: Any = None,
        stdout: Any = subprocess.PIPE,
        prepare: Optional[Callable[[], Any]] = None,
        files: Sequence[int] = (),
        folder: Optional[Path] = None,
        variables: Optional[Dict[str, str]] = None,
    ) -> Dict[str, Any]:
        """How a command ends, what it says on both its outputs, and the process that was started.

        Args:
            command: its words.
            around: words of another program that starts it.
            given: what is written to its standard input.
            stdin: where that comes from otherwise; ``None``: nothing to read.
            stdout: where its output goes; ``None``: the descriptor is closed.
            prepare: called in the new process before it executes.
            files: descriptors that it inherits.
            folder: its working folder.
            variables: its environment.
        """

        def ready() -> None:
            os.setpgrp()
            if prepare is not None:
                prepare()

        child = subprocess.Popen(
            [*around, *self.words(command)],
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            preexec_fn=ready,
            pass_fds=list(files),
            cwd=str(folder or self.yard.folder),
            env=variables if variables is not None else self.yard.variables(),
        )
        try:
            out, err = child.communicate(given, timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            end_group(child)
            return {"status": "it hangs"}
        err = self.without_summary(err)
        return {"status": child.returncode, "out": brief(out), "err": brief(err), "pid": child.pid}

    def without_summary(self, said: bytes) -> bytes:
        """What stays of an error output when our own lines at its end are taken away."""
        lines = said.splitlines(keepends=True)
        while self.stack is not None and lines and lines[-1].startswith(b"stackyard: "):
            lines.pop()
        return b"".join(lines)

    @contextlib.contextmanager
    def started(self, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A command in a group of its own, once it has said "ready"; whatever is left of it at the end is ended."""
        child = subprocess.Popen(
            self.words(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=os.setpgrp,
            cwd=str(self.yard.folder),
            env=self.yard.variables(),
        )
        try:
            assert child.stdout is not None
            if child.stdout.readline().strip() != b"ready":
                raise NotHere(f"{command[0]} does not start")
            yield child
        finally:
            end_group(child)
            assert child.stdout is not None
            child.stdout.close()

    def after(self, command: Sequence[str], *numbers: int, group: bool = False) -> Dict[str, Any]:
        """How a command ends that says "ready" and is then sent signals: it alone, or its group."""
        with self.started(command) as child:
            for number in numbers:
                (os.killpg if group else os.kill)(child.pid, number)
            try:
                out, _ = child.communicate(timeout=WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                return {"status": "it hangs"}
            return {"status": child.returncode, "out": brief(out)}

    def at_terminal(
        self, command: Sequence[str], act: Callable[[Terminal], None], **how: Any
    ) -> Dict[str, Any]:
        """How a command ends at a terminal, and what is seen there; ``how``: as ``shown`` takes it."""
        ended = self.shown(command, act, **how)
        ended.pop("pid", None)
        return ended

    def shown(
        self,
        command: Sequence[str],
        act: Callable[[Terminal], None],
        *,
        job: Optional[str] = None,
        size: Sequence[int] = (37, 91),
    ) -> Dict[str, Any]:
        """How a command ends at a terminal, what is seen there, and the process that was started.

        Args:
            command: its words.
            act: what somebody does at the terminal.
            job: "front" or "back": a shell with job control starts it there; ``None``: it leads the session itself.
            size: lines and columns.
        """
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        events = self.yard.new("events")
        leader = [] if job is None else [sys.executable, str(SCRIPTS / "leader.py"), str(events), job]

        def lead() -> None:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        child = subprocess.Popen(
            [*leader, *self.words(command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=lead,
            cwd=str(self.yard.folder),
            env=self.yard.variables(),
        )
        os.close(theirs)
        terminal = Terminal(ours, child, events)
        try:
            act(terminal)
            terminal.read_to_end()
            status: Any = child.wait(WAIT_SECONDS)
        except (TimeoutError, subprocess.TimeoutExpired):
            status = "it hangs"
        finally:
            end_group(child)
            terminal.end_job()
            os.close(ours)
        # ours goes on where the command left the line
        seen = b"".join(line.partition(b"stackyard: ")[0] for line in terminal.seen.splitlines(keepends=True))
        told = events.read_text(encoding="utf-8") if events.exists() else ""
        return {"status": status, "seen": brief(seen), "job": told, "pid": child.pid}

    def probed(self, *further: str, terminal: bool = False, **how: Any) -> Dict[str, Any]:
        """What the probe finds where it is started; whether its group and session are those of what was started."""
        file = self.yard.new("probe")
        command = [sys.executable, str(SCRIPTS / "probe.py"), str(file), *further]
        ended = self.shown(command, lambda _: None) if terminal else self.played(command, **how)
        pid = ended.pop("pid", None)
        found: Dict[str, Any] = {"ended": ended}
        if file.exists():
            found.update(json.loads(file.read_text(encoding="utf-8")))
            found["group"], found["session"] = found["group"] == pid, found["session"] == pid
        return found


@dataclass
class Terminal:
    """The other end of a terminal."""

    descriptor: int
    child: subprocess.Popen[bytes]
    events: Path
    seen: bytes = b""

    def type(self, text: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, text)

    def resize(self, lines: int, columns: int) -> None:
        """Pull at the window."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: bytes) -> None:
        """Until it is shown."""
        end = time.monotonic() + WAIT_SECONDS
        while text not in self.seen:
            if not self._read(end):
                raise TimeoutError("it has ended")

    def wait_for_event(self, text: str) -> None:
        """Until the shell tells of it."""
        end = time.monotonic() + WAIT_SECONDS
        while not self.events.exists() or text not in self.events.read_text(encoding="utf-8"):
            if time.monotonic() > end:
                raise TimeoutError(text)
            time.sleep(0.01)

    def read_to_end(self) -> None:
        """Until nothing has the terminal any more."""
        end = time.monotonic() + WAIT_SECONDS
        with contextlib.suppress(OSError):
            while self._read(end):
                pass

    def end_job(self) -> None:
        """End what a shell with job control has left: the terminal's foreground group."""
        with contextlib.suppress(OSError):
            group = os.tcgetpgrp(self.descriptor)
            if group > 0 and group != os.getpgrp():
                os.killpg(group, signal.SIGKILL)

    def _read(self, end: float) -> bool:
        if not select.select([self.descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError("nothing to read")
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:  # the last process has left
            return False
        self.seen += piece
        return bool(piece)


def brief(said: Optional[bytes]) -> Any:
    """A text, or its length and digest where it is long."""
    if said is None:
        return None
    if len(said) > _SHOWN:
        return [len(said), hashlib.sha256(said).hexdigest()[:16]]
    return said.decode("utf-8", "backslashreplace")


#: Plays a command and answers what an onlooker sees.
Case = Callable[[Player], Any]
