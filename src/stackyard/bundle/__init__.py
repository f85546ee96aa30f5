"""A bundle: all that a lab's hosts install, in one folder, for labs without internet; made, verified and served.

A folder with one archive for each component, and ``manifest.json``, which names every file with its SHA-256. The
manifest's own digest is what an operator trusts: it stands in the inventory, and hosts check everything against it.
"""
