"""The program that people give commands to: ours as a whole, or the server's own."""

from __future__ import annotations

from importlib.util import find_spec

_whole = find_spec("stackyard")
#: What a person types before the name of a command. A folder called stackyard that is no package has no origin.
COMMAND = "stackyard server" if _whole is not None and _whole.origin else "stackyard-server"
