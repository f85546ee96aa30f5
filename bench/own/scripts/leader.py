"""A shell with job control, of one job: ``leader.py FILE front|back COMMAND...`` at the head of a terminal's session.

What stops the job is written to FILE; it is then brought to the front and goes on. The last line is how it ended.
"""

import contextlib
import os
import signal
import sys

file, where, words = sys.argv[1], sys.argv[2], sys.argv[3:]
signal.signal(signal.SIGTTOU, signal.SIG_IGN)


def say(text):
    """One line of the file."""
    with open(file, "a") as stream:
        stream.write(text + "\n")


job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    if where == "front":
        os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(words[0], words)
with contextlib.suppress(OSError):  # it has done so, and executes already
    os.setpgid(job, job)
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    say(f"stopped {os.WSTOPSIG(status)}")
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
say(f"ended {os.waitstatus_to_exitcode(status)}")
os.tcsetpgrp(0, os.getpgrp())
