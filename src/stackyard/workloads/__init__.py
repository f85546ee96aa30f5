"""The code that a run executes: its copy for a whole matrix (``snapshot``) and the same as a ``wheel`` for a server.

Knows no launcher, no scenario and no server.
"""
