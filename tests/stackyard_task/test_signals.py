"""Which signals of a supervisor reach the command that it stands in for."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: A supervisor with a child that waits, and a SIGPIPE: of its own writing, or sent by somebody else.
PROGRAM = """
import os, signal, socket, subprocess, sys
from stackyard_task import signals

def usual():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())

signal.pthread_sigmask(signal.SIG_BLOCK, signals.passed_on())
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, preexec_fn=usual)
if sys.argv[1] == "own":
    here, there = socket.socketpair()
    there.close()
    try:
        here.send(b"x")
    except BrokenPipeError:
        pass
else:
    subprocess.run(["kill", "-PIPE", str(os.getpid())], preexec_fn=usual, check=True)
assert signal.SIGPIPE in signal.sigpending()
signals.Forwarded().begin(child.pid)
child.communicate()
print(child.returncode)
"""


@pytest.mark.parametrize(("whose", "status"), [("own", "0"), ("anothers", "-13")])
def test_what_a_closed_connection_sends_the_supervisor_is_not_the_commands(whose: str, status: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, whose], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (status, "")
