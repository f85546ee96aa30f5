"""Workloads that wait, eat, fail or fill a disk on demand. Travels with the tasks of the fault tests; Python 3.9."""

import os
import time


def hold(parameters, channel, folder):
    """Do nothing for ``seconds``, saying so; then leave a file."""
    seconds, begun = float(parameters.get("seconds", 1)), time.monotonic()
    channel.phase("steady")
    print("holding", flush=True)
    while time.monotonic() - begun < seconds:
        channel.progress(time.monotonic() - begun, seconds, "seconds")
        time.sleep(0.05)
    channel.results(held=1)
    (folder / "held.txt").write_text("held\n")


def eat(parameters, channel, folder):
    """Take memory until somebody objects."""
    channel.phase("steady")
    held = []
    while sum(map(len, held)) < int(parameters.get("bytes", 1 << 40)):
        held.append(os.urandom(1 << 20) * 8)
        time.sleep(0.02)


def write(parameters, channel, folder):
    """Leave a file of ``bytes`` that cannot be compressed; not before there is a file called ``after``."""
    channel.phase("steady")
    while parameters.get("after") and not os.path.exists(parameters["after"]):
        time.sleep(0.02)
    with open(folder / "much.bin", "wb") as stream:
        for _ in range(int(parameters["bytes"]) >> 20):
            stream.write(os.urandom(1 << 20))


def fail(parameters, channel, folder):
    """Raise."""
    raise ArithmeticError("this is what the code said")


def refuse(parameters, channel, folder):
    """Refuse the input."""
    from stackyard_task.channel import BadInput

    raise BadInput("the input is not what it should be")


def count(parameters, channel, folder):
    """Note in a shared file that it ran: one line for each start, one for each end."""
    with open(parameters["ledger"], "a") as ledger:
        ledger.write(f"begin {parameters['name']}\n")
    channel.phase("steady")
    time.sleep(float(parameters.get("seconds", 0.05)))
    with open(parameters["ledger"], "a") as ledger:
        ledger.write(f"end {parameters['name']}\n")
