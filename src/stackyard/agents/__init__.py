"""Agents and their queues: which there are, what each slot is started with, and the gate before its containers.

``queues`` and ``slots`` say what is to run; ``gate`` is the program that agents find as ``docker``, and
``container_rules`` what it decides. Nothing is imported here: the gate starts with every container, and waits
for no library.
"""
