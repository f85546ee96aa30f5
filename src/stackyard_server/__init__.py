"""The embedded ClearML-compatible server: one process, SQLite, ClearML's API as its clients know it.

Rooms: ``api`` (HTTP to calls) over ``dispatch`` (which function answers what) over ``endpoints`` (one module
per ClearML service) over ``rules`` (pure) and ``store`` (SQLite, the one transaction door). ``files`` is the
file server, ``web`` the pages, ``upkeep`` the watchdog, the cleaning and the backups, ``identity``
passwords, tokens and roles, ``admin`` the door of the command line (``command``), ``app`` the assembly, which nothing
here imports.

Nothing of ``stackyard`` or ``stackyard_task`` is imported: the official server must be able to take its
place.
"""

#: The level of ClearML's API that is spoken; clients read it from their token.
API_VERSION = "2.34"
#: The release of the official server whose behaviour is spoken.
SERVER_VERSION = "2.3.0"
#: "basic" keeps clients from asking for what only the paid edition has.
FEATURE_SET = "basic"
