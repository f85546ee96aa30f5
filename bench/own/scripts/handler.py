"""Count one signal: ``handler.py NUMBER [TIMES]`` says "ready", and after the first waits a little for more of it."""

import os
import signal
import sys
import time

number, got = int(sys.argv[1]), []
signal.signal(number, lambda *_: got.append(1))
print("ready", flush=True)
end = time.monotonic() + 20
while not got and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.3)
print("got", len(got), flush=True)
os._exit(7)
