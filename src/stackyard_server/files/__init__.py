"""The file server: what clients upload, on a port of its own under rules of its own.

``server`` is HTTP, ``uploads`` and ``downloads`` its two directions; ``stored`` where content lies, ``rights`` who may
replace or remove it, ``addresses`` under which addresses it was ever known.
"""
