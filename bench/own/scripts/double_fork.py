"""The work of touch.py in a daemon: forked twice, in a session of its own, while its parents leave at once."""

import os

import touch

if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
touch.main()
