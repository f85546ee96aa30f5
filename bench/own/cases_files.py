"""Cases of what a command reads and writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any, Iterator, List, Tuple

from bench.own.cases import Case, Player

BYTES = 100_000_000


def inputs() -> Iterator[Tuple[str, Case]]:
    """What is read."""
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


def outputs(quick: bool) -> Iterator[Tuple[str, Case]]:
    """What is written; with ``quick`` less of it."""
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
