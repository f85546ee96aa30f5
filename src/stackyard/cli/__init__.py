"""The command line: one file per command or group of them; ``services`` has up, down, status and logs.

Builds settings, calls a room, prints; holds no rule of its own.
"""
