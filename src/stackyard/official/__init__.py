"""The official ClearML server beside us: making its secrets, backing it up, moving documents between servers.

Here is what ``docker-compose.yml`` and ``server/`` need from a program. Nothing of the embedded server: what is taken
over into one goes through its own door, from the command line. May import errors, extras, settings and ``clearml``.
"""
