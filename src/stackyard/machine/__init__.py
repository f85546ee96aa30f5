"""This machine: what it is and can run, its Docker Engine, and the public data sets that lie on it.

Below everything that starts something. ``docker_engine`` is the only file that imports docker; ``fetching`` and
``download`` are the only ones that bring anything from outside.
"""
