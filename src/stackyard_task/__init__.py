"""The half of Stackyard that runs inside a task, in whatever stack the task pins.

Python 3.9 or newer; standard library only at import. psutil, pynvml, numpy and torch are imported
only in the files that own them. It never imports ``stackyard`` or ``stackyard_server``.
"""
