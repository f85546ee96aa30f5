"""Roles: who may what. Pure.

``readonly`` sees everything and changes nothing but their own preferences, keys and session; ``user`` works: creates,
edits, runs and deletes anything of the company, as in ClearML; ``admin`` also manages users and the server.
"""

from __future__ import annotations

#: In the order of what they may: each may all that those before it may.
ROLES = ("readonly", "user", "admin")
#: What ClearML calls those who administer a server; its messages name them.
ADMINISTRATORS = ("system", "root")


def allows(role: str, least: str) -> bool:
    """Whether a role may do what needs at least another; an unknown role may nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(least)


def allowed(least: str) -> tuple[str, ...]:
    """The roles that may do what needs at least this one, as messages name them."""
    return ADMINISTRATORS if least == "admin" else ROLES[ROLES.index(least) :]
