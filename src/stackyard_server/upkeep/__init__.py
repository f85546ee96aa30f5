"""What keeps the server well: the watchdog over silent tasks, the cleaning, backup, restore and checks.

``backup`` and ``restore`` copy a data folder, ``verification`` proves one, ``gc`` removes what nothing needs,
``freeing`` the files of what was deleted, ``watchdog`` ends tasks whose worker vanished. Imports the store and the
stored files.
"""

from __future__ import annotations


class UpkeepError(Exception):
    """A backup, restore or check cannot be done; the message says why and what to do."""
