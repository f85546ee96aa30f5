"""Server and agents of this machine: up, down, status, and the one process that keeps them running.

``control`` is what ``up`` and ``down`` call: it decides (settings, queues, slots, credentials) and writes a plan;
``status`` looks. ``python -m stackyard.services HOME`` is the one process of a machine: it reads the plan and
nothing else, starts an agent for each slot, and keeps the whole as the plan says (``supervisor``, one ``keeper`` for
each slot). ``files`` is where their files are and how they are written, ``embedded`` the embedded server's door. What
crosses between them is files: the plan one way, the state the other; so each may die and be started anew.

The process imports neither ``control`` nor what it needs (stacks, engine, embedded server): it stays small.
"""
