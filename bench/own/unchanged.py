"""What a command, and whoever started it, can tell of ours being between them: each case without us and with us.

A case is a short function that plays a command and answers what an onlooker sees. Where the answers differ, the case
counts. Two things are ours to add, and are taken away before: lines on stderr that begin with "stackyard: ", after the
command's own; and the variables in ADDED.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from bench.own.cases import Player, Terminal
from bench.own.yard import SCRIPTS, STACK, NotHere, Yard
from bench.result import Result
from stackyard import stacks

FIGURES = ("exit_signal_stdio_changed", "exit_signal_stdio_cases")
#: Variables that a measured command may have more than others.
ADDED = ("STACKYARD_OUTPUTS", "STACKYARD_REPORT", "STACKYARD_HOOK")
#: And on a stack, beside those that its definition sets; PATH begins with the stack's programs then.
ADDED_BY_STACK = (*ADDED, "VIRTUAL_ENV")
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
BYTES = 100_000_000
#: What is known to differ, and is no case.
NOT_COUNTED = (
    "a SIGPIPE or SIGXFSZ that whoever starts the command ignores has its usual meaning for the command: Python sets "
    "both before any code of ours runs, and cannot say what they were",
    "words of a command that are not UTF-8 are refused: a record cannot hold them",
    "a command whose children outlive it ends when they do, or 2 s after they fell idle: their use is measured too",
    "a SIGSTOP or SIGCHLD that is sent to our process does not reach the command: nobody can pass on the first",
)

Case = Callable[[Player], Any]


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
    yield from _endings(quick)
    yield from _signals(quick)
    yield from _terminals()
    yield from _inputs()
    yield from _outputs(quick)
    yield from _surroundings()


def on_a_stack() -> Iterator[Tuple[str, Case]]:
    """Those that a stack might change."""
    yield "surroundings", lambda player: _seen(player, player.probed())
    yield "exit status 3", lambda player: player.play(["sh", "-c", "exit 3"])
    yield "SIGTERM", lambda player: player.after(_waiting(), signal.SIGTERM)
    yield "standard input", lambda player: player.play(["cat"], given=b"given\n")


def _endings(quick: bool) -> Iterator[Tuple[str, Case]]:
    for status in STATUSES[::4] if quick else MORE_STATUSES:
        yield f"exit status {status}", lambda player, s=status: player.play(["sh", "-c", f"exit {s}"])
    fatal = [n for n in _caught() if not _is(n, _HARMLESS)]
    if quick:
        fatal = fatal[::5]
    for number in (*fatal, signal.SIGKILL):
        yield (
            f"the command sends itself {_name(number)}",
            lambda player, n=number: player.play(["sh", "-c", f"echo before; kill -{int(n)} $$; sleep 5"]),
        )
    absent = ["no-such-command"]
    yield "no such command", lambda player: _status_of(player, absent, 127)
    yield "not executable", lambda player: _status_of(player, [os.devnull], 126)


def _status_of(player: Player, words: List[str], status: int) -> Any:
    """The exit status of what cannot be executed; that of a shell where nothing comes before the command."""
    return player.play(words)["status"] if player.stack else status


def _waiting() -> List[str]:
    return ["sh", "-c", "echo ready; exec sleep 20"]


def _handling(number: int) -> List[str]:
    return [sys.executable, str(SCRIPTS / "handler.py"), str(int(number))]


def _signals(quick: bool) -> Iterator[Tuple[str, Case]]:
    caught = _caught()
    if quick:
        caught = [
            n for n in caught if _is(n, ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGTSTP", "SIGCONT"))
        ]
    for number in caught:
        yield f"{_name(number)} is handled", lambda player, n=number: player.after(_handling(n), n)
        if not _is(number, _HARMLESS):
            yield f"{_name(number)} is not handled", lambda player, n=number: player.after(_waiting(), n)
    yield "SIGKILL leaves nothing behind", _killed
    yield (
        "an alarm set before",
        lambda player: player.play(["sleep", "20"], prepare=lambda: signal.alarm(3) and None),
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        yield (
            f"{_name(number)} to the whole group",
            lambda player, n=number: player.after(_handling(n), n, group=True),
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


def _terminals() -> Iterator[Tuple[str, Case]]:
    for keys, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
        for job in (None, "front"):
            where = "" if job is None else " in a shell"
            yield (
                f"{_name(number)} from the keyboard{where}",
                lambda player, k=keys, n=number, j=job: player.at_terminal(_handling(n), _pressing(k), job=j),
            )
    yield "Ctrl-C, not handled", lambda player: player.at_terminal(_waiting(), _pressing(b"\x03"))
    yield "Ctrl-Z and back", lambda player: player.at_terminal(_asking(), _ctrl_z, job="front")
    yield "reading in the background", lambda player: player.at_terminal(_asking(), _answer_later, job="back")
    yield "the terminal's size", lambda player: player.at_terminal(["stty", "size"], _nothing)
    yield "the window is resized", lambda player: player.at_terminal(_handling(signal.SIGWINCH), _resize)
    yield "typed input", lambda player: player.at_terminal(_asking(), _answer)
    yield "end of typed input", lambda player: player.at_terminal(["cat"], lambda t: t.type(b"a line\n\x04"))
    yield "a terminal without echo", lambda player: player.at_terminal(["stty", "-a"], _nothing)
    yield "what a program at a terminal finds", lambda player: _seen(player, player.probed(terminal=True))


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


def _inputs() -> Iterator[Tuple[str, Case]]:
    yield "a pipe as input", lambda player: player.play(["cat"], given=b"one\ntwo\n\0\xff")
    yield "much input", lambda player: player.play(["cksum"], given=b"0123456789abcdef" * 2_000_000)
    yield "input that is not read", lambda player: player.play(["true"], given=b"x" * 1000)
    yield "a file as input", _file_as_input
    yield "nothing as input", lambda player: player.play(["cat"])
    yield "closed input", lambda player: player.play(_open_files(), prepare=lambda: os.close(0))


def _open_files() -> List[str]:
    return ["sh", "-c", "for n in 0 1 2; do test -e /proc/self/fd/$n && echo $n is open; done"]


def _file_as_input(player: Player) -> Any:
    """The command reads one line; whoever shares the file goes on behind it."""
    path = player.yard.new("input")
    path.write_bytes(b"first\n" + b"second\n" * 3)
    with path.open("rb", buffering=0) as stream:
        ended = player.play(["sh", "-c", "read line; echo $line"], stdin=stream)
        return {**ended, "left": os.lseek(stream.fileno(), 0, os.SEEK_CUR)}


def _outputs(quick: bool) -> Iterator[Tuple[str, Case]]:
    size = BYTES // 10 if quick else BYTES
    much = (
        f"import sys; b = bytes(range(256)) * 4096; n = {size}\nwhile n > 0: n -= sys.stdout.buffer.write(b)"
    )
    yield f"{size // 1_000_000} MB of binary output", lambda p: p.play([sys.executable, "-c", much])
    both = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; printf 'no end of line' >&2"
    yield "both outputs", lambda player: player.play(["sh", "-c", both + "; echo >&2"])
    yield (
        "closed output",
        lambda player: player.play(_open_files_told_on_stderr(), prepare=lambda: os.close(1)),
    )
    yield "closed error output", lambda player: player.play(_open_files(), prepare=lambda: os.close(2))
    yield "a full disk", _full
    yield "a reader that leaves", _reader_leaves
    yield "a full disk behind the error output", lambda player: _errors_to(player, "/dev/full")
    yield "error output that nobody reads", _nobody_reads
    yield "both outputs in one", lambda player: _in_one(player, both)


def _open_files_told_on_stderr() -> List[str]:
    return ["sh", "-c", "for n in 0 1 2; do test -e /proc/self/fd/$n && echo $n is open >&2; done"]


def _full(player: Player) -> Any:
    with open("/dev/full", "wb", buffering=0) as full:
        return player.play(["sh", "-c", "echo said"], stdout=full)


def _errors_to(player: Player, path: str) -> Any:
    with open(path, "wb", buffering=0) as file:
        return player.play(
            ["sh", "-c", "echo said; exit 3"], prepare=lambda: os.dup2(file.fileno(), 2) and None
        )


def _nobody_reads(player: Player) -> Any:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        return player.play(["sh", "-c", "echo said; exit 3"], prepare=lambda: os.dup2(theirs, 2) and None)
    finally:
        os.close(theirs)


def _reader_leaves(player: Player) -> Any:
    """``COMMAND | head -c 10`` where the command writes for ever."""
    ours, theirs = os.pipe()
    writer = subprocess.Popen(
        player.words(["yes"]),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        preexec_fn=os.setpgrp,
        cwd=str(player.yard.folder),
        env=player.yard.variables(),
    )
    os.close(theirs)
    os.read(ours, 10)
    os.close(ours)
    try:
        return writer.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(writer.pid, signal.SIGKILL)
        return "it hangs"


def _in_one(player: Player, program: str) -> Any:
    path = player.yard.new("both")
    with path.open("wb") as stream:
        words = player.words(["sh", "-c", program + "; echo >&2"])
        status = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd=str(player.yard.folder),
            env=player.yard.variables(),
            timeout=30,
            check=False,
        ).returncode
    return {"status": status, "said": player.without_summary(path.read_bytes()).decode()}


def _seen(player: Player, found: Dict[str, Any]) -> Dict[str, Any]:
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


def _surroundings() -> Iterator[Tuple[str, Case]]:
    yield "what a program finds", lambda player: _seen(player, player.probed())
    for mask in (0o077, 0o002):
        yield (
            f"umask {mask:o}",
            lambda player, m=mask: _seen(player, player.probed(prepare=lambda: os.umask(m) and None)),
        )
    yield "a working folder", lambda player: _seen(player, player.probed(folder=SCRIPTS))
    yield "niced", lambda player: _seen(player, player.probed(prepare=lambda: os.nice(7) and None))
    yield "limits", lambda player: _seen(player, player.probed(prepare=_limit))
    yield "one core", lambda player: _seen(player, player.probed(prepare=_one_core))
    yield "a few files", _files
    bare = {"PATH": os.environ.get("PATH", os.defpath), "TOLD": "ü\n", "EMPTY": ""}
    yield (
        "a small environment",
        lambda p: _seen(p, p.probed(variables={**bare, "STACKYARD_HOME": str(p.yard.home)})),
    )
    yield "PYTHON variables", lambda p: _seen(p, p.probed(variables=p.yard.variables(**_PYTHON)))
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
    yield "words of every kind", lambda player: _seen(player, player.probed(*words))
    yield "a long word", lambda player: _seen(player, player.probed("x" * 100_000))


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
            return _seen(player, player.probed(files=[read, write, null.fileno()]))
        finally:
            os.close(read)
            os.close(write)


def _is(number: int, names: Tuple[str, ...]) -> bool:
    return _name(number) in names


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {int(number)}"
