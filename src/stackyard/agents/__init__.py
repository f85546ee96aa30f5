"""Agents and their queues: which there are, what each slot is started with, and the gate before its containers.

``queues`` and ``slots`` say what is to run, ``configuration`` what an agent is given, ``agent`` starts and ends one,
``gpus`` tells which GPU others use; ``gate`` is the program that agents find as ``docker``, and ``container_rules``
what it decides. Who keeps them running is ``stackyard.services``. Nothing is imported here: the gate starts with
every container, and waits for no library.
"""
