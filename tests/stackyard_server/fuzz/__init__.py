"""Malformed requests by the thousand, against all three ports of a server in a process of its own.

``values``: what no field should hold. ``makers``: requests built from them, each from its own seed. ``wire``: sending
and reading without a client's manners. ``siege``: the server, the runs, and what must hold afterwards.
``python -m tests.stackyard_server.fuzz --count 100000`` runs it by hand; ``--seed N --only I`` repeats one request.
"""
