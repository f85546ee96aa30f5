"""Scripts that run in a stack's own Python, started by path: standard library, pip, torch; Python 3.9.

They never import stackyard, and nothing imports them. Each prints one JSON object as its last line.
"""
